//! From options to a running node.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future};
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, multiaddr::Protocol as Part, relay, swarm::SwarmEvent};
use mycomesh_core::{
    Node,
    io::{Command, Input},
};
use tokio::sync::{broadcast, mpsc, watch};

use crate::{
    Handle, Options, StartError,
    behaviour::{self, Behaviour, BehaviourEvent},
    clock::Clock,
    driver::{Driver, Owner, Published},
    handle::{COMMANDS_WAITING_MAX, EVENTS_BEHIND_MAX, Inner},
    lean::Lean,
    platform::{self, Shared},
    skills::Skills,
};

/// How long a listener may take to say where it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection without any use is kept. Links in the gossip mesh, reservations and circuits
/// are in use; this is for those of DHT queries and for direct links that wait for the next task.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Start a node: open its store, read or make its key, listen, and join through its relays.
///
/// Returns once the store is open and every address is listened on; joining goes on from there and
/// shows in the snapshots.
pub async fn start(options: Options) -> Result<Handle, StartError> {
    options.config.check()?;
    options.profile.check()?;
    let clock = Clock::start();
    // Core dials the best address first.
    if let Some(relay) = options.relays.first() {
        platform::open_ahead(relay);
    }
    let opened = platform::open_store(&options.store).await?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::Unsupported(format!("no randomness here: {error}")))?;
    let mut node = Node::new(options.config.clone(), options.profile.clone(), opened.keypair.clone(), seed)?;

    let me = opened.keypair.public().to_peer_id();
    let (relay_transport, relay_client) = relay::client::new(me);
    let (webrtc_transport, webrtc_behaviour) = platform::webrtc(me, &options.ice_servers).unzip();
    let webrtc = webrtc_behaviour.is_some();
    let behaviour = Behaviour::new(&options, &opened.keypair, relay_client, webrtc_behaviour)?;
    let dial_timeout = Duration::from_secs(options.config.connection_timeout_s.into());
    let platform::Network { transport, metrics, mut extras } =
        platform::network(&opened.keypair, opened.certificate, relay_transport, webrtc_transport, dial_timeout)?;
    let config = platform::swarm_config().with_idle_connection_timeout(IDLE_TIMEOUT);
    extras.storage_note = opened.note;
    let mut swarm = Swarm::new(transport, Lean(behaviour), me, config);
    for addr in &options.external {
        swarm.add_external_address(addr.clone());
    }
    if webrtc {
        // Others reach it through the circuits that relays grant later, so there is no address to wait for.
        let addr = Multiaddr::from(Part::WebRTC);
        swarm.listen_on(addr.clone()).map_err(|error| StartError::Listen { addr, detail: error.to_string() })?;
    }
    let early = listen(&mut swarm, &options).await?;

    let (requests, asked) = mpsc::channel(COMMANDS_WAITING_MAX);
    let (events, first_reader) = broadcast::channel(EVENTS_BEHIND_MAX);
    let now = clock.now();
    let (published, snapshots) = watch::channel(Arc::new(node.snapshot(now)));
    let owner = Owner {
        requests: asked,
        events,
        replies: Default::default(),
        snapshots: published,
        published: Published::new(node.revision(), now.mono),
        last_command: 0,
    };
    let skills = Shared::new(Skills::built_in());
    let inner = Inner {
        keypair: opened.keypair,
        requests,
        snapshots,
        events: std::sync::Mutex::new(first_reader),
        skills: skills.clone(),
        extras,
    };
    let mut driver = Driver::new(
        node,
        swarm,
        clock,
        options.config.network.as_str(),
        opened.writer,
        skills,
        metrics,
        owner,
        behaviour::peers_max(&options) as usize,
        options.relay_server.is_some(),
    );
    driver.inputs.push_back(Input::Loaded(opened.records));
    if !options.relays.is_empty() {
        driver.command(Command::SetRelays(options.relays), None);
    }
    let external = options.external.into_iter().map(|addr| Input::ListenAddr { addr, usable: true });
    driver.inputs.extend(external);
    driver.inputs.extend(webrtc.then_some(Input::WebrtcAvailable));
    driver.inputs.push_back(Input::Started);
    platform::spawn(Box::pin(driver.run(early)));
    Ok(Handle { inner: Shared::new(inner) })
}

/// Listen everywhere, and wait until each listener has said where, so that a port in use is an error
/// of `start` and not a line in a log. Returns what else happened meanwhile.
async fn listen(
    swarm: &mut Swarm<Lean<Behaviour>>,
    options: &Options,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, StartError> {
    let mut waiting = Vec::new();
    for addr in &options.listen {
        let failed = |detail: String| StartError::Listen { addr: addr.clone(), detail };
        platform::check_listen(addr).map_err(|error| failed(error.to_string()))?;
        let listener = swarm.listen_on(addr.clone()).map_err(|error| failed(error.to_string()))?;
        waiting.push((listener, addr.clone()));
    }
    let mut early = Vec::new();
    let mut timeout = platform::sleep(LISTEN_TIMEOUT);
    while let Some((_, addr)) = waiting.first() {
        let event = match future::select(swarm.select_next_some(), timeout.as_mut()).await {
            future::Either::Left((event, _)) => event,
            future::Either::Right(_) => {
                let detail = "no address came up within ten seconds".into();
                return Err(StartError::Listen { addr: addr.clone(), detail });
            }
        };
        match &event {
            SwarmEvent::NewListenAddr { listener_id, .. } => waiting.retain(|(listener, _)| listener != listener_id),
            SwarmEvent::ListenerError { listener_id, error } => fail(&waiting, *listener_id, error.to_string())?,
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let detail = reason.as_ref().err().map_or_else(|| "it closed at once".into(), ToString::to_string);
                fail(&waiting, *listener_id, detail)?;
            }
            _ => {}
        }
        early.push(event);
    }
    Ok(early)
}

/// An error if this listener is one of those waited for.
fn fail(waiting: &[(ListenerId, Multiaddr)], listener: ListenerId, detail: String) -> Result<(), StartError> {
    match waiting.iter().find(|(waited, _)| *waited == listener) {
        Some((_, addr)) => Err(StartError::Listen { addr: addr.clone(), detail }),
        None => Ok(()),
    }
}
