//! What survives a restart: a redb database, the key and the WebRTC certificate, in one directory.
//!
//! The database is opened first; a new one is made beside its place, since redb takes a half-made one for a damaged
//! one. Its lock makes sure that one directory serves one node. It also
//! remembers whose it is, so that a lost or exchanged key is noticed before anything is overwritten.
//! One thread writes, in the order of the calls, several calls in one transaction when they pile up;
//! a call is answered once its transaction has reached the disk.

mod files;

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use libp2p::identity::Keypair;
use libp2p_webrtc::tokio::Certificate;
use mycomesh_core::io::{Record, StoreTable, Write};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use super::BoxFuture;
use crate::{StartError, Store};

/// The database's file name.
const DATABASE: &str = "mycomesh.redb";
/// Memory redb may use to keep pages, in bytes. Its own default is 1 GiB; we read everything once, at
/// start, and only write after that.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Calls that may wait for the disk. Core has some hundreds of tasks at most; beyond this the disk is
/// stuck and an error is more honest than a queue.
const WRITES_WAITING_MAX: usize = 1_024;
/// Calls in one transaction, so that the first of them does not wait for ever.
const WRITES_TOGETHER_MAX: usize = 128;
/// Whose database it is: one key, the peer id in its binary form.
const OWNER: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("owner");
const OWNER_KEY: &[u8] = b"peer";

/// A store that has been opened and read.
pub(crate) struct Opened {
    pub(crate) keypair: Keypair,
    pub(crate) certificate: Certificate,
    pub(crate) records: Vec<Record>,
    pub(crate) writer: StoreWriter,
    /// Why nothing will survive, if so.
    pub(crate) note: Option<String>,
}

/// Where writes go.
pub(crate) enum StoreWriter {
    /// Nowhere.
    Memory,
    /// To the thread that owns the database.
    Thread { calls: mpsc::SyncSender<Call>, ended: oneshot::Receiver<()> },
}

/// One call to [`StoreWriter::write`].
pub(crate) struct Call {
    writes: Vec<Write>,
    done: oneshot::Sender<Result<(), String>>,
}

/// Open a store: read its key, or make one, and all its records.
pub(crate) async fn open_store(store: &Store) -> Result<Opened, StartError> {
    match store {
        Store::Memory => Ok(Opened {
            keypair: Keypair::generate_ed25519(),
            certificate: files::new_certificate()?,
            records: Vec::new(),
            writer: StoreWriter::Memory,
            note: None,
        }),
        Store::Dir(dir) => {
            let dir = dir.clone();
            // redb trusts its files; a damaged one may make it panic, which ends this task only.
            tokio::task::spawn_blocking(move || open_dir(&dir))
                .await
                .unwrap_or_else(|error| Err(damaged(&PathBuf::from(DATABASE), format!("it cannot be read ({error})"))))
        }
        Store::Browser => Err(StartError::Unsupported("a browser's storage exists in browsers only".into())),
    }
}

/// Put what is in `store` aside; with a key, put that in its place.
pub(crate) async fn replace_identity(store: &Store, key: Option<&Keypair>) -> Result<(), StartError> {
    let Store::Dir(dir) = store else {
        return Err(StartError::Unsupported("only a store on disk has an identity to replace".into()));
    };
    let (dir, key) = (dir.clone(), key.cloned());
    tokio::task::spawn_blocking(move || {
        let database = dir.join(DATABASE);
        if database.exists() {
            match Database::builder().set_cache_size(CACHE_BYTES).open(&database) {
                Err(DatabaseError::DatabaseAlreadyOpen) => return Err(locked(&database)),
                // A damaged one is what is to be put aside.
                Ok(_) | Err(_) => files::put_aside(&database)?,
            }
        }
        files::replace_key(&dir, key.as_ref())
    })
    .await
    .unwrap_or_else(|error| Err(StartError::Unsupported(error.to_string())))
}

