//! Signature checks, remembered for all nodes of a run: each node decides for itself, and the arithmetic is done
//! once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use mycomesh_core::wire::signed::{Strict, Verifier};
use sha2::{Digest, Sha256};

/// Answers remembered; at that many all are forgotten. 32 bytes each and some.
const REMEMBERED_MAX: usize = 1 << 18;

/// A checker of signatures that remembers what it checked. Clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct Remembering(Arc<Mutex<HashMap<[u8; 32], bool>>>);

impl Verifier for Remembering {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let question: [u8; 32] =
            Sha256::new().chain_update(key).chain_update(signature).chain_update(message).finalize().into();
        // Only looked up, never walked through: its order does not matter.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(&question) {
            return *answer;
        }
        let answer = Strict.verify(key, message, signature);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(question, answer);
        answer
    }
}
