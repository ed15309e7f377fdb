//! Circuits this node listens on, one for each relay that was asked.

use std::collections::BTreeMap;

use libp2p::{PeerId, core::transport::ListenerId};

/// One reservation, asked for or granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    pub(crate) listener: ListenerId,
    pub(crate) granted: bool,
    /// Nobody wants it any more; it goes as soon as libp2p has finished with it.
    pub(crate) unwanted: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Reservations(BTreeMap<PeerId, Reservation>);

impl Reservations {
    pub(crate) fn asked(&mut self, relay: PeerId, listener: ListenerId) {
        self.0.insert(relay, Reservation { listener, granted: false, unwanted: false });
    }

    /// Whether `relay` has been asked and neither refused nor lost the reservation since.
    pub(crate) fn get_mut(&mut self, relay: &PeerId) -> Option<&mut Reservation> {
        self.0.get_mut(relay)
    }

    /// A listener closed; if it was a circuit's, whose and what became of it.
    pub(crate) fn closed(&mut self, listener: ListenerId) -> Option<(PeerId, Reservation)> {
        let relay = *self.0.iter().find(|(_, reservation)| reservation.listener == listener)?.0;
        self.0.remove(&relay).map(|reservation| (relay, reservation))
    }
}
