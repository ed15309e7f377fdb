//! See `mycomesh_fuzz::texts::config`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::texts::config);
