//! What survives a reload: one IndexedDB database for each identity slot, with an object store for
//! each of core's tables and one for the key.
//!
//! One task writes, in the order of the calls, several calls in one transaction when they pile up; a
//! call is answered once its transaction has been committed. Where a browser has no lasting storage
//! the node runs in memory and says so (`Handle::storage_note`).

use std::fmt::Display;

use idb::{Database, DatabaseEvent as _, Factory, ObjectStoreParams, Query, TransactionMode};
use js_sys::Uint8Array;
use libp2p::identity::Keypair;
use mycomesh_core::io::{Record, StoreTable, Write};
use tokio::sync::{mpsc, oneshot};
use wasm_bindgen::{JsCast, JsValue};

use super::{
    BoxFuture,
    slot::{self, Slot},
};
use crate::{StartError, Store};

/// Version of the layout below.
const LAYOUT: u32 = 1;
/// The object store of the key.
const IDENTITY: &str = "identity";
/// The key in use: libp2p's protobuf encoding.
const KEY: &str = "key";
/// What replaces it at the next page load: a key, or nothing for a new one. The running page keeps
/// writing under the old identity until then, so the tables are emptied at that moment and not before.
const NEXT: &str = "next";
/// Calls that may wait for the database. As natively.
const WRITES_WAITING_MAX: usize = 1_024;
/// Calls in one transaction. As natively.
const WRITES_TOGETHER_MAX: usize = 128;

/// A store that has been opened and read.
pub(crate) struct Opened {
    pub(crate) keypair: Keypair,
    /// A page has no certificate of its own.
    pub(crate) certificate: (),
    pub(crate) records: Vec<Record>,
    pub(crate) writer: StoreWriter,
    /// Why nothing will survive, if so.
    pub(crate) note: Option<String>,
}

/// Where writes go.
pub(crate) enum StoreWriter {
    /// Nowhere.
    Memory,
    /// To the task that owns the database.
    Task { calls: mpsc::Sender<Call>, ended: oneshot::Receiver<()> },
}

/// One call to [`StoreWriter::write`].
pub(crate) struct Call {
    writes: Vec<Write>,
    done: oneshot::Sender<Result<(), String>>,
}

/// Open a store: read its key, or make one, and all its records.
pub(crate) async fn open_store(store: &Store) -> Result<Opened, StartError> {
    match store {
        Store::Memory => Ok(in_memory(None)),
        Store::Dir(_) => Err(StartError::Unsupported("a browser has no directories".into())),
        Store::Browser => match claim_and_open().await {
            Ok((slot, database)) => open_slot(slot, database).await,
            Err(why) => {
                Ok(in_memory(Some(format!("nothing will be kept after this visit, not even the identity: {why}"))))
            }
        },
    }
}

/// Note in this tab's slot what its identity is to be at the next page load.
pub(crate) async fn replace_identity(store: &Store, key: Option<&Keypair>) -> Result<(), StartError> {
    if !matches!(store, Store::Browser) {
        return Err(StartError::Unsupported("only a stored identity can be replaced".into()));
    }
    let key = match key {
        Some(key) => key.to_protobuf_encoding().map_err(|error| StartError::Unsupported(error.to_string()))?,
        None => Vec::new(),
    };
    let database = open_database(slot::remembered().unwrap_or_default()).await.map_err(unusable)?;
    let result = put_identity(&database, NEXT, &key).await.map_err(unusable);
    database.close();
    result
}

fn in_memory(note: Option<String>) -> Opened {
    let keypair = Keypair::generate_ed25519();
    Opened { keypair, certificate: (), records: Vec::new(), writer: StoreWriter::Memory, note }
}

/// The error says why there is no lasting storage here.
async fn claim_and_open() -> Result<(Slot, Database), String> {
    let slot = slot::claim().await?;
    let database = open_database(slot.number).await.map_err(|error| error.to_string())?;
    Ok((slot, database))
}

