//! How one stream ends: each side closes its own half, and the channel goes when both have. Pure; the channel acts.
//!
//! A side that is done writing says FIN and is answered FIN_ACK. A side that is done reading says STOP_SENDING. RESET
//! ends both halves at once. A channel that closes without any of these has lost data, which must not look like an end.

use crate::frame::Flag;

/// Both halves of one stream.
#[derive(Debug)]
pub(crate) struct HalfClose {
    read: Read,
    write: Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Open,
    /// The remote said that nothing more comes.
    Ended,
    /// Nobody here reads any more; the remote was told.
    Stopped,
    /// What was under way is lost.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Open,
    /// FIN was sent and not acknowledged yet.
    Closing,
    /// FIN was acknowledged.
    Closed,
    /// The remote does not read any more.
    Stopped,
    /// What was under way is lost.
    Lost,
}

/// What a reader meets when the buffer is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    MayCome,
    End,
    Lost,
}

/// Whether something can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Open,
    /// This side has closed it.
    Closed,
    /// The remote does not read.
    Stopped,
    Lost,
}

impl Default for HalfClose {
    fn default() -> Self {
        Self { read: Read::Open, write: Write::Open }
    }
}

impl HalfClose {
    /// The remote said `flag`. Gives what to answer.
    pub(crate) fn on_flag(&mut self, flag: Flag) -> Option<Flag> {
        match flag {
            Flag::Fin => {
                if self.read == Read::Open {
                    self.read = Read::Ended;
                }
                // Even to one that comes twice: the first answer may have crossed with something.
                return (self.read != Read::Lost).then_some(Flag::FinAck);
            }
            Flag::FinAck => {
                if self.write == Write::Closing {
                    self.write = Write::Closed;
                }
            }
            Flag::StopSending => {
                if matches!(self.write, Write::Open | Write::Closing) {
                    self.write = Write::Stopped;
                }
            }
            Flag::Reset => self.lose(),
        }
        None
    }

    /// Whether payload that arrives now is wanted.
    pub(crate) fn takes_data(&self) -> bool {
        self.read == Read::Open
    }

    /// What an empty buffer means.
    pub(crate) fn reading(&self) -> Reading {
        match self.read {
            Read::Open => Reading::MayCome,
            Read::Ended | Read::Stopped => Reading::End,
            Read::Lost => Reading::Lost,
        }
    }

    /// Whether something can be written.
    pub(crate) fn writing(&self) -> Writing {
        match self.write {
            Write::Open => Writing::Open,
            Write::Closing | Write::Closed => Writing::Closed,
            Write::Stopped => Writing::Stopped,
            Write::Lost => Writing::Lost,
        }
    }

    /// The owner is done writing. Gives what to say.
    pub(crate) fn close_write(&mut self) -> Option<Flag> {
        if self.write != Write::Open {
            return None;
        }
        self.write = Write::Closing;
        Some(Flag::Fin)
    }

    /// The owner has dropped the stream. Gives what to say. What was written and closed still arrives; what was neither
    /// closed nor stopped is reset.
    pub(crate) fn drop_stream(&mut self) -> Option<Flag> {
        if self.write == Write::Open {
            let known = self.read == Read::Lost;
            self.lose();
            return (!known).then_some(Flag::Reset);
        }
        if self.read == Read::Open {
            self.read = Read::Stopped;
            return Some(Flag::StopSending);
        }
        None
    }

    /// Both halves are over at once, by a reset, an overflow or the end of the connection.
    pub(crate) fn lose(&mut self) {
        if !matches!(self.read, Read::Ended | Read::Stopped) {
            self.read = Read::Lost;
        }
        // What was acknowledged has arrived.
        if self.write != Write::Closed {
            self.write = Write::Lost;
        }
    }

    /// The channel has closed under the stream.
    pub(crate) fn channel_closed(&mut self) {
        self.lose();
    }

    /// Whether the channel can go. It cannot while its owner has something to read from it or to hear about it.
    pub(crate) fn is_over(&self) -> bool {
        let written = !matches!(self.write, Write::Open | Write::Closing);
        let read = self.read != Read::Open;
        (written && read) || self.read == Read::Lost || self.write == Write::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, VecDeque};

