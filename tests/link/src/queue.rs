//! Packets that are under way.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Where packets go in.
pub struct Queue {
    packets: mpsc::SyncSender<(Instant, Vec<u8>)>,
    delay: Duration,
}

/// Where they come out.
pub struct Receiver(mpsc::Receiver<(Instant, Vec<u8>)>);

/// At most `packets_max` packets, each under way for `delay`.
pub fn new(packets_max: usize, delay: Duration) -> (Queue, Receiver) {
    let (sender, receiver) = mpsc::sync_channel(packets_max);
    (Queue { packets: sender, delay }, Receiver(receiver))
}

impl Queue {
    /// Let a packet set out, or lose it where there are too many; `false` when nobody takes packets out any more.
    pub fn put(&self, packet: &[u8]) -> bool {
        let due = Instant::now() + self.delay;
        !matches!(self.packets.try_send((due, packet.to_vec())), Err(mpsc::TrySendError::Disconnected(_)))
    }
}

impl Receiver {
    /// The next packet, once it is due; nothing when no more can come.
    pub fn take(&self) -> Option<Vec<u8>> {
        let (due, packet) = self.0.recv().ok()?;
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_in_order_and_not_early() {
        let delay = Duration::from_millis(5);
        let (queue, receiver) = new(8, delay);
        let started = Instant::now();
        for packet in [b"a", b"b", b"c"] {
            assert!(queue.put(packet));
        }
        for packet in [b"a", b"b", b"c"] {
            assert_eq!(receiver.take().as_deref(), Some(packet.as_slice()));
            assert!(started.elapsed() >= delay);
        }
    }

    #[test]
    fn a_full_link_loses_what_comes_then() {
        let (queue, receiver) = new(2, Duration::ZERO);
        for packet in [b"a", b"b", b"c"] {
            assert!(queue.put(packet), "a lost packet is no failure");
        }
        drop(queue);
        assert_eq!(receiver.take().as_deref(), Some(b"a".as_slice()));
        assert_eq!(receiver.take().as_deref(), Some(b"b".as_slice()));
        assert_eq!(receiver.take(), None);
    }

    #[test]
    fn nobody_at_the_other_end_is_noticed() {
        let (queue, receiver) = new(2, Duration::ZERO);
        drop(receiver);
        assert!(!queue.put(b"a"));
    }
}
