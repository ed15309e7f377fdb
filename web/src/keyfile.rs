//! The file in which a person carries an identity from one browser to another.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

const KIND: &str = "mycomesh-identity";

/// Larger files are not read: a real one has some 200 bytes.
pub const FILE_BYTES_MAX: usize = 4_096;

#[derive(Serialize, Deserialize)]
struct KeyFile {
    kind: String,
    version: u32,
    peer_id: String,
    /// The private key, libp2p's protobuf encoding in base64.
    key: String,
}

/// The file's text.
pub fn write(peer_id: &str, key: &[u8]) -> String {
    let file = KeyFile { kind: KIND.into(), version: 1, peer_id: peer_id.into(), key: BASE64_STANDARD.encode(key) };
    serde_json::to_string_pretty(&file).expect("texts and a number always serialize")
}

/// The peer id and key in a file; the error says what is wrong with it.
pub fn read(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    const FOREIGN: &str = "This is not an identity file; choose one that “Export” made";
    if text.len() > FILE_BYTES_MAX {
        return Err(FOREIGN);
    }
    let file: KeyFile = serde_json::from_str(text).map_err(|_| FOREIGN)?;
    if file.kind != KIND {
        return Err(FOREIGN);
    }
    if file.version != 1 {
        return Err("This identity file is of a newer version; update this page first");
    }
    let key = BASE64_STANDARD.decode(&file.key).map_err(|_| "The key in this file is damaged; export it again")?;
    Ok((file.peer_id, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&write("12D3", &[1, 2, 3])), Ok(("12D3".into(), vec![1, 2, 3])));
    }

    #[test]
    fn anything_else_is_refused_with_advice() {
        let check = |text: &str, expect: &str| assert!(read(text).expect_err(text).contains(expect), "{text}");
        check("", "not an identity file");
        check("{}", "not an identity file");
        check(&write("12D3", &[1]).replace("mycomesh-identity", "other"), "not an identity file");
        check(&write("12D3", &[1]).replace("\"version\": 1", "\"version\": 2"), "newer version");
        check(&write("12D3", &[1]).replace("AQ==", "A?=="), "damaged");
        check(&"x".repeat(10_000), "not an identity file");
    }
}