    /// What an owner does with its end.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Act {
        Close,
        Drop,
    }

    #[derive(Default)]
    struct End {
        halves: HalfClose,
        to_remote: VecDeque<Flag>,
    }

    impl End {
        fn act(&mut self, act: Act) {
            let said = match act {
                Act::Close => self.halves.close_write(),
                Act::Drop => self.halves.drop_stream(),
            };
            self.to_remote.extend(said);
        }
    }

    /// Run `schedule` (which end acts or receives next) until nothing is left to do.
    fn run(acts: [&[Act]; 2], schedule: u32) -> [End; 2] {
        let mut ends = [End::default(), End::default()];
        let mut acts = acts.map(|acts| acts.iter().copied().collect::<VecDeque<_>>());
        for bit in 0.. {
            let mut choices = Vec::new();
            for at in 0..2 {
                if !acts[at].is_empty() {
                    choices.push((at, true));
                }
                if !ends[1 - at].to_remote.is_empty() {
                    choices.push((at, false));
                }
            }
            if choices.is_empty() {
                break;
            }
            let (at, acting) = choices[(schedule >> (2 * (bit % 16))) as usize % choices.len()];
            if acting {
                let act = acts[at].pop_front().expect("chosen because there is one");
                ends[at].act(act);
            } else if let Some(flag) = ends[1 - at].to_remote.pop_front()
                && !ends[at].halves.is_over()
            {
                let answer = ends[at].halves.on_flag(flag);
                ends[at].to_remote.extend(answer);
            }
        }
        ends
    }

    #[test]
    fn whatever_the_order_a_stream_that_both_closed_ends_without_loss() {
        let mut seen = BTreeSet::new();
        for schedule in 0..1_u32 << 16 {
            let ends = run([&[Act::Close], &[Act::Close]], schedule.wrapping_mul(0x9e37_79b9));
            for end in &ends {
                assert!(end.halves.is_over(), "{schedule}: {:?}", end.halves);
                assert_eq!(end.halves.reading(), Reading::End);
                assert_eq!(end.halves.writing(), Writing::Closed);
            }
            seen.insert(format!("{:?}", ends.map(|end| end.halves)));
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
    }

    #[test]
    fn whatever_the_order_a_stream_that_both_dropped_is_over_on_both_sides() {
        let plans: [&[Act]; 2] = [&[Act::Drop], &[Act::Close, Act::Drop]];
        for first in plans {
            for second in plans {
                for schedule in 0..1_u32 << 12 {
                    let mut ends = run([first, second], schedule.wrapping_mul(0x0101_0007));
                    let over = ends.iter().position(|end| end.halves.is_over());
                    // Whose farewell is complete closes the channel under the other, who may have been answered nothing.
                    let over = over.expect("one of them is done");
                    ends[1 - over].halves.channel_closed();
                    for end in &ends {
                        assert!(end.halves.is_over(), "{first:?} {second:?} {schedule}: {:?}", end.halves);
                    }
                }
            }
        }
    }

    #[test]
    fn a_reader_that_left_stops_the_writer_and_keeps_what_it_wrote() {
        let mut reader = HalfClose::default();
        assert_eq!(reader.close_write(), Some(Flag::Fin));
        assert_eq!(reader.drop_stream(), Some(Flag::StopSending));
        assert!(!reader.is_over(), "the end was not acknowledged yet");
        let mut writer = HalfClose::default();
        assert_eq!(writer.on_flag(Flag::Fin), Some(Flag::FinAck));
        assert_eq!(writer.reading(), Reading::End);
        assert_eq!(writer.on_flag(Flag::StopSending), None);
        assert_eq!(writer.writing(), Writing::Stopped);
        assert!(writer.is_over());
        assert_eq!(reader.on_flag(Flag::FinAck), None);
        assert!(reader.is_over());
    }

    #[test]
    fn a_stream_dropped_unclosed_is_reset_and_looks_like_no_end() {
        let mut dropped = HalfClose::default();
        assert_eq!(dropped.drop_stream(), Some(Flag::Reset));
        assert!(dropped.is_over());
        let mut other = HalfClose::default();
        assert_eq!(other.on_flag(Flag::Reset), None);
        assert_eq!(other.reading(), Reading::Lost);
        assert_eq!(other.writing(), Writing::Lost);
        assert_eq!(other.drop_stream(), None, "it knows already");
    }

    #[test]
    fn a_channel_that_just_closes_has_lost_something() {
        let mut stream = HalfClose::default();
        stream.channel_closed();
        assert_eq!(stream.reading(), Reading::Lost);
        let mut ended = HalfClose::default();
        ended.on_flag(Flag::Fin);
        ended.channel_closed();
        assert_eq!(ended.reading(), Reading::End, "what came before its end is whole");
        assert_eq!(ended.writing(), Writing::Lost);
    }

    #[test]
    fn an_end_said_twice_is_acknowledged_twice() {
        let mut stream = HalfClose::default();
        assert!(stream.takes_data());
        assert_eq!(stream.on_flag(Flag::Fin), Some(Flag::FinAck));
        assert!(!stream.takes_data(), "nothing comes after the end");
        assert_eq!(stream.on_flag(Flag::Fin), Some(Flag::FinAck));
        assert_eq!(stream.on_flag(Flag::FinAck), None, "nothing of ours is to be acknowledged");
        assert_eq!(stream.writing(), Writing::Open);
    }
}
