//! A peer made of plain libp2p parts: it speaks the mesh's protocols without being one of its nodes.

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    kad,
    multiaddr::Protocol,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use mycomesh_core::{io::Topic, wire::Network};
use mycomesh_tests::PATIENCE;

/// What a stranger speaks.
#[derive(NetworkBehaviour)]
pub struct Parts {
    /// Gossip, with every frame taken as it is.
    pub gossip: gossipsub::Behaviour,
    /// A DHT server.
    pub kad: kad::Behaviour<kad::store::MemoryStore>,
    identify: identify::Behaviour,
}

/// The stranger.
pub struct Stranger {
    /// Its key.
    pub key: Keypair,
    /// Its swarm.
    pub swarm: Swarm<Parts>,
}

impl Stranger {
    /// A stranger in `network` that gossips, or is only a DHT server.
    pub fn new(network: &Network, gossips: bool) -> Self {
        let key = Keypair::generate_ed25519();
        let swarm = SwarmBuilder::with_existing_identity(key.clone())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("TCP")
            .with_behaviour(|key| parts(key, network, gossips))
            .expect("parts")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        Self { key, swarm }
    }

    /// Listen on a free port of this machine; gives the address with `/p2p/<self>`.
    pub async fn listen(&mut self) -> Multiaddr {
        self.swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("it can listen");
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = self.swarm.select_next_some().await {
                self.swarm.add_external_address(address.clone());
                return address.with(Protocol::P2p(*self.swarm.local_peer_id()));
            }
        }
    }

    /// Connect to `addr` and wait until the other side listens to `topic`.
    pub async fn connect(&mut self, addr: &str, topic: &str) {
        let addr: Multiaddr = addr.parse().expect("an address");
        self.swarm.dial(addr).expect("it can dial");
        self.until("the other side's subscription", |event| match event {
            SwarmEvent::Behaviour(PartsEvent::Gossip(gossipsub::Event::Subscribed { topic: theirs, .. })) => {
                (theirs.as_str() == topic).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// Wait for an event for which `condition` gives something.
    pub async fn until<T>(&mut self, what: &str, condition: impl Fn(&SwarmEvent<PartsEvent>) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.swarm.select_next_some().await;
                self.learn(&event);
                if let Some(found) = condition(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Run until dropped.
    pub async fn serve(mut self) {
        loop {
            let event = self.swarm.select_next_some().await;
            self.learn(&event);
        }
    }

    fn learn(&mut self, event: &SwarmEvent<PartsEvent>) {
        if let SwarmEvent::Behaviour(PartsEvent::Identify(identify::Event::Received { peer_id, info, .. })) = event {
            for addr in &info.listen_addrs {
                self.swarm.behaviour_mut().kad.add_address(peer_id, addr.clone());
            }
        }
    }

    /// Its peer id.
    pub fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }
}

fn parts(key: &Keypair, network: &Network, gossips: bool) -> Parts {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        // Without an author the default id is the same for every frame.
        .message_id_fn(|message| message.data.clone().into())
        // A sender of wrong frames has no limits of its own.
        .max_transmit_size(1 << 20)
        .flood_publish(true)
        .build()
        .expect("a configuration");
    let mut gossip =
        gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Anonymous, config).expect("a configuration");
    if gossips {
        for topic in Topic::ALL {
            gossip.subscribe(&gossipsub::IdentTopic::new(topic.name(network.as_str()))).expect("it may subscribe");
        }
    }
    let peer = key.public().to_peer_id();
    let protocol = StreamProtocol::try_from_owned(format!("/mycomesh/{network}/kad/1")).expect("a protocol");
    let mut kad = kad::Behaviour::with_config(peer, kad::store::MemoryStore::new(peer), kad::Config::new(protocol));
    kad.set_mode(Some(kad::Mode::Server));
    let identify = identify::Behaviour::new(identify::Config::new("/stranger/1".into(), key.public()));
    Parts { gossip, kad, identify }
}
