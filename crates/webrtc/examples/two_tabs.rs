//! Two tabs talk to each other: the whole of a libp2p node in a page, and nothing else.
//!
//! `examples/two_tabs.html` is the page, README.md says how to build it. A tab joins through any libp2p relay, shows the
//! address under which it can be reached, dials another tab's, and sends it lines of text. After the relay has introduced
//! the two it can go: the lines travel directly.

#[cfg(target_arch = "wasm32")]
mod page {
    use std::{collections::HashMap, rc::Rc, time::Duration};

    use futures::{
        AsyncBufReadExt as _, AsyncWriteExt as _, StreamExt as _,
        channel::mpsc,
        future::{Either, select},
        io::BufReader,
    };
    use libp2p::{
        Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
        core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
        identify,
        identity::Keypair,
        multiaddr::Protocol,
        noise, ping, relay,
        swarm::{Config, NetworkBehaviour, SwarmEvent},
        yamux,
    };
    use mycomesh_webrtc as webrtc;
    use wasm_bindgen::prelude::*;

    const CHAT: StreamProtocol = StreamProtocol::new("/two-tabs/1");
    /// Lines that wait to be sent.
    const LINES_MAX: usize = 16;
    /// A connection that nobody uses is closed after this time.
    const IDLE: Duration = Duration::from_secs(60);

    #[derive(NetworkBehaviour)]
    struct Behaviour {
        identify: identify::Behaviour,
        ping: ping::Behaviour,
        relay: relay::client::Behaviour,
        webrtc: webrtc::Behaviour,
        chat: libp2p_stream::Behaviour,
    }