async fn open_slot(slot: Slot, database: Database) -> Result<Opened, StartError> {
    if let Err(error) = take_over_next(&database).await {
        return Err(unusable(error));
    }
    // Beside each other: every answer of the database is a turn of the page's own loop.
    let (stored, records) = futures::try_join!(identity(&database, KEY), read(&database)).map_err(unusable)?;
    let keypair = match stored {
        Some(bytes) => parse(&bytes)?,
        None => {
            let keypair = Keypair::generate_ed25519();
            let bytes = keypair.to_protobuf_encoding().map_err(|error| StartError::Unsupported(error.to_string()))?;
            put_identity(&database, KEY, &bytes).await.map_err(unusable)?;
            keypair
        }
    };
    Ok(Opened { keypair, certificate: (), records, writer: StoreWriter::on_task(slot, database), note: None })
}

impl StoreWriter {
    fn on_task(slot: Slot, database: Database) -> Self {
        let (calls, waiting) = mpsc::channel(WRITES_WAITING_MAX);
        let (end, ended) = oneshot::channel();
        wasm_bindgen_futures::spawn_local(async move {
            write_calls(&database, waiting).await;
            database.close();
            drop(slot);
            // Nobody may wait for it.
            let _ = end.send(());
        });
        Self::Task { calls, ended }
    }

    /// Write all or nothing; answers once it is committed. Calls take effect in their order.
    pub(crate) fn write(&self, writes: Vec<Write>) -> BoxFuture<'static, Result<(), String>> {
        let Self::Task { calls, .. } = self else { return Box::pin(async { Ok(()) }) };
        let (done, answer) = oneshot::channel();
        match calls.try_send(Call { writes, done }) {
            Ok(()) => Box::pin(async { answer.await.unwrap_or_else(|_| Err("the database is closed".into())) }),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Box::pin(async { Err("the browser's storage does not keep up".into()) })
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Box::pin(async { Err("the database is closed".into()) }),
        }
    }

    /// Finish what was asked, close the database and free the slot.
    pub(crate) async fn close(self) {
        if let Self::Task { calls, ended } = self {
            drop(calls);
            // An error means that the task has ended already.
            let _ = ended.await;
        }
    }
}

/// The task: take what waits, write it in one transaction, answer.
async fn write_calls(database: &Database, mut waiting: mpsc::Receiver<Call>) {
    while let Some(first) = waiting.recv().await {
        let mut calls = vec![first];
        while let Some(call) = (calls.len() < WRITES_TOGETHER_MAX).then(|| waiting.try_recv().ok()).flatten() {
            calls.push(call);
        }
        let writes = calls.iter().flat_map(|call| &call.writes);
        let result = write(database, writes).await.map_err(|error| error.to_string());
        for call in calls {
            // The driver may have ended; the data is stored all the same.
            let _ = call.done.send(result.clone());
        }
    }
}

async fn write<'a>(database: &Database, writes: impl Iterator<Item = &'a Write>) -> Result<(), idb::Error> {
    let transaction = database.transaction(&StoreTable::ALL.map(StoreTable::name), TransactionMode::ReadWrite)?;
    for Write { table, key, value } in writes {
        let store = transaction.object_store(table.name())?;
        let key = bytes(key);
        match value {
            Some(value) => store.put(&bytes(value), Some(&key)).map(drop)?,
            None => store.delete(Query::from(key)).map(drop)?,
        }
    }
    transaction.await.map(drop)
}

