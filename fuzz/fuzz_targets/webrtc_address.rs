//! See `mycomesh_fuzz::webrtc::address`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::webrtc::address);
