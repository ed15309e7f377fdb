//! See `mycomesh_fuzz::texts::address`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::texts::address);