async fn read(database: &Database) -> Result<Vec<Record>, idb::Error> {
    let transaction = database.transaction(&StoreTable::ALL.map(StoreTable::name), TransactionMode::ReadOnly)?;
    let mut asked = Vec::new();
    for table in StoreTable::ALL {
        let store = transaction.object_store(table.name())?;
        // Both are in the order of the keys.
        asked.push((table, store.get_all_keys(None, None)?, store.get_all(None, None)?));
    }
    let mut records = Vec::new();
    for (table, keys, values) in asked {
        let (keys, values) = (keys.await?, values.await?);
        for (key, value) in keys.iter().zip(&values) {
            match (to_bytes(key), to_bytes(value)) {
                (Some(key), Some(value)) => records.push(Record { table, key, value }),
                _ => tracing::warn!(table = table.name(), "left out a stored record that is not bytes"),
            }
        }
    }
    Ok(records)
}

/// Carry out what [`replace_identity`] noted, in one transaction.
async fn take_over_next(database: &Database) -> Result<(), idb::Error> {
    let Some(next) = identity(database, NEXT).await? else { return Ok(()) };
    let same = identity(database, KEY).await?.as_ref() == Some(&next);
    let mut names = vec![IDENTITY];
    names.extend(StoreTable::ALL.map(StoreTable::name));
    let transaction = database.transaction(&names, TransactionMode::ReadWrite)?;
    let store = transaction.object_store(IDENTITY)?;
    store.delete(Query::from(JsValue::from(NEXT)))?;
    if !same {
        for table in StoreTable::ALL {
            transaction.object_store(table.name())?.clear()?;
        }
        if next.is_empty() {
            store.delete(Query::from(JsValue::from(KEY)))?;
        } else {
            store.put(&bytes(&next), Some(&JsValue::from(KEY)))?;
        }
    }
    transaction.await.map(drop)
}

/// What is stored under `name` beside the tables; nothing readable counts as empty.
async fn identity(database: &Database, name: &str) -> Result<Option<Vec<u8>>, idb::Error> {
    let transaction = database.transaction(&[IDENTITY], TransactionMode::ReadOnly)?;
    let value = transaction.object_store(IDENTITY)?.get(Query::from(JsValue::from(name)))?.await?;
    Ok(value.map(|value| to_bytes(&value).unwrap_or_default()))
}

/// Store `value` under `name` beside the tables.
pub(super) async fn put_identity(database: &Database, name: &str, value: &[u8]) -> Result<(), idb::Error> {
    let transaction = database.transaction(&[IDENTITY], TransactionMode::ReadWrite)?;
    transaction.object_store(IDENTITY)?.put(&bytes(value), Some(&JsValue::from(name)))?;
    transaction.await.map(drop)
}

/// The database of a slot.
pub(super) async fn open_database(slot: u32) -> Result<Database, idb::Error> {
    let mut request = Factory::new()?.open(&format!("mycomesh-{slot}"), Some(LAYOUT))?;
    request.on_upgrade_needed(|event| {
        let Ok(database) = event.database() else { return };
        for name in StoreTable::ALL.map(StoreTable::name).into_iter().chain([IDENTITY]) {
            if let Err(error) = database.create_object_store(name, ObjectStoreParams::new()) {
                tracing::error!(%error, name, "an object store could not be made");
            }
        }
    });
    request.await
}

fn parse(key: &[u8]) -> Result<Keypair, StartError> {
    Keypair::from_protobuf_encoding(key).map_err(|error| StartError::Store {
        what: "the identity stored in this browser is damaged".into(),
        detail: error.to_string(),
        advice: "import your exported identity, or reset it to start as a new peer",
    })
}

fn unusable(error: impl Display) -> StartError {
    StartError::Store {
        what: "this browser's storage cannot be used".into(),
        detail: error.to_string(),
        advice: "free some space, or clear this site's data in the browser's settings to start anew",
    }
}

fn bytes(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// Bytes as IndexedDB gives them back: values as arrays, keys as buffers.
fn to_bytes(value: &JsValue) -> Option<Vec<u8>> {
    let is_buffer = value.is_instance_of::<Uint8Array>() || value.is_instance_of::<js_sys::ArrayBuffer>();
    is_buffer.then(|| Uint8Array::new(value).to_vec())
}
