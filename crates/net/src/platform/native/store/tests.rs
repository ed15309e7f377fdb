//! Store tests: each on a directory of its own.

use std::{fs, path::PathBuf};

use super::*;

/// A directory that goes when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let mut id = [0; 8];
        getrandom::fill(&mut id).expect("randomness");
        Self(std::env::temp_dir().join(format!("mycomesh-store-{}", u64::from_ne_bytes(id))))
    }

    fn store(&self) -> Store {
        Store::Dir(self.0.clone())
    }

    async fn open(&self) -> Result<Opened, StartError> {
        open_store(&self.store()).await
    }

    #[track_caller]
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn put(key: &[u8], value: &[u8]) -> Write {
    Write { table: StoreTable::Tasks, key: key.into(), value: Some(value.into()) }
}

/// The store must not open, and say so with these words.
#[track_caller]
fn check_refused(opened: Result<Opened, StartError>, words: &[&str]) {
    let Err(error) = opened else { panic!("the store opened") };
    assert!(matches!(error, StartError::Store { .. }), "{error}");
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{message}` does not say `{word}`");
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening_and_the_peer_is_the_same() {
    let dir = Dir::new();
    let first = dir.open().await.expect("opens");
    assert!(first.records.is_empty());
    let (one, two) =
        (first.writer.write(vec![put(b"a", b"1"), put(b"b", b"2")]), first.writer.write(vec![put(b"a", b"3")]));
    assert_eq!(one.await, Ok(()));
    assert_eq!(two.await, Ok(()));
    let gone = Write { table: StoreTable::Tasks, key: b"b".to_vec(), value: None };
    assert_eq!(first.writer.write(vec![gone]).await, Ok(()));
    first.writer.close().await;

    let second = dir.open().await.expect("opens again");
    assert_eq!(second.records, [Record { table: StoreTable::Tasks, key: b"a".to_vec(), value: b"3".to_vec() }]);
    assert_eq!(second.keypair.public(), first.keypair.public());
    assert_eq!(second.certificate, first.certificate);
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_is_still_written() {
    let dir = Dir::new();
    let first = dir.open().await.expect("opens");
    drop(first.writer.write(vec![put(b"a", b"1")]));
    first.writer.close().await;
    assert_eq!(dir.open().await.expect("opens again").records.len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_key_and_certificate() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = Dir::new();
    drop(dir.open().await.expect("opens"));
    for name in ["identity.key", "webrtc.pem"] {
        let mode = fs::metadata(dir.file(name)).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn one_directory_serves_one_node() {
    let dir = Dir::new();
    let _held = dir.open().await.expect("opens");
    check_refused(dir.open().await, &["in use", "stop that node"]);
    assert!(replace_identity(&dir.store(), None).await.is_err());
}

#[tokio::test]
async fn a_damaged_key_is_reported_and_left_alone() {
    let dir = Dir::new();
    dir.open().await.expect("opens").writer.close().await;
    fs::write(dir.file("identity.key"), b"not a key").expect("written");
    check_refused(dir.open().await, &["identity.key", "restore it from a backup"]);
    assert_eq!(fs::read(dir.file("identity.key")).expect("still there"), b"not a key");
}

#[tokio::test]
async fn a_lost_key_is_not_silently_replaced() {
    let dir = Dir::new();
    dir.open().await.expect("opens").writer.close().await;
    fs::remove_file(dir.file("identity.key")).expect("removed");
    check_refused(dir.open().await, &["identity.key", "gone"]);
    assert!(!dir.file("identity.key").exists());
}

#[tokio::test]
async fn the_key_of_another_peer_is_noticed() {
    let (dir, other) = (Dir::new(), Dir::new());
    dir.open().await.expect("opens").writer.close().await;
    other.open().await.expect("opens").writer.close().await;
    fs::copy(other.file("identity.key"), dir.file("identity.key")).expect("copied");
    check_refused(dir.open().await, &["another peer", "put the old identity.key back"]);
}

#[tokio::test]
async fn a_damaged_database_is_reported_and_left_alone() {
    let dir = Dir::new();
    dir.open().await.expect("opens").writer.close().await;
    let garbage = vec![0x5a; 100_000];
    fs::write(dir.file(DATABASE), &garbage).expect("written");
    check_refused(dir.open().await, &["damaged", "move it away"]);
    assert_eq!(fs::read(dir.file(DATABASE)).expect("still there"), garbage);
}

#[tokio::test]
async fn a_truncated_database_is_reported_too() {
    let dir = Dir::new();
    dir.open().await.expect("opens").writer.close().await;
    let whole = fs::read(dir.file(DATABASE)).expect("readable");
    fs::write(dir.file(DATABASE), &whole[..whole.len() / 3]).expect("written");
    check_refused(dir.open().await, &["damaged"]);
}

#[test]
fn a_file_is_in_its_place_only_once_it_is_whole() {
    let dir = Dir::new();
    files::make_dir(&dir.0).expect("a directory");
    let path = dir.file("a-file");
    let cut_short = files::make_whole(&path, |beside| {
        fs::write(beside, "ha").expect("it can be written");
        Err(StartError::Unsupported("cut short".into()))
    });
    assert!(cut_short.is_err() && !path.exists());
    let make = |text: &'static str| {
        files::make_whole(&path, move |beside| {
            assert!(!beside.exists(), "what was left of the last time is gone");
            fs::write(beside, text).expect("it can be written");
            Ok(())
        })
    };
    make("whole").expect("made");
    make("another").expect("left alone");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "whole");
    assert_eq!(fs::read_dir(&dir.0).expect("the directory").count(), 1, "nothing is left beside it");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_reported() {
    let dir = Dir::new();
    fs::write(&dir.0, b"a file").expect("written");
    check_refused(open_store(&Store::Dir(dir.0.join("data"))).await, &["cannot be written", "choose a data directory"]);
    fs::remove_file(&dir.0).expect("removed");
}

#[tokio::test]
async fn a_reset_puts_everything_aside_and_makes_a_new_peer() {
    let dir = Dir::new();
    let first = dir.open().await.expect("opens");
    first.writer.write(vec![put(b"a", b"1")]).await.expect("written");
    first.writer.close().await;
    replace_identity(&dir.store(), None).await.expect("reset");
    let second = dir.open().await.expect("opens");
    assert_ne!(second.keypair.public(), first.keypair.public());
    assert!(second.records.is_empty());
    second.writer.close().await;
    let aside = fs::read_dir(&dir.0).expect("listed").flatten();
    assert_eq!(aside.filter(|file| file.file_name().to_string_lossy().contains(".old-")).count(), 2);
}

#[tokio::test]
async fn an_imported_key_is_used_at_the_next_start() {
    let dir = Dir::new();
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().expect("encodes");
    crate::identity::import(&dir.store(), &bytes).await.expect("imported");
    assert_eq!(dir.open().await.expect("opens").keypair.public(), key.public());
    assert!(crate::identity::import(&dir.store(), b"nonsense").await.is_err());
}
