//! A peer's key, taken out of one device and into another.

use libp2p::{PeerId, identity::Keypair};

use crate::{Handle, StartError, Store, platform};

/// The node's key, in libp2p's protobuf encoding. Whoever holds it is this peer.
pub fn export(handle: &Handle) -> Result<Vec<u8>, StartError> {
    handle.inner.keypair.to_protobuf_encoding().map_err(|error| StartError::Unsupported(error.to_string()))
}

/// Put a key made by [`export`] into `store`, in a browser into the slot of this tab. It takes
/// effect at the next start (in a browser: the next page load).
///
/// Tasks and receipts that another key left there belong to that other peer. Natively they are put
/// aside beside the database and the node must not be running; in a browser they are removed at the
/// next page load.
pub async fn import(store: &Store, key: &[u8]) -> Result<PeerId, StartError> {
    let keypair = parse(key)?;
    platform::replace_identity(store, Some(&keypair)).await?;
    Ok(keypair.public().to_peer_id())
}

/// Forget the key, tasks and receipts in `store`, in a browser those of this tab's slot; the next
/// start makes a new key. Also the way out of a damaged store. Natively the files are put aside, not
/// deleted, and the node must not be running.
pub async fn reset(store: &Store) -> Result<(), StartError> {
    platform::replace_identity(store, None).await
}

/// A key in libp2p's protobuf encoding. Only Ed25519: everything we sign is checked as that.
fn parse(key: &[u8]) -> Result<Keypair, StartError> {
    let damaged = |detail: String| StartError::Store {
        what: "this is not an exported identity".into(),
        detail,
        advice: "choose a file that `export` has written",
    };
    let keypair = Keypair::from_protobuf_encoding(key).map_err(|error| damaged(error.to_string()))?;
    match keypair.key_type() {
        libp2p::identity::KeyType::Ed25519 => Ok(keypair),
        other => Err(damaged(format!("it is a key of type {other:?}, not Ed25519"))),
    }
}
