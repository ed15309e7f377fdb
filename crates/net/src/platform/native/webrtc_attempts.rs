//! How many WebRTC-direct attempts of others may fail.
//!
//! libp2p-webrtc 0.10 never closes a peer connection whose handshake fails: its socket for multicast DNS and some 190 KiB
//! stay for as long as the process runs. One datagram with an invented name makes such an attempt, from any address its
//! sender likes to write on it. So failures are counted, and once there were [`FAILED_MAX`] this node takes no further
//! attempts until it is started again; its other transports go on. Measured by `tests/attack`.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::FutureExt as _;

use super::inbound::Handshake;

/// Attempts that may fail in a node's life. All of them together cost 512 sockets and 95 MiB.
const FAILED_MAX: usize = 512;

/// The attempts of others: those under way, which may fail, and those that did.
#[derive(Clone, Default)]
pub(crate) struct Attempts(Arc<AtomicUsize>);

/// Counts as failed unless it is taken back.
struct Attempt(Arc<AtomicUsize>);

impl Attempts {
    /// The attempt, or an error before it has begun.
    pub(crate) fn admit<O: Send + 'static>(&self, handshake: Handshake<O>) -> Handshake<O> {
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < FAILED_MAX).then_some(count + 1));
        match before {
            Ok(before) => {
                if before + 1 == FAILED_MAX {
                    tracing::warn!(
                        "{FAILED_MAX} attempts to connect by WebRTC-direct have failed; no more are taken until this \
                         program is started again, since each costs memory for good. Other transports go on"
                    );
                }
                let attempt = Attempt(self.0.clone());
                async move {
                    let connection = handshake.await?;
                    attempt.succeeded();
                    Ok(connection)
                }
                .boxed()
            }
            Err(_) => std::future::ready(Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "too many attempts to connect by WebRTC-direct have failed",
            )))
            .boxed(),
        }
    }
}

impl Attempt {
    fn succeeded(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use futures::executor::block_on;

    use super::*;

    fn attempt(attempts: &Attempts, ends_well: bool) -> (bool, bool) {
        let begun = Arc::new(AtomicBool::new(false));
        let begins = begun.clone();
        let handshake = async move {
            begins.store(true, Ordering::Relaxed);
            if ends_well { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
        };
        let ended = block_on(attempts.admit(handshake.boxed()));
        (begun.load(Ordering::Relaxed), ended.is_ok())
    }

    #[test]
    fn what_fails_costs_a_place_for_good_and_what_succeeds_gives_it_back() {
        let attempts = Attempts::default();
        assert!((0..2 * FAILED_MAX).all(|_| attempt(&attempts, true) == (true, true)));
        assert!((0..FAILED_MAX - 1).all(|_| attempt(&attempts, false) == (true, false)));
        assert_eq!(attempt(&attempts, true), (true, true), "one place is left");
        drop(attempts.admit(async { Ok(()) }.boxed()));
        assert_eq!(attempt(&attempts, true), (false, false), "one that is given up failed, too, and none is begun now");
    }
}
