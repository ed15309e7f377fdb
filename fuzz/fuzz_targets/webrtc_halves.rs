//! See `mycomesh_fuzz::webrtc::halves`.
#![cfg_attr(fuzzing, no_main)]

mycomesh_fuzz::program!(mycomesh_fuzz::webrtc::halves);
