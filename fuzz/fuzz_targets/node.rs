//! See `mycomesh_fuzz::node::node`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::node::node);
