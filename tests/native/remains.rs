//! What a killed process left in its folder, read without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mycomesh_core::{
    verify_receipt,
    wire::{Network, signed::Strict},
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

const DATABASE: &str = "mycomesh.redb";
const RECEIPTS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("receipts");

/// Receipts that were read and verified before: id, bytes and task.
pub type Receipts = BTreeMap<Vec<u8>, (Vec<u8>, String)>;

/// What is in a folder.
pub struct Remains {
    /// Whether there is a database at all.
    pub database: bool,
    /// The tasks of the receipts in it.
    pub tasks: BTreeSet<String>,
}

/// Read the database in `data`, or rather a copy, so that the process finds what it left. Or say what is wrong with it.
pub fn remains(data: &Path, seen: &mut Receipts) -> Result<Remains, String> {
    let mut remains = Remains { database: false, tasks: BTreeSet::new() };
    let original = data.join(DATABASE);
    if !original.exists() {
        return Ok(remains);
    }
    remains.database = true;
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join(DATABASE);
    fs::copy(&original, &copy).map_err(|error| error.to_string())?;
    let mut database = Database::open(&copy).map_err(|error| format!("it cannot be opened: {error}"))?;
    match database.check_integrity() {
        Ok(true) => {}
        Ok(false) => return Err("it is damaged beyond what opening it mends".into()),
        Err(error) => return Err(format!("it is damaged: {error}")),
    }
    let text = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
    let transaction = database.begin_read().map_err(|error| text(&error))?;
    let table = match transaction.open_table(RECEIPTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(remains),
        other => other.map_err(|error| text(&error))?,
    };
    for row in table.iter().map_err(|error| text(&error))? {
        let (key, value) = row.map_err(|error| text(&error))?;
        remains.tasks.insert(checked(key.value(), value.value(), seen)?);
    }
    Ok(remains)
}

/// The task of a receipt that verifies, or is the same as one that did.
fn checked(id: &[u8], bytes: &[u8], seen: &mut Receipts) -> Result<String, String> {
    if let Some((before, task)) = seen.get(id) {
        return if before == bytes { Ok(task.clone()) } else { Err(format!("the receipt of {task} has changed")) };
    }
    let signed = verify_receipt(bytes, &Network::default(), &Strict).map_err(|error| format!("a receipt: {error}"))?;
    if signed.cid.to_bytes() != id {
        return Err("a receipt is stored under another id than its own".into());
    }
    let task = signed.body.task.to_string();
    seen.insert(id.to_vec(), (bytes.to_vec(), task.clone()));
    Ok(task)
}
