//! Attackers that come in properly, each time with a new key, and then speak nonsense: in yamux, and in the streams of each
//! protocol.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    future::{BoxFuture, Either, poll_fn, select},
};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint, UpgradeInfo,
        muxing::{StreamMuxerBox, StreamMuxerExt as _},
        transport::{Boxed, DialOpts, PortUse},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, Version},
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use mycomesh_tests::Relay;

use crate::watch::{Attackers, Tally, count};

/// Every protocol a relay answers.
const PROTOCOLS: [&str; 11] = [
    "/meshsub/1.2.0",
    "/meshsub/1.1.0",
    "/mycomesh/public/kad/1",
    "/mycomesh/public/presence/1",
    "/mycomesh/public/objects/1",
    "/mycomesh/public/tasks/1",
    "/libp2p/circuit/relay/0.2.0/hop",
    "/ipfs/id/1.0.0",
    "/ipfs/id/push/1.0.0",
    "/ipfs/ping/1.0.0",
    "/no/such/protocol",
];
/// Streams one attacker opens on one connection.
const STREAMS: usize = 16;
/// How long one connection lasts unless the relay ends it: the pace of the attack, not a wait for anything.
const LASTS: Duration = Duration::from_secs(2);

/// TCP with a new key, and what to speak above the encryption.
macro_rules! transport {
    ($muxer:expr) => {
        tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(&Keypair::generate_ed25519()).expect("a key"))
            .multiplex($muxer)
            .boxed()
    };
}

/// One attacker for each protocol, and one for yamux.
pub fn attack(attackers: &mut Attackers, relay: &Relay, tally: &Arc<Tally>) {
    let (addr, _) = relay.address("tcp").rsplit_once("/p2p/").expect("it ends in a peer");
    let addr: Multiaddr = addr.parse().expect("an address");
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let (addr, tally) = (addr.clone(), tally.clone());
        attackers.spawn(async move {
            let mut numbers = Numbers::new(number as u64);
            loop {
                let talk = talk(addr.clone(), protocol, &mut numbers, &tally);
                // It fails when the relay has had enough.
                let _ = tokio::time::timeout(LASTS, talk).await;
            }
        });
    }
    let tally = tally.clone();
    attackers.spawn(async move {
        let mut numbers = Numbers::new(PROTOCOLS.len() as u64);
        loop {
            let babble = Babble(numbers.bytes(64 * 1024), tally.clone());
            let _ = tokio::time::timeout(LASTS, dial(transport!(babble), addr.clone())).await;
            tokio::time::sleep(LASTS / 100).await;
        }
    });
}

type Peer = (PeerId, StreamMuxerBox);

async fn dial(mut transport: Boxed<Peer>, addr: Multiaddr) -> io::Result<StreamMuxerBox> {
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dialled = transport.dial(addr, options).map_err(io::Error::other)?;
    Ok(dialled.await?.1)
}

/// Come in and speak nonsense on some streams, until the relay ends the connection.
async fn talk(addr: Multiaddr, protocol: &str, numbers: &mut Numbers, tally: &Tally) -> io::Result<()> {
    let mut muxer = dial(transport!(yamux::Config::default()), addr).await?;
    // Streams are kept: the relay is to wait for what never comes on them.
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let mut stream = poll_fn(|cx| {
            let _ = muxer.poll_unpin(cx);
            muxer.poll_outbound_unpin(cx)
        })
        .await
        .map_err(io::Error::other)?;
        let nonsense = [named(protocol), nonsense(number, numbers)].concat();
        let say = async {
            stream.write_all(&nonsense).await?;
            stream.flush().await
        };
        // A muxer moves only while somebody asks it to.
        let run = poll_fn(|cx| {
            // What the relay opens is dropped.
            while let Poll::Ready(Ok(_)) = muxer.poll_inbound_unpin(cx) {}
            muxer.poll_unpin(cx).map(drop)
        });
        match select(Box::pin(say), run).await {
            Either::Left((said, _)) => said?,
            Either::Right(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        count(&tally.garbled);
        streams.push(stream);
    }
    let mut answer = [0; 1_024];
    let listen = async { while streams[0].read(&mut answer).await.is_ok_and(|count| count > 0) {} };
    let run = poll_fn(|cx| muxer.poll_unpin(cx).map(drop));
    select(Box::pin(listen), run).await;
    Ok(())
}

/// The choice of a protocol on a stream, without waiting for the answer.
fn named(protocol: &str) -> Vec<u8> {
    let line = |text: &str| [&[text.len() as u8 + 1][..], text.as_bytes(), b"\n"].concat();
    [line("/multistream/1.0.0"), line(protocol)].concat()
}

/// Bytes of several kinds of wrongness; each protocol here has frames behind a length, or all bytes up to the end.
fn nonsense(number: usize, numbers: &mut Numbers) -> Vec<u8> {
    match number % 6 {
        0 => numbers.bytes(4_096),
        // A frame of 2^35 bytes, or of as many as any protocol takes, of which few come.
        1 => [&[0xff, 0xff, 0xff, 0xff, 0x7f][..], &numbers.bytes(256)].concat(),
        2 => [&[0xff, 0xff, 0x03][..], &numbers.bytes(256)].concat(),
        // Frames of the right length around the wrong thing: noise, and protobuf's unknown fields.
        3 => [&[0xff, 0x01][..], &numbers.bytes(255)].concat().repeat(64),
        4 => [&[0x04][..], &[0x78, 0x01, 0x78, 0x02]].concat().repeat(4_096),
        // More than any request may have.
        _ => vec![0xa0; 300 * 1024],
    }
}

/// Agrees on yamux and then speaks something else.
#[derive(Clone)]
struct Babble(Vec<u8>, Arc<Tally>);

impl UpgradeInfo for Babble {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<C> for Babble {
    type Output = yamux::Muxer<C>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, mut socket: C, _: Self::Info) -> Self::Future {
        Box::pin(async move {
            socket.write_all(&self.0).await?;
            socket.flush().await?;
            count(&self.1.garbled);
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        })
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<C> for Babble {
    type Output = yamux::Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, _: C, _: Self::Info) -> Self::Future {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// A small generator of numbers (xorshift64*, Vigna 2016), so that every run of an attack says the same.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
        };
        (0..count).map(|_| next()).collect()
    }
}
