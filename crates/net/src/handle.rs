//! What the owner of a running node holds.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future, stream};
use libp2p::{PeerId, identity::Keypair};
use mycomesh_core::{
    io::{Command, CommandError, Event, Reply},
    snapshot::{Snapshot, TaskState, TaskView},
    time::Millis,
    wire::{Skill, TaskId},
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    platform::{self, BoxFuture, BoxStream, Shared},
    skills::Skills,
};

/// Commands that may wait for the driver. A person makes a handful a second; a program that gets
/// [`CommandError::Full`] should wait for answers.
pub(crate) const COMMANDS_WAITING_MAX: usize = 256;

/// Events a slow reader may fall behind before it loses the oldest.
pub(crate) const EVENTS_BEHIND_MAX: usize = 1_000;

/// How long after its own deadline a task may take to show its end, before [`Handle::ask`] gives up.
const ASK_GRACE: Duration = Duration::from_secs(30);

/// Snapshots, newest only: a slow reader misses intermediate ones, at most 10 a second. Starts with
/// the current one.
pub type SnapshotStream = BoxStream<'static, std::sync::Arc<Snapshot>>;

/// Events in order; a reader that falls 1,000 behind loses the oldest.
pub type EventStream = BoxStream<'static, Event>;

/// A running node. Cheap to clone; the node stops when [`Handle::stop`] is called or every handle
/// is gone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) inner: Shared<Inner>,
}

pub(crate) struct Inner {
    pub(crate) keypair: Keypair,
    pub(crate) requests: mpsc::Sender<OwnerRequest>,
    pub(crate) snapshots: watch::Receiver<std::sync::Arc<Snapshot>>,
    /// Closed by the driver when it ends, so that event streams end too.
    pub(crate) events: Mutex<broadcast::Receiver<Event>>,
    pub(crate) skills: Shared<Skills>,
    /// What it knows of its platform: whether storage lasts, and natively the metrics.
    pub(crate) extras: platform::Extras,
}

/// What the driver is asked through the bounded channel.
pub(crate) enum OwnerRequest {
    /// Carry out a command.
    Command(Command, oneshot::Sender<Result<Reply, CommandError>>),
    /// Flush, close the store and end; answered when that is done.
    Close(oneshot::Sender<()>),
}

/// Why an [`Handle::ask`] brought no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AskError {
    /// It could not even be asked.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It ended without a result.
    #[error("the task ended as {}: {}", .0.state.as_str(), .0.problem.as_deref().unwrap_or("no reason was given"))]
    Ended(Box<TaskView>),
    /// The task was pushed out of the table by newer ones before its end was seen.
    #[error("task {0} is no longer listed; look for its receipt instead")]
    Forgotten(TaskId),
    /// The node stopped.
    #[error("the node stopped")]
    Stopped,
}

impl Handle {
    /// This peer's id.
    pub fn peer_id(&self) -> PeerId {
        self.inner.keypair.public().to_peer_id()
    }

    /// Why nothing will survive this run, if that is so: a browser without IndexedDB or Web Locks,
    /// or a page that was not opened over HTTPS or from this machine.
    pub fn storage_note(&self) -> Option<String> {
        self.inner.extras.storage_note.clone()
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> std::sync::Arc<Snapshot> {
        self.inner.snapshots.borrow().clone()
    }

    /// Every further snapshot, beginning with the current one. Ends when the node has stopped.
    pub fn snapshots(&self) -> SnapshotStream {
        let mut receiver = self.inner.snapshots.clone();
        receiver.mark_changed();
        stream::unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let snapshot = receiver.borrow_and_update().clone();
            Some((snapshot, receiver))
        })
        .boxed_for_platform()
    }

    /// Every event from now on. Ends when the node has stopped.
    pub fn events(&self) -> EventStream {
        let receiver = self.inner.events.lock().unwrap_or_else(PoisonError::into_inner).resubscribe();
        stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed_for_platform()
    }

    /// Carry out a command. Fails with [`CommandError::Full`] when 256 already wait and with
    /// [`CommandError::Stopping`] when the node ended before it answered.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.inner.requests.try_send(OwnerRequest::Command(command, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Full("commands"),
            mpsc::error::TrySendError::Closed(_) => CommandError::Stopping,
        })?;
        answered.await.unwrap_or(Err(CommandError::Stopping))
    }

    /// Ask a peer and wait for its delivery. Dropping the future does not cancel the task.
    pub async fn ask(&self, to: PeerId, skill: Skill, input: String, timeout: Duration) -> Result<TaskView, AskError> {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let command = Command::Ask { to, skill, input, timeout: Millis(millis) };
        let task = match self.command(command).await? {
            Reply::Task(task) => task,
            other => {
                tracing::error!(?other, "an ask was answered by something else than its task");
                return Err(AskError::Stopped);
            }
        };
        let ended = Box::pin(self.ended(task));
        match future::select(ended, platform::sleep(timeout.saturating_add(ASK_GRACE))).await {
            future::Either::Left((view, _)) => match view {
                Some(view) if view.state == TaskState::Completed => Ok(view),
                Some(view) => Err(AskError::Ended(Box::new(view))),
                None => Err(AskError::Stopped),
            },
            future::Either::Right(_) => Err(AskError::Forgotten(task)),
        }
    }

    /// The task once it has ended; none when the node stopped before.
    async fn ended(&self, task: TaskId) -> Option<TaskView> {
        let mut snapshots = self.snapshots();
        while let Some(snapshot) = snapshots.next().await {
            let row = snapshot.tasks.rows.iter().find(|row| row.id == task);
            if let Some(view) = row.filter(|row| row.state.is_final()) {
                return Some(view.clone());
            }
        }
        None
    }

    /// Do this whenever a task for `skill` arrives; replaces what was registered for it before.
    /// `echo` is registered from the start. In a browser the closure and its future need not be
    /// `Send`.
    pub fn handle_skill<F>(&self, skill: Skill, job: F)
    where
        F: Fn(TaskId, PeerId, String) -> BoxFuture<'static, Result<String, String>> + platform::Shareable + 'static,
    {
        self.inner.skills.register(skill, platform::job(job));
    }

    /// Say goodbye and stop. Returns once the goodbye is out and the store is closed.
    pub async fn stop(&self) {
        if let Err(error) = self.command(Command::Shutdown).await {
            tracing::debug!(%error, "stopping without a goodbye");
        }
        let (answer, answered) = oneshot::channel();
        if self.inner.requests.send(OwnerRequest::Close(answer)).await.is_ok() {
            // An error means that the driver has already ended, which is what was wanted.
            let _ = answered.await;
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("peer_id", &self.peer_id()).finish_non_exhaustive()
    }
}

/// Box a stream the way this platform's alias wants it.
trait BoxedForPlatform: Sized {
    type Item;
    fn boxed_for_platform(self) -> BoxStream<'static, Self::Item>;
}

impl<S> BoxedForPlatform for S
where
    S: futures::Stream + platform::MaybeSend + 'static,
{
    type Item = S::Item;
    fn boxed_for_platform(self) -> BoxStream<'static, S::Item> {
        Box::pin(self)
    }
}
