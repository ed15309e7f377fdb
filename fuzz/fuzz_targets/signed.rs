//! See `mycomesh_fuzz::objects::signed`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::objects::signed);
