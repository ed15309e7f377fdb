//! The bodies of requests and responses.

use std::fmt::Debug;

use ipld_core::ipld::Ipld;
use mycomesh_core::{
    limits::REQUEST_BYTES_MAX,
    wire::{
        requests::{ObjectsPage, ObjectsRequest, PresencePage, PresenceRequest, TaskReply, TaskRequest},
        strict,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::objects::same_again;

/// `presence/1`, asked.
pub fn presence_request(bytes: &[u8]) {
    body::<PresenceRequest>(bytes);
}

/// `presence/1`, answered.
pub fn presence_page(bytes: &[u8]) {
    body::<PresencePage>(bytes);
}

/// `objects/1`, asked.
pub fn objects_request(bytes: &[u8]) {
    body::<ObjectsRequest>(bytes);
}

/// `objects/1`, answered.
pub fn objects_page(bytes: &[u8]) {
    body::<ObjectsPage>(bytes);
}

/// `tasks/1`, asked.
pub fn task_request(bytes: &[u8]) {
    body::<TaskRequest>(bytes);
}

/// `tasks/1`, answered.
pub fn task_reply(bytes: &[u8]) {
    body::<TaskReply>(bytes);
}

fn body<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = strict::decode::<T>(bytes, REQUEST_BYTES_MAX) else { return };
    assert!(bytes.len() <= REQUEST_BYTES_MAX);
    same_again(bytes, &value);
    let tree = |bytes: &[u8]| strict::decode::<Ipld>(bytes, bytes.len()).expect("it was decoded before");
    let written = strict::encode(&value);
    assert_eq!(tree(&written) == tree(bytes), written == bytes, "equal values have equal bytes");
    assert!(strict::decode::<T>(bytes, bytes.len() - 1).is_err(), "a limit is a limit");
}
