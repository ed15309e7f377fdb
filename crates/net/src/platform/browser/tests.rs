//! Tests that need a browser. They run in one page, one after the other, and share its storage.

use mycomesh_core::io::{StoreTable, Write};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

use super::{
    slot,
    store::{Opened, open_database, open_store, put_identity, replace_identity},
};
use crate::{StartError, Store};

wasm_bindgen_test_configure!(run_in_browser);

async fn open() -> Opened {
    let opened = open_store(&Store::Browser).await.expect("opens");
    assert_eq!(opened.note, None, "this page has lasting storage");
    opened
}

fn peer(opened: &Opened) -> libp2p::PeerId {
    opened.keypair.public().to_peer_id()
}

fn put(key: &[u8], value: &[u8]) -> Write {
    Write { table: StoreTable::Receipts, key: key.into(), value: Some(value.into()) }
}

/// What the table holds, as the next page load would see it.
async fn reopened(first: Opened) -> Opened {
    first.writer.close().await;
    open().await
}

#[wasm_bindgen_test]
async fn what_was_written_is_there_after_reopening_and_the_peer_is_the_same() {
    let first = open().await;
    let me = peer(&first);
    let (one, two) =
        (first.writer.write(vec![put(b"a", b"1"), put(b"b", b"2")]), first.writer.write(vec![put(b"a", b"3")]));
    assert_eq!(one.await, Ok(()));
    assert_eq!(two.await, Ok(()));
    let second = reopened(first).await;
    assert_eq!(peer(&second), me);
    let rows: Vec<(&[u8], &[u8])> = second.records.iter().map(|row| (&*row.key, &*row.value)).collect();
    assert_eq!(rows, [(&b"a"[..], &b"3"[..]), (&b"b"[..], &b"2"[..])]);
    let gone = |key: &[u8]| Write { table: StoreTable::Receipts, key: key.into(), value: None };
    assert_eq!(second.writer.write(vec![gone(b"a"), gone(b"b")]).await, Ok(()));
    let third = reopened(second).await;
    assert!(third.records.is_empty());
    third.writer.close().await;
}

#[wasm_bindgen_test]
async fn a_second_claim_gets_another_slot_and_is_another_peer() {
    let first = open().await;
    let taken = slot::remembered();
    let second = open().await;
    assert_ne!(slot::remembered(), taken);
    assert_ne!(peer(&second), peer(&first));
    second.writer.close().await;
    first.writer.close().await;
    if let Some(taken) = taken {
        slot::remember(taken);
    }
}

#[wasm_bindgen_test]
async fn a_damaged_identity_is_reported_and_a_reset_makes_a_new_peer() {
    let first = open().await;
    let me = peer(&first);
    first.writer.write(vec![put(b"a", b"1")]).await.expect("written");
    first.writer.close().await;
    let number = slot::remembered().expect("a slot");
    let database = open_database(number).await.expect("opens");
    put_identity(&database, "key", b"not a key").await.expect("written");
    database.close();

    let Err(error) = open_store(&Store::Browser).await else { panic!("the store opened") };
    assert!(matches!(error, StartError::Store { .. }));
    assert!(error.to_string().contains("import your exported identity, or reset it"), "{error}");

    replace_identity(&Store::Browser, None).await.expect("reset");
    let second = open().await;
    assert_ne!(peer(&second), me);
    assert!(second.records.is_empty());
    second.writer.close().await;
}

#[wasm_bindgen_test]
async fn an_imported_identity_is_used_at_the_next_page_load() {
    let first = open().await;
    let key = libp2p::identity::Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().expect("encodes");
    let imported = crate::identity::import(&Store::Browser, &bytes).await.expect("imported");
    first.writer.write(vec![put(b"old", b"1")]).await.expect("still written");
    let second = reopened(first).await;
    assert_eq!(peer(&second), imported);
    assert!(second.records.is_empty(), "what the old identity left is gone");
    second.writer.close().await;
    assert!(crate::identity::import(&Store::Browser, b"nonsense").await.is_err());
}

#[wasm_bindgen_test]
async fn memory_keeps_nothing() {
    let first = open_store(&Store::Memory).await.expect("opens");
    assert_eq!(first.writer.write(vec![put(b"a", b"1")]).await, Ok(()));
    first.writer.close().await;
    assert!(matches!(open_store(&Store::Memory).await, Ok(Opened { records, .. }) if records.is_empty()));
}
