//! Which swarms were woken, in the order of waking, and which only by a timer.
//!
//! Timers are heartbeats. On both sides all hearts beat at once: a swarm that a timer woke waits until one woke every
//! other, too. How many grafts cross each other depends on it, and must not depend on how busy the machine is.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

/// Woken swarms, by number, each once.
pub struct Ready {
    shared: Arc<Shared>,
    wakers: Vec<Waker>,
}

struct Shared {
    state: Mutex<State>,
    /// A timer woke a swarm.
    timed: Condvar,
    /// Where swarms are polled. Timers wake from a thread of their own.
    home: ThreadId,
}

struct State {
    queue: VecDeque<usize>,
    is_queued: Vec<bool>,
    timed: BTreeSet<usize>,
}

struct Entry {
    node: usize,
    shared: Arc<Shared>,
}

impl Ready {
    /// So many swarms, all of them woken. They are polled in this thread.
    pub fn all(count: usize) -> Self {
        let state = State { queue: (0..count).collect(), is_queued: vec![true; count], timed: BTreeSet::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), timed: Condvar::new(), home: thread::current().id() });
        let waker = |node| Arc::new(Entry { node, shared: shared.clone() }).into();
        Self { wakers: (0..count).map(waker).collect(), shared }
    }

    /// The swarm woken first. Whatever wakes it from now on puts it into the queue again.
    pub fn pop(&self) -> Option<usize> {
        let mut state = self.shared.lock();
        let node = state.queue.pop_front()?;
        state.is_queued[node] = false;
        // Its timers are looked at, too.
        state.timed.remove(&node);
        Some(node)
    }

    /// What wakes a swarm.
    pub fn waker(&self, node: usize) -> &Waker {
        &self.wakers[node]
    }

    /// Waits until timers woke every swarm and `earliest` has come, or for `limit`. All swarms are in the queue then.
    pub fn wait_for_timers(&self, earliest: Instant, limit: Duration) {
        let state = self.shared.lock();
        let some_sleep = |state: &mut State| state.timed.len() < state.is_queued.len();
        let waited = self.shared.timed.wait_timeout_while(state, limit, some_sleep);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        thread::sleep(earliest.saturating_duration_since(Instant::now()));
        self.wake_all();
    }

    /// Puts every swarm into the queue.
    pub fn wake_all(&self) {
        let mut state = self.shared.lock();
        (0..self.wakers.len()).for_each(|node| state.enqueue(node));
    }
}

impl State {
    fn enqueue(&mut self, node: usize) {
        if !std::mem::replace(&mut self.is_queued[node], true) {
            self.queue.push_back(node);
        }
    }
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.shared.lock();
        if thread::current().id() == self.shared.home {
            state.enqueue(self.node);
        } else {
            state.timed.insert(self.node);
            self.shared.timed.notify_one();
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

    /// As a timer does.
    fn wake_elsewhere(ready: &Ready, node: usize) {
        thread::scope(|scope| _ = scope.spawn(|| ready.waker(node).wake_by_ref()));
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
    fn swarms_that_timers_woke_wait_for_each_other() {
        let ready = Ready::all(2);
        assert_eq!(popped(&ready), [0, 1]);
        wake_elsewhere(&ready, 1);
        assert!(popped(&ready).is_empty());
        wake_elsewhere(&ready, 0);
        ready.wait_for_timers(Instant::now(), Duration::from_secs(60));
        assert_eq!(popped(&ready), [0, 1]);
    }
}
