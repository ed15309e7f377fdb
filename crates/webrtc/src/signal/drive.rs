//! Runs the signalling machine over a stream and a peer connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_timer::Delay;

use super::wire::{Reader, Writer};
use super::{Input, Machine, Output};
use crate::{Config, Error, PeerConnection, Role};

/// How long an ended signalling stream may take to flush, and to see the remote's end, before it is reset.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// What a remote may still send after our end before the stream is reset: the candidates it had under way.
const FAREWELL_BYTES_MAX: usize = 65_536;

/// Carries out one attempt. Errors drop both the stream and the peer connection, which resets the one and closes the
/// other. Success leaves a stream to be closed: that takes a round trip or more, for which the connection need not wait.
pub(crate) async fn run<S, P>(
    role: Role,
    stream: S,
    peer: P,
    config: Arc<Config>,
) -> Result<(P::Muxer, Farewell<S>), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: PeerConnection,
{
    let deadline = Delay::new(config.attempt_timeout);
    let (machine, outputs) = Machine::start(role, config);
    let mut attempt = Attempt {
        machine,
        stream,
        peer,
        reader: Reader::default(),
        writer: Writer::default(),
        is_readable: true,
        is_writable: true,
        deadline,
        reminder: None,
        outcome: None,
    };
    attempt.carry_out(outputs);
    let frame_bytes_max = poll_fn(|cx| attempt.poll(cx)).await?;
    let Attempt { stream, peer, reader: _, writer, .. } = attempt;
    Ok((peer.into_muxer(frame_bytes_max), Farewell::new(stream, writer)))
}

struct Attempt<S, P> {
    machine: Machine,
    stream: S,
    peer: P,
    reader: Reader,
    writer: Writer,
    is_readable: bool,
    is_writable: bool,
    deadline: Delay,
    reminder: Option<Delay>,
    /// How it ended: with how large a frame both take, or why not.
    outcome: Option<Result<usize, Error>>,
}

impl<S, P> Attempt<S, P>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: PeerConnection,
{
    /// Every source is asked until it has nothing, whichever of them is stuck: a remote that does not read must not keep
    /// us from seeing that the connection stands or that the time is up. The machine ends the attempt of a remote that
    /// never stops.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        loop {
            if let Some(outcome) = self.outcome.take() {
                return Poll::Ready(outcome);
            }
            let input = if let Poll::Ready(event) = self.peer.poll_event(cx) {
                Input::Local(event)
            } else if let Poll::Ready(input) = self.poll_read(cx) {
                input
            } else if let Poll::Ready(input) = self.poll_write(cx) {
                input
            } else if self.deadline.poll_unpin(cx).is_ready() {
                Input::Timeout
            } else if self.reminder.as_mut().is_some_and(|reminder| reminder.poll_unpin(cx).is_ready()) {
                self.reminder = None;
                Input::Reminded
            } else {
                return Poll::Pending;
            };
            let outputs = self.machine.handle(input);
            self.carry_out(outputs);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if !self.is_readable {
            return Poll::Pending;
        }
        let message = ready!(self.reader.poll_next(&mut self.stream, cx));
        self.is_readable = matches!(message, Some(Ok(_)));
        Poll::Ready(message.map_or(Input::RemoteEnd, Input::Remote))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if !self.is_writable {
            return Poll::Pending;
        }
        match ready!(self.writer.poll_flush(&mut self.stream, cx)) {
            Ok(()) => Poll::Pending,
            Err(error) => {
                tracing::debug!(%error, "the signalling stream broke");
                self.is_writable = false;
                Poll::Ready(Input::RemoteEnd)
            }
        }
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Do(command) => self.peer.command(command),
                Output::Send(message) => self.writer.push(&message),
                Output::Remind(time) => {
                    self.reminder.get_or_insert_with(|| Delay::new(time));
                }
                // What is left of the stream becomes a `Farewell`.
                Output::EndStream => {}
                Output::Connected { frame_bytes_max } => self.outcome = Some(Ok(frame_bytes_max)),
                Output::Failed(error) => self.outcome = Some(Err(error)),
            }
        }
    }
}

/// A signalling stream that is being closed in an orderly way. Dropping it early resets the stream, which js-libp2p may
/// take for a failure of the connection that was just made.
pub(crate) struct Farewell<S> {
    stream: S,
    writer: Writer,
    stage: FarewellStage,
    deadline: Delay,
}

enum FarewellStage {
    Flushing,
    Closing,
    /// Until the remote has ended its half too; a stream that is dropped before is reset.
    Draining {
        bytes: usize,
    },
}

impl<S> Farewell<S> {
    fn new(stream: S, writer: Writer) -> Self {
        Self { stream, writer, stage: FarewellStage::Flushing, deadline: Delay::new(FAREWELL_MAX) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Farewell<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.deadline.poll_unpin(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match &mut this.stage {
                FarewellStage::Flushing => {
                    if ready!(this.writer.poll_flush(&mut this.stream, cx)).is_err() {
                        return Poll::Ready(());
                    }
                    this.stage = FarewellStage::Closing;
                }
                FarewellStage::Closing => {
                    if ready!(Pin::new(&mut this.stream).poll_close(cx)).is_err() {
                        return Poll::Ready(());
                    }
                    this.stage = FarewellStage::Draining { bytes: 0 };
                }
                FarewellStage::Draining { bytes } => {
                    let mut chunk = [0; 1_024];
                    match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk)) {
                        Ok(count) if count > 0 && *bytes < FAREWELL_BYTES_MAX => *bytes += count,
                        _ => return Poll::Ready(()),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/native/support/pipe.rs"]
mod pipe;

#[cfg(test)]
mod tests;
