//! Room for connections that are half-way in: accepted, and neither encrypted nor authenticated yet.
//!
//! Opening a connection and saying nothing costs a stranger next to nothing. If such connections could take every place,
//! a few hundred of them would lock everybody out. So a newcomer always gets a place: the oldest half-open connection
//! makes room. An honest handshake takes some round trips; it survives as long as fewer than [`HALF_OPEN_MAX`] strangers
//! arrive in that time.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};

use super::inbound::Handshake;

/// Connections half-way in at a time. Each costs a socket, a task and some 20 KiB, so that all of them together cost
/// 10 MiB. 512 make room for the handshakes of 500 honest peers a second at a second each.
pub(crate) const HALF_OPEN_MAX: usize = 512;

/// The places of all who are half-way in.
#[derive(Clone, Default)]
pub(crate) struct HalfOpen(Arc<Mutex<Places>>);

/// Who is half-way in, oldest first.
#[derive(Default)]
struct Places {
    taken: BTreeMap<u64, AbortHandle>,
    last: u64,
}

/// A place that is given back when the handshake has ended, well or not.
struct Place {
    places: Arc<Mutex<Places>>,
    number: u64,
}

impl HalfOpen {
    /// The handshake, until it ends or somebody newer needs its place.
    pub(crate) fn admit<O: Send + 'static>(&self, handshake: Handshake<O>) -> Handshake<O> {
        let (handle, registration) = AbortHandle::new_pair();
        let place = Place::take(&self.0, handle);
        let handshake = Abortable::new(handshake, registration);
        async move {
            let ended = handshake.await;
            drop(place);
            ended.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "newer connections needed its place")))
        }
        .boxed()
    }
}

impl Place {
    fn take(places: &Arc<Mutex<Places>>, handle: AbortHandle) -> Self {
        let mut held = places.lock().unwrap_or_else(PoisonError::into_inner);
        held.last += 1;
        let number = held.last;
        held.taken.insert(number, handle);
        if held.taken.len() > HALF_OPEN_MAX
            && let Some((_, oldest)) = held.taken.pop_first()
        {
            oldest.abort();
        }
        Self { places: places.clone(), number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::{channel::oneshot, executor::block_on, future::poll_immediate};

    use super::*;

    fn begin(places: &HalfOpen) -> (oneshot::Sender<io::Result<usize>>, Handshake<usize>) {
        let (end, ended) = oneshot::channel();
        let handshake = async { ended.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())) };
        (end, places.admit(handshake.boxed()))
    }

    fn taken(places: &HalfOpen) -> usize {
        places.0.lock().expect("no test panicked inside").taken.len()
    }

    #[test]
    fn the_oldest_gives_way_and_the_newest_gets_in() {
        let places = HalfOpen::default();
        let mut silent: Vec<_> = (0..HALF_OPEN_MAX).map(|_| begin(&places)).collect();
        assert!(silent.iter_mut().all(|(_, handshake)| block_on(poll_immediate(handshake)).is_none()));
        let (end, newest) = begin(&places);
        assert_eq!(taken(&places), HALF_OPEN_MAX);
        end.send(Ok(7)).expect("it waits");
        assert_eq!(block_on(newest).ok(), Some(7));
        let outcomes = silent.iter_mut().map(|(_, handshake)| block_on(poll_immediate(handshake)));
        let outcomes: Vec<_> = outcomes.map(|outcome| outcome.map(|ended| ended.is_ok())).collect();
        assert_eq!(outcomes[0], Some(false), "the oldest was given up");
        assert!(outcomes[1..].iter().all(Option::is_none), "and nobody else");
    }

    #[test]
    fn a_place_comes_back_when_its_handshake_ends_or_is_dropped() {
        let places = HalfOpen::default();
        let (end, handshake) = begin(&places);
        let (_, dropped) = begin(&places);
        assert_eq!(taken(&places), 2);
        drop(dropped);
        end.send(Err(io::ErrorKind::InvalidData.into())).expect("it waits");
        assert!(block_on(handshake).is_err());
        assert_eq!(taken(&places), 0);
    }
}
