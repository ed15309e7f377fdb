//! Bytes that look random and follow from a seed; `tests/browser/lab/pattern.mjs` is the same.

use sha2::{Digest as _, Sha256};

/// Bytes made and written at a time.
pub const CHUNK: usize = 64 * 1024;

/// xorshift32, each word little endian.
pub struct Pattern(u32);

impl Pattern {
    /// From a seed; zero would stay zero and counts as one.
    pub fn new(seed: u32) -> Self {
        Self(seed.max(1))
    }

    /// Fill `bytes`; only whole words go on where the last call ended.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(4) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

/// The SHA-256 of the first `count` bytes.
pub fn digest(count: u64, seed: u32) -> [u8; 32] {
    let mut pattern = Pattern::new(seed);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut left = count;
    while left > 0 {
        let size = left.min(CHUNK as u64) as usize;
        pattern.fill(&mut chunk[..size]);
        hash.update(&chunk[..size]);
        left -= size as u64;
    }
    hash.finalize().into()
}
