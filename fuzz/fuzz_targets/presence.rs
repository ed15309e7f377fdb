//! See `mycomesh_fuzz::objects::presence`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::objects::presence);
