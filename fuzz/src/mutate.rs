//! Hostile variations of a seed, the same ones every time: what a test without a fuzzer can do.

/// A small generator of numbers (xorshift64*, Vigna 2016). Not for secrets.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one below `end`; 0 when there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Bytes at which decoders turn: ends of ranges, CBOR's heads, protobuf's continuation.
const TURNS: [u8; 12] = [0x00, 0x01, 0x17, 0x18, 0x1b, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xf6, 0xff];

/// One to four changes of `seed`, some of them with parts of `other`.
pub(crate) fn mutate(numbers: &mut Numbers, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = at + numbers.below(bytes.len().saturating_sub(at).min(64) + 1);
        match numbers.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 if !bytes.is_empty() => bytes[at] = TURNS[numbers.below(TURNS.len())],
            2 if !bytes.is_empty() => bytes[at] = bytes[at].wrapping_add(numbers.below(256) as u8),
            3 => bytes.insert(at, TURNS[numbers.below(TURNS.len())]),
            4 => drop(bytes.drain(at..end.min(bytes.len()))),
            5 => {
                let piece = bytes[at.min(bytes.len())..end.min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => bytes.truncate(at),
            _ => {
                let from = numbers.below(other.len());
                let piece = other[from..].iter().take(numbers.below(64)).copied();
                bytes.splice(at..end.min(bytes.len()), piece);
            }
        }
    }
    bytes
}
