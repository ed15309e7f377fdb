//! See `mycomesh_fuzz::requests::objects_request`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::requests::objects_request);
