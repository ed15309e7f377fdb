//! Which swarms were woken, in the order of waking.
//!
//! Timers wake nobody: they are heartbeats, and on both sides all hearts beat at once, when everybody is woken together.
//! How many grafts cross each other depends on it, and must not depend on how busy the machine is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
    thread::{self, ThreadId},
};

/// Woken swarms, by number, each once.
pub struct Ready {
    shared: Arc<Shared>,
    wakers: Vec<Waker>,
}

struct Shared {
    state: Mutex<State>,
    /// Where swarms are polled. Timers wake from a thread of their own.
    home: ThreadId,
}

struct State {
    queue: VecDeque<usize>,
    is_queued: Vec<bool>,
}

struct Entry {
    node: usize,
    shared: Arc<Shared>,
}

impl Ready {
    /// So many swarms, all of them woken. They are polled in this thread.
    pub fn all(count: usize) -> Self {
        let state = State { queue: (0..count).collect(), is_queued: vec![true; count] };
        let shared = Arc::new(Shared { state: Mutex::new(state), home: thread::current().id() });
        let waker = |node| Arc::new(Entry { node, shared: shared.clone() }).into();
        Self { wakers: (0..count).map(waker).collect(), shared }
    }

    /// The swarm woken first. Whatever wakes it from now on puts it into the queue again.
    pub fn pop(&self) -> Option<usize> {
        let mut state = self.shared.lock();
        let node = state.queue.pop_front()?;
        state.is_queued[node] = false;
        Some(node)
    }

    /// What wakes a swarm.
    pub fn waker(&self, node: usize) -> &Waker {
        &self.wakers[node]
    }

    /// Wakes every swarm.
    pub fn wake_all(&self) {
        self.wakers.iter().for_each(Waker::wake_by_ref);
    }
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() != self.shared.home {
            return;
        }
        let mut state = self.shared.lock();
        if !std::mem::replace(&mut state.is_queued[self.node], true) {
            state.queue.push_back(self.node);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popped(ready: &Ready) -> Vec<usize> {
        std::iter::from_fn(|| ready.pop()).collect()
    }

    #[test]
    fn a_swarm_waits_once_however_often_it_is_woken() {
        let ready = Ready::all(2);
        ready.waker(0).wake_by_ref();
        assert_eq!(popped(&ready), [0, 1]);
        for node in [1, 0, 1] {
            ready.waker(node).wake_by_ref();
        }
        assert_eq!(popped(&ready), [1, 0]);
    }

    #[test]
    fn timers_wake_nobody() {
        let ready = Ready::all(2);
        assert_eq!(popped(&ready), [0, 1]);
        thread::scope(|scope| _ = scope.spawn(|| ready.waker(1).wake_by_ref()));
        assert!(popped(&ready).is_empty());
        ready.wake_all();
        assert_eq!(popped(&ready), [0, 1]);
    }
}
