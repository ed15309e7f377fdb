//! See `mycomesh_fuzz::requests::presence_page`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::requests::presence_page);
