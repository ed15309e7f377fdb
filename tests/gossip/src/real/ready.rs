//! Which swarms were woken, in the order of waking.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

/// Woken swarms, by number, each once.
pub struct Ready {
    shared: Arc<Shared>,
    entries: Vec<Arc<Entry>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<VecDeque<usize>>,
    /// Something was put into the queue. Timers do so from their own thread.
    filled: Condvar,
}

struct Entry {
    node: usize,
    is_queued: AtomicBool,
    shared: Arc<Shared>,
}

impl Ready {
    /// So many swarms, all of them woken.
    pub fn all(count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let entry = |node| Arc::new(Entry { node, is_queued: AtomicBool::new(false), shared: shared.clone() });
        let entries: Vec<_> = (0..count).map(entry).collect();
        for entry in &entries {
            entry.enqueue();
        }
        Self { shared, entries }
    }

    /// The swarm woken first. Whatever wakes it from now on puts it into the queue again.
    pub fn pop(&self) -> Option<usize> {
        let node = self.shared.lock().pop_front()?;
        self.entries[node].is_queued.store(false, Ordering::SeqCst);
        Some(node)
    }

    /// Wake a swarm, because something was done to it.
    pub fn wake(&self, node: usize) {
        self.entries[node].enqueue();
    }

    /// What wakes a swarm.
    pub fn waker(&self, node: usize) -> Waker {
        self.entries[node].clone().into()
    }

    /// Until a swarm is woken, or `limit` passed.
    pub fn wait(&self, limit: Duration) {
        let queue = self.shared.lock();
        let waited = self.shared.filled.wait_timeout_while(queue, limit, |queue| queue.is_empty());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Entry {
    fn enqueue(&self) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            self.shared.lock().push_back(self.node);
            self.shared.filled.notify_one();
        }
    }
}

impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.enqueue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.enqueue();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_waits_once_however_often_it_is_woken() {
        let ready = Ready::all(2);
        ready.wake(0);
        assert_eq!((ready.pop(), ready.pop(), ready.pop()), (Some(0), Some(1), None));
        ready.waker(1).wake_by_ref();
        ready.waker(0).wake();
        ready.wake(1);
        assert_eq!((ready.pop(), ready.pop(), ready.pop()), (Some(1), Some(0), None));
    }
}
