//! A [`Backend`] without a browser. Two peer connections find each other through the text of their descriptions, and
//! become the two ends of a yamux connection in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::yamux;
use mycomesh_webrtc::{Backend, Command, Config, Error, Event, PeerConnection, Role};

use super::pipe::{Pipe, pipe};

/// How peer connections of one node behave, and how many there are.
#[derive(Clone, Default)]
pub struct Mock {
    pub behaviour: Arc<Mutex<Script>>,
    pub opened: Arc<AtomicUsize>,
    pub alive: Arc<AtomicUsize>,
    numbers: Arc<Mutex<Vec<usize>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Script {
    #[default]
    Connects,
    /// Describes nothing, ever.
    Hangs,
    /// Gathers no candidates.
    HasNoNetwork,
    /// Checks candidates in vain.
    FindsNoPath,
    /// Cannot even be made.
    IsUsedUp,
}

pub struct MockPeer {
    number: usize,
    role: Role,
    script: Script,
    alive: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Shared {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    remote: Option<usize>,
    candidates: usize,
    is_connected: bool,
    pipe: Option<Pipe>,
}

static PEERS: LazyLock<Mutex<HashMap<usize, Shared>>> = LazyLock::new(Mutex::default);
static NUMBERS: AtomicUsize = AtomicUsize::new(1);

fn peers() -> MutexGuard<'static, HashMap<usize, Shared>> {
    PEERS.lock().expect("no test panics while it holds this")
}

impl Shared {
    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Mock {
    pub fn set(&self, script: Script) {
        *self.behaviour.lock().expect("no test panics while it holds this") = script;
    }

    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Every attempt under way fails now.
    pub fn fail_all(&self) {
        let mut peers = peers();
        for number in self.numbers.lock().expect("no test panics while it holds this").drain(..) {
            if let Some(peer) = peers.get_mut(&number) {
                peer.tell(Event::Failed(Error::IceFailed));
            }
        }
    }

    /// So many were ever opened.
    pub async fn until_opened(&self, count: usize) {
        while self.opened() < count {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Attempts that are neither connections yet nor dropped.
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

impl Backend for Mock {
    type Peer = MockPeer;

    fn open(&self, _: &Config, role: Role) -> Result<MockPeer, Error> {
        let script = *self.behaviour.lock().expect("no test panics while it holds this");
        if script == Script::IsUsedUp {
            return Err(Error::Budget);
        }
        let number = NUMBERS.fetch_add(1, Ordering::SeqCst);
        peers().insert(number, Shared::default());
        self.numbers.lock().expect("no test panics while it holds this").push(number);
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        Ok(MockPeer { number, role, script, alive: self.alive.clone() })
    }
}

impl MockPeer {
    fn tell(&self, event: Event) {
        peers().entry(self.number).or_default().tell(event);
    }

    fn describe(&self) {
        if self.script != Script::Hangs {
            self.tell(Event::Described(format!("mock {}", self.number)));
        }
    }

    fn set_remote(&self, sdp: &str) {
        match sdp.strip_prefix("mock ").and_then(|number| number.parse().ok()) {
            Some(remote) => peers().entry(self.number).or_default().remote = Some(remote),
            None => self.tell(Event::Failed(Error::Sdp("not of a mock".into()))),
        }
    }

    /// Connected, once both know each other and this one knows a candidate.
    fn connect(&self) {
        let mut peers = peers();
        let own = peers.entry(self.number).or_default();
        if own.candidates == 0 || own.is_connected {
            return;
        }
        if self.script == Script::FindsNoPath {
            return own.tell(Event::Failed(Error::IceFailed));
        }
        let Some(remote) = own.remote else { return };
        if peers.get(&remote).is_none_or(|other| other.remote != Some(self.number)) {
            return;
        }
        let (here, there) = pipe(256 * 1024);
        for (number, end) in [(self.number, here), (remote, there)] {
            let peer = peers.entry(number).or_default();
            peer.is_connected = true;
            peer.pipe = Some(end);
            peer.tell(Event::Connected);
            // The answerer has such a channel too, and takes no interest in it.
            peer.tell(Event::InitOpen);
        }
    }
}

impl PeerConnection for MockPeer {
    type Muxer = yamux::Muxer<Pipe>;

    fn command(&mut self, command: Command) {
        match command {
            Command::CreateOffer => self.describe(),
            Command::Answer(sdp) => {
                self.set_remote(&sdp);
                self.describe();
            }
            Command::ApplyLocal if self.script == Script::HasNoNetwork => {
                self.tell(Event::GatheringDone { candidates: 0 });
            }
            Command::ApplyLocal => {
                for number in 0..2 {
                    self.tell(Event::Candidate(format!(r#"{{"candidate":"{}/{number}"}}"#, self.number)));
                }
                self.tell(Event::GatheringDone { candidates: 2 });
            }
            Command::SetAnswer(sdp) => {
                self.set_remote(&sdp);
                self.tell(Event::RemoteSet);
            }
            Command::AddCandidate(_) => {
                peers().entry(self.number).or_default().candidates += 1;
                self.connect();
            }
            Command::CloseInit => self.tell(Event::InitClosed),
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut peers = peers();
        let shared = peers.entry(self.number).or_default();
        match shared.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn into_muxer(self, frame_bytes_max: usize) -> Self::Muxer {
        assert_eq!(frame_bytes_max, mycomesh_webrtc::FRAME_BYTES_MAX, "both sides say what they take");
        let pipe = peers().entry(self.number).or_default().pipe.take().expect("connected");
        let config = yamux::Config::default();
        let muxer = match self.role {
            Role::Offerer => config.upgrade_outbound(pipe, "").now_or_never(),
            Role::Answerer => config.upgrade_inbound(pipe, "").now_or_never(),
        };
        muxer.expect("at once").expect("infallible")
    }
}

impl Drop for MockPeer {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
        peers().remove(&self.number);
    }
}
