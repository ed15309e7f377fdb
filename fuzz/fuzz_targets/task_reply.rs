//! See `mycomesh_fuzz::requests::task_reply`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::requests::task_reply);
