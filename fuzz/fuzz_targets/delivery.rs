//! See `mycomesh_fuzz::objects::delivery`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::objects::delivery);
