//! Links that take time, without a clock.
//!
//! Time is counted in rounds. What is written to a link can be read from it so many rounds later, and a round ends when
//! no swarm has anything left to do in it. So a frame's way does not depend on how long encryption takes or which swarm
//! was polled first, and a link of the model that takes as many units of virtual time is the same link.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite, ready};

/// The rounds of one world.
#[derive(Clone, Default)]
pub struct Rounds(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: u64,
    /// What a link takes that is made now.
    latency: u64,
    /// Who holds something back until which round.
    holding: BTreeMap<u64, Vec<Waker>>,
}

impl Rounds {
    /// Which round it is.
    pub fn now(&self) -> u64 {
        self.lock().now
    }

    /// The next round in which anything arrives.
    pub fn next(&self) -> Option<u64> {
        self.lock().holding.first_key_value().map(|(due, _)| *due)
    }

    /// Lets a round begin, and what is due by then arrive.
    pub fn begin(&self, round: u64) {
        let mut state = self.lock();
        let round = state.now.max(round);
        state.now = round;
        let later = state.holding.split_off(&(round + 1));
        let due = std::mem::replace(&mut state.holding, later);
        drop(state);
        due.into_values().flatten().for_each(Waker::wake);
    }

    /// Links made from now on take so many rounds.
    pub fn set_latency(&self, rounds: u32) {
        self.lock().latency = rounds.into();
    }

    /// One end of a link.
    pub fn end<S>(&self, stream: S) -> End<S> {
        End { stream, latency: self.lock().latency, rounds: self.clone(), held: VecDeque::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a link: holds back what is written to it.
pub struct End<S> {
    stream: S,
    latency: u64,
    rounds: Rounds,
    /// Bytes, and the round in which they arrive.
    held: VecDeque<(u64, VecDeque<u8>)>,
}

impl<S: AsyncWrite + Unpin> End<S> {
    /// Hands over what is due.
    fn hand_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let now = self.rounds.lock().now;
        let mut handed = false;
        while let Some((_, bytes)) = self.held.front_mut().filter(|(due, _)| *due <= now) {
            let (head, _) = bytes.as_slices();
            match Pin::new(&mut self.stream).poll_write(cx, head)? {
                Poll::Ready(count) => drop(bytes.drain(..count)),
                // The other end reads first, and wakes this one.
                Poll::Pending => return Ok(()),
            }
            if bytes.is_empty() {
                self.held.pop_front();
            }
            handed = true;
        }
        if handed {
            // What the stream keeps back it hands over when it is next woken.
            let _ = Pin::new(&mut self.stream).poll_flush(cx)?;
        }
        if let Some((due, _)) = self.held.front() {
            self.rounds.lock().holding.entry(*due).or_default().push(cx.waker().clone());
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for End<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.hand_over(cx)?;
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for End<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let due = this.rounds.lock().now + this.latency;
        this.held.push_back((due, bytes.iter().copied().collect()));
        this.hand_over(cx)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// What is held back counts as sent.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.hand_over(cx)?;
        if this.held.is_empty() { Pin::new(&mut this.stream).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.hand_over(cx)?;
        if !this.held.is_empty() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        Pin::new(&mut this.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    /// What reached the stream.
    fn handed(end: &mut End<Cursor<Vec<u8>>>) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut *end).poll_flush(&mut cx).is_ready());
        end.stream.get_ref().clone()
    }

    fn write(end: &mut End<Cursor<Vec<u8>>>, bytes: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(end).poll_write(&mut cx, bytes), Poll::Ready(Ok(_))));
    }

    /// Lets the next round begin in which anything arrives.
    fn go_on(rounds: &Rounds) -> bool {
        let next = rounds.next();
        next.into_iter().for_each(|round| rounds.begin(round));
        next.is_some()
    }

    #[test]
    fn what_is_written_arrives_when_the_link_took_its_rounds() {
        let rounds = Rounds::default();
        let end = |latency| {
            rounds.set_latency(latency);
            rounds.end(Cursor::new(Vec::new()))
        };
        let (mut slow, mut fast) = (end(3), end(2));
        write(&mut slow, b"a");
        write(&mut fast, b"x");
        assert_eq!((handed(&mut slow), handed(&mut fast)), (b"".to_vec(), b"".to_vec()));
        assert!(go_on(&rounds), "both are under way");
        assert_eq!((handed(&mut slow), handed(&mut fast)), (b"".to_vec(), b"x".to_vec()));
        write(&mut slow, b"b");
        assert!(go_on(&rounds), "the slow one is under way");
        assert_eq!(handed(&mut slow), b"a".to_vec());
        assert!(go_on(&rounds), "and its second");
        assert_eq!(handed(&mut slow), b"ab".to_vec());
        assert!(!go_on(&rounds), "nothing is under way any more");
    }
}