fn open_dir(dir: &Path) -> Result<Opened, StartError> {
    files::make_dir(dir)?;
    let path = dir.join(DATABASE);
    let unusable = |error: DatabaseError| match error {
        DatabaseError::DatabaseAlreadyOpen => locked(&path),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            files::not_writable(&path, &error)
        }
        other => damaged(&path, other.to_string()),
    };
    files::make_whole(&path, |beside| Database::create(beside).map(drop).map_err(unusable))?;
    let database = Database::builder().set_cache_size(CACHE_BYTES).open(&path).map_err(unusable)?;
    let owner = read_owner(&database).map_err(|error| damaged(&path, error.to_string()))?;
    let keypair = files::key(dir, owner.is_some())?;
    let me = keypair.public().to_peer_id();
    match owner {
        None => write_owner(&database, &me.to_bytes()).map_err(|error| damaged(&path, error.to_string()))?,
        Some(owner) if owner == me.to_bytes() => {}
        Some(_) => {
            return Err(StartError::Store {
                what: format!("{} belongs to another peer", path.display()),
                detail: format!("the key beside it is that of {me}"),
                advice: "put the old identity.key back, or move the database away to start without its tasks",
            });
        }
    }
    let records = read(&database).map_err(|error| damaged(&path, error.to_string()))?;
    let certificate = files::certificate(dir)?;
    Ok(Opened { keypair, certificate, records, writer: StoreWriter::on_thread(database), note: None })
}

impl StoreWriter {
    fn on_thread(database: Database) -> Self {
        let (calls, waiting) = mpsc::sync_channel(WRITES_WAITING_MAX);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            write_calls(&database, &waiting);
            drop(database);
            // Nobody may wait for it.
            let _ = end.send(());
        });
        Self::Thread { calls, ended }
    }

    /// Write all or nothing; answers once it is on the disk. Calls take effect in their order.
    pub(crate) fn write(&self, writes: Vec<Write>) -> BoxFuture<'static, Result<(), String>> {
        let Self::Thread { calls, .. } = self else { return Box::pin(async { Ok(()) }) };
        let (done, answer) = oneshot::channel();
        match calls.try_send(Call { writes, done }) {
            Ok(()) => Box::pin(async { answer.await.unwrap_or_else(|_| Err("the database is closed".into())) }),
            Err(mpsc::TrySendError::Full(_)) => Box::pin(async { Err("the disk does not keep up".into()) }),
            Err(mpsc::TrySendError::Disconnected(_)) => Box::pin(async { Err("the database is closed".into()) }),
        }
    }

    /// Finish what was asked and close the database.
    pub(crate) async fn close(self) {
        if let Self::Thread { calls, ended } = self {
            drop(calls);
            // An error means that the thread has ended already.
            let _ = ended.await;
        }
    }
}

/// The thread: take what waits, write it in one transaction, answer.
fn write_calls(database: &Database, waiting: &mpsc::Receiver<Call>) {
    while let Ok(first) = waiting.recv() {
        let mut calls = vec![first];
        calls.extend(waiting.try_iter().take(WRITES_TOGETHER_MAX - 1));
        let result = write(database, calls.iter().flat_map(|call| &call.writes)).map_err(|error| error.to_string());
        for call in calls {
            // The driver may have ended; the data is on the disk all the same.
            let _ = call.done.send(result.clone());
        }
    }
}

fn write<'a>(database: &Database, writes: impl Iterator<Item = &'a Write>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for Write { table, key, value } in writes {
        let mut table = transaction.open_table(definition(*table))?;
        match value {
            Some(value) => table.insert(key.as_slice(), value.as_slice()).map(drop)?,
            None => table.remove(key.as_slice()).map(drop)?,
        }
    }
    Ok(transaction.commit()?)
}

fn read(database: &Database) -> Result<Vec<Record>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut records = Vec::new();
    for table in StoreTable::ALL {
        let open = match transaction.open_table(definition(table)) {
            Ok(open) => open,
            Err(redb::TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        for row in open.iter()? {
            let (key, value) = row?;
            records.push(Record { table, key: key.value().to_vec(), value: value.value().to_vec() });
        }
    }
    Ok(records)
}

fn read_owner(database: &Database) -> Result<Option<Vec<u8>>, redb::Error> {
    match database.begin_read()?.open_table(OWNER) {
        Ok(table) => Ok(table.get(OWNER_KEY)?.map(|owner| owner.value().to_vec())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write_owner(database: &Database, owner: &[u8]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(OWNER)?.insert(OWNER_KEY, owner)?;
    Ok(transaction.commit()?)
}

fn definition(table: StoreTable) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn locked(path: &Path) -> StartError {
    StartError::Store {
        what: format!("{} is in use", path.display()),
        detail: "another node runs on this directory".into(),
        advice: "stop that node, or choose another directory",
    }
}

fn damaged(path: &Path, detail: String) -> StartError {
    StartError::Store {
        what: format!("{} is damaged", path.display()),
        detail,
        advice: "restore it from a backup, or move it away to start without its tasks and receipts",
    }
}

#[cfg(test)]
mod tests;
