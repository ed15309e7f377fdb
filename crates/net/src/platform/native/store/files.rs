//! The small files beside the database: the key and the WebRTC certificate, both readable by their
//! owner only and written whole or not at all.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use libp2p::identity::{KeyType, Keypair};
use libp2p_webrtc::tokio::Certificate;

use crate::StartError;

/// The key's file name: libp2p's protobuf encoding.
const KEY: &str = "identity.key";
/// The certificate's file name: PEM. Its hash is part of our WebRTC addresses.
const CERTIFICATE: &str = "webrtc.pem";

/// Make the directory, with its parents.
pub(super) fn make_dir(dir: &Path) -> Result<(), StartError> {
    fs::create_dir_all(dir).map_err(|error| not_writable(dir, &error))
}

/// Let `make` make the file at `path`, unless it is there: under a name of this process's own first, so that a start
/// that is cut short leaves nothing half-made in its place.
pub(super) fn make_whole(path: &Path, make: impl Fn(&Path) -> Result<(), StartError>) -> Result<(), StartError> {
    if path.exists() {
        return Ok(());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", process::id()));
    let beside = PathBuf::from(beside);
    remove(&beside).map_err(|error| not_writable(&beside, &error))?;
    make(&beside)?;
    // A link never takes the place of what another process has made meanwhile. Not every file system has links.
    let placed = match fs::hard_link(&beside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) if !path.exists() => fs::rename(&beside, path),
        other => other,
    };
    placed.and_then(|()| remove(&beside)).map_err(|error| not_writable(path, &error))
}

/// Remove a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The key in `dir`; a new one where there is none. `wanted` says that there must be one, because the
/// database has an owner.
pub(super) fn key(dir: &Path, wanted: bool) -> Result<Keypair, StartError> {
    let path = dir.join(KEY);
    let damaged = |detail: String| StartError::Store {
        what: format!("the key in {} cannot be used", path.display()),
        detail,
        advice: "restore it from a backup, or reset the identity to start as a new peer",
    };
    match fs::read(&path) {
        Ok(bytes) => {
            let keypair = Keypair::from_protobuf_encoding(&bytes).map_err(|error| damaged(error.to_string()))?;
            match keypair.key_type() {
                KeyType::Ed25519 => Ok(keypair),
                other => Err(damaged(format!("it is a key of type {other:?}, not Ed25519"))),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && wanted => Err(damaged("it is gone".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keypair = Keypair::generate_ed25519();
            write_key(&path, &keypair)?;
            Ok(keypair)
        }
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Put the key aside, and another in its place if there is one.
pub(super) fn replace_key(dir: &Path, key: Option<&Keypair>) -> Result<(), StartError> {
    make_dir(dir)?;
    let path = dir.join(KEY);
    if path.exists() {
        put_aside(&path)?;
    }
    key.map_or(Ok(()), |key| write_key(&path, key))
}

/// The certificate in `dir`; a new one where there is none.
pub(super) fn certificate(dir: &Path) -> Result<Certificate, StartError> {
    let path = dir.join(CERTIFICATE);
    match fs::read_to_string(&path) {
        Ok(pem) => Certificate::from_pem(&pem).map_err(|error| StartError::Store {
            what: format!("the WebRTC certificate in {} cannot be used", path.display()),
            detail: error.to_string(),
            advice: "restore it from a backup, or delete it; browsers then need the new addresses",
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let certificate = new_certificate()?;
            write_private(&path, certificate.serialize_pem().as_bytes())?;
            Ok(certificate)
        }
        Err(error) => Err(not_writable(&path, &error)),
    }
}

/// A certificate that nobody knows yet.
pub(super) fn new_certificate() -> Result<Certificate, StartError> {
    Certificate::generate(&mut rand::rng())
        .map_err(|error| StartError::Unsupported(format!("no WebRTC certificate can be made: {error}")))
}

/// Rename a file to `<name>.old-<milliseconds>`, so that nothing is lost.
pub(super) fn put_aside(path: &Path) -> Result<(), StartError> {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".old-{millis}"));
    fs::rename(path, PathBuf::from(aside)).map_err(|error| not_writable(path, &error))
}

/// The directory, or a file in it, cannot be used.
pub(super) fn not_writable(path: &Path, error: &io::Error) -> StartError {
    StartError::Store {
        what: format!("{} cannot be written", path.display()),
        detail: error.to_string(),
        advice: "choose a data directory you may write to, or mend its permissions",
    }
}

fn write_key(path: &Path, keypair: &Keypair) -> Result<(), StartError> {
    let bytes = keypair.to_protobuf_encoding().map_err(|error| StartError::Unsupported(error.to_string()))?;
    write_private(path, &bytes)
}

/// Write a file that only its owner may read: beside its place first, then moved there.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    let beside = path.with_extension("new");
    let write = || {
        // A left-over of an interrupted start.
        remove(&beside)?;
        let mut file = private_options().write(true).create_new(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| not_writable(path, &error))
}

#[cfg(unix)]
fn private_options() -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn private_options() -> fs::OpenOptions {
    fs::OpenOptions::new()
}
