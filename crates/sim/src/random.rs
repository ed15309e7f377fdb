//! Randomness from one seed: a stream for each concern, so that another fault or another question does not
//! change how long every frame travels.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng};
use sha2::{Digest, Sha256};

/// One stream.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

/// A stream for each concern.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Who is what: kinds, clocks, slots.
    pub cast: Rng,
    /// How long what travels.
    pub network: Rng,
    /// The gossip protocol's own choices.
    pub gossip: Rng,
    /// What breaks, and when.
    pub faults: Rng,
    /// Who asks whom.
    pub workload: Rng,
    /// What hostile peers do.
    pub byzantine: Rng,
}

impl Streams {
    /// All streams of `seed`.
    pub fn new(seed: u64) -> Self {
        let stream = |concern| Rng::new(seed, concern);
        Self {
            cast: stream("cast"),
            network: stream("network"),
            gossip: stream("gossip"),
            faults: stream("faults"),
            workload: stream("workload"),
            byzantine: stream("byzantine"),
        }
    }
}

impl Rng {
    /// The stream of one concern.
    pub fn new(seed: u64, concern: &str) -> Self {
        Self(ChaCha8Rng::from_seed(bytes(seed, concern, 0)))
    }

    /// A number below `bound`; zero when `bound` is.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.next_u64() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `permille` of 1,000 cases.
    pub fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.below(1_000) < permille
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len() as u64) as usize).copied()
    }

    /// Any order of them, each as likely as the others.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// 32 bytes that belong to a seed, a concern and a number: keys, and the seeds of nodes.
pub fn bytes(seed: u64, concern: &str, number: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"mycomesh-sim/1/");
    hash.update(concern.as_bytes());
    hash.update(seed.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.finalize().into()
}

/// A number that belongs to a seed and a pair, the same in both directions.
pub fn of_pair(seed: u64, a: u32, b: u32) -> u64 {
    let (low, high) = (a.min(b), a.max(b));
    mix(mix(seed ^ u64::from(low)) ^ u64::from(high))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_does_not_depend_on_how_much_another_was_used() {
        let (mut a, mut b) = (Streams::new(7), Streams::new(7));
        (0..100).for_each(|_| _ = a.faults.below(9));
        assert_eq!(a.network.bytes::<32>(), b.network.bytes::<32>());
        assert_ne!(a.network.bytes::<32>(), Streams::new(8).network.bytes::<32>());
    }

    #[test]
    fn a_pair_has_one_number_in_both_directions() {
        assert_eq!(of_pair(1, 2, 3), of_pair(1, 3, 2));
        assert_ne!(of_pair(1, 2, 3), of_pair(1, 2, 4));
    }
}