    fn transport(
        key: &Keypair,
        between_browsers: webrtc::Transport<webrtc::Browser>,
        circuits: relay::client::Transport,
    ) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
        let noise = noise::Config::new(key)?;
        let circuits =
            circuits.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux::Config::default()).boxed();
        let websocket = libp2p_websocket_websys::Transport::default()
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default())
            .boxed();
        let direct = webrtc::direct::Transport::new(key, webrtc::Config::default());
        // The order matters: the relay's client takes every address with a circuit in it, whatever follows.
        Ok(between_browsers
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .or_transport(circuits)
            .map(|either, _| either.into_inner())
            .or_transport(direct.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))))
            .map(|either, _| either.into_inner())
            .or_transport(websocket)
            .map(|either, _| either.into_inner())
            .boxed())
    }

    fn swarm() -> Result<Swarm<Behaviour>, Box<dyn std::error::Error>> {
        let key = Keypair::generate_ed25519();
        let me = key.public().to_peer_id();
        let (circuits, relay) = relay::client::new(me);
        let (between_browsers, webrtc) = webrtc::new(me, webrtc::Config::default());
        let behaviour = Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/two-tabs/1".into(), key.public())),
            ping: ping::Behaviour::default(),
            relay,
            webrtc,
            chat: libp2p_stream::Behaviour::new(),
        };
        let config = Config::with_wasm_executor().with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(transport(&key, between_browsers, circuits)?, behaviour, me, config);
        // From here on each reservation at a relay also brings an address at which browsers reach this one directly.
        swarm.listen_on("/webrtc".parse()?)?;
        Ok(swarm)
    }

    /// A node, driven from the page. `tell(kind, text)` is called with what happens: `address`, `connected`,
    /// `disconnected`, `line`, `problem`.
    #[wasm_bindgen]
    pub struct Tab {
        orders: mpsc::Sender<Order>,
        peer_id: PeerId,
    }

    enum Order {
        Listen(Multiaddr),
        Dial(Multiaddr),
        Say(PeerId, String),
    }

    #[wasm_bindgen]
    impl Tab {
        /// Start a node with a fresh identity.
        #[wasm_bindgen(constructor)]
        pub fn new(tell: js_sys::Function) -> Result<Tab, String> {
            console_error_panic_hook::set_once();
            let swarm = swarm().map_err(|error| error.to_string())?;
            let peer_id = *swarm.local_peer_id();
            let (orders, received) = mpsc::channel(LINES_MAX);
            wasm_bindgen_futures::spawn_local(run(swarm, received, Tell(Rc::new(tell))));
            Ok(Self { orders, peer_id })
        }

        /// Who this tab is.
        pub fn peer_id(&self) -> String {
            self.peer_id.to_string()
        }

        /// Take a place at a relay: `/ip4/…/ws/p2p/…` or `/ip4/…/webrtc-direct/certhash/…/p2p/…`.
        pub fn join(&mut self, relay: &str) -> Result<(), String> {
            let relay: Multiaddr = relay.trim().parse().map_err(|error| format!("{relay}: {error}"))?;
            self.order(Order::Listen(relay.with(Protocol::P2pCircuit)))
        }

        /// Connect to the address that another tab shows.
        pub fn dial(&mut self, address: &str) -> Result<(), String> {
            self.order(Order::Dial(address.trim().parse().map_err(|error| format!("{address}: {error}"))?))
        }

        /// Send a line.
        pub fn say(&mut self, peer: &str, line: String) -> Result<(), String> {
            self.order(Order::Say(peer.parse().map_err(|error| format!("{peer}: {error}"))?, line))
        }

        fn order(&mut self, order: Order) -> Result<(), String> {
            self.orders.try_send(order).map_err(|_| "too much at once; try again".to_owned())
        }
    }

    #[derive(Clone)]
    struct Tell(Rc<js_sys::Function>);

    impl Tell {
        fn tell(&self, kind: &str, text: &str) {
            // What the page throws is its own affair.
            let _ = self.0.call2(&JsValue::NULL, &kind.into(), &text.into());
        }
    }

    async fn run(mut swarm: Swarm<Behaviour>, mut orders: mpsc::Receiver<Order>, tell: Tell) {
        let control = swarm.behaviour().chat.new_control();
        let mut inbound = match control.clone().accept(CHAT) {
            Ok(inbound) => inbound,
            Err(error) => return tell.tell("problem", &error.to_string()),
        };
        let hearing = tell.clone();
        wasm_bindgen_futures::spawn_local(async move {
            while let Some((peer, stream)) = inbound.next().await {
                let mut lines = BufReader::new(stream).lines();
                // One line a stream.
                if let Some(Ok(line)) = lines.next().await {
                    hearing.tell("line", &format!("{peer}: {line}"));
                }
            }
        });
        let mut relayed = HashMap::new();
        loop {
            match select(orders.next(), swarm.next()).await {
                Either::Left((Some(Order::Listen(addr)), _)) => {
                    if let Err(error) = swarm.listen_on(addr) {
                        tell.tell("problem", &error.to_string());
                    }
                }
                Either::Left((Some(Order::Dial(addr)), _)) => {
                    if let Err(error) = swarm.dial(addr) {
                        tell.tell("problem", &error.to_string());
                    }
                }
                Either::Left((Some(Order::Say(peer, line)), _)) => {
                    let (mut control, problems) = (control.clone(), tell.clone());
                    wasm_bindgen_futures::spawn_local(async move {
                        let said = async {
                            let mut stream =
                                control.open_stream(peer, CHAT).await.map_err(|error| error.to_string())?;
                            let line = line + "\n";
                            stream.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
                            stream.close().await.map_err(|error| error.to_string())
                        };
                        if let Err(problem) = said.await {
                            problems.tell("problem", &problem);
                        }
                    });
                }
                Either::Left((None, _)) | Either::Right((None, _)) => return,
                Either::Right((Some(event), _)) => match event {
                    SwarmEvent::NewListenAddr { address, .. } if webrtc::is_direct(&address) => {
                        tell.tell("address", &address.to_string());
                    }
                    SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                        if webrtc::is_connected_directly(&endpoint) {
                            tell.tell("connected", &format!("{peer_id} directly"));
                            // Streams spread over all connections of a peer; the relay has done its part.
                            if let Some(relayed) = relayed.remove(&peer_id) {
                                swarm.close_connection(relayed);
                            }
                        } else {
                            tell.tell("connected", &format!("{peer_id} through the relay"));
                            relayed.insert(peer_id, connection_id);
                        }
                    }
                    SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                        tell.tell("disconnected", &peer_id.to_string());
                    }
                    SwarmEvent::OutgoingConnectionError { error, .. } => tell.tell("problem", &error.to_string()),
                    SwarmEvent::ListenerClosed { reason: Err(error), .. } => tell.tell("problem", &error.to_string()),
                    _ => {}
                },
            }
        }
    }
}

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    println!("This example is a page: README.md says how to build it for browsers.");
}
