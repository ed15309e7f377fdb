//! Attackers with bare sockets: they have no key and finish no handshake.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use mycomesh_tests::Relay;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use crate::{
    garbage::Numbers,
    watch::{Attackers, Tally, count},
};

/// Connections that are kept half-open.
pub const HALF_OPEN: usize = 2_000;
/// Between the end of a half-open connection and the next in its place: the pace of the attack, not a wait for anything.
/// 250 newcomers a second if the relay ends each at once.
const REOPEN: Duration = Duration::from_secs(8);
/// Between two datagrams or oversized things of one attacker.
const PACE: Duration = Duration::from_millis(100);
/// How much is poured into a connection whose header never ends.
const POURED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Half a WebSocket's beginning.
const HALF_UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Ver";
/// A whole one.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// multistream-select, and the choice of Noise.
const NOISE: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";

/// Every one of them.
pub fn attack(attackers: &mut Attackers, relay: &Relay, tally: &Arc<Tally>) {
    let tcp = port(relay.address("tcp"));
    let ws = port(relay.address("ws"));
    let http: SocketAddr = relay.http.parse().expect("an address");
    for number in 0..HALF_OPEN {
        let (to, opening): (_, &[u8]) = match number % 5 {
            0 => (tcp, b""),
            1 => (tcp, NOISE),
            2 => (ws, HALF_UPGRADE),
            3 => (ws, b""),
            _ => (http, b"GET / HTTP/1.1\r\nHost: "),
        };
        attackers.spawn(hold(to, opening, tally.clone()));
    }
    let endless_header = b"GET / HTTP/1.1\r\nX: ";
    let too_much: [(SocketAddr, Vec<u8>, u8); 9] = [
        (ws, endless_header.to_vec(), b'x'),
        (http, endless_header.to_vec(), b'x'),
        (http, b"GET /".to_vec(), b'x'),
        (http, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n".to_vec(), b'x'),
        // A frame of 2^63 bytes on a WebSocket, and a text without an end.
        (ws, [UPGRADE, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"].concat(), 0),
        (ws, [UPGRADE, b"\x01\xfe\xff\xff\0\0\0\0"].concat(), 0),
        // A protocol's name of 2^35 bytes, then Noise messages as long as they may be.
        (tcp, b"\xff\xff\xff\xff\x7f".to_vec(), b'x'),
        (tcp, [NOISE, b"\xff\xff"].concat(), 0xff),
        (tcp, Vec::new(), 0xff),
    ];
    for (to, opening, filler) in too_much {
        attackers.spawn(pour(to, opening, filler, tally.clone()));
    }
    for kind in ["webrtc-direct", "quic-v1"] {
        attackers.spawn(throw(port(relay.address(kind)), tally.clone()));
    }
}

fn port(addr: &str) -> SocketAddr {
    let (_, after) = addr.split_once("/tcp/").or(addr.split_once("/udp/")).expect("a port");
    let port = after.split('/').next().and_then(|port| port.parse().ok()).expect("a port");
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Say the beginning of something, then nothing more, again and again.
async fn hold(to: SocketAddr, opening: &'static [u8], tally: Arc<Tally>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(to).await {
            count(&tally.half_open);
            if stream.write_all(opening).await.is_ok() {
                read_to_end(&mut stream).await;
            }
            count(&tally.given_up);
        }
        tokio::time::sleep(REOPEN).await;
    }
}

/// Say the beginning of something, then one byte over and over.
async fn pour(to: SocketAddr, opening: Vec<u8>, filler: u8, tally: Arc<Tally>) {
    let chunk = vec![filler; 64 * 1024];
    loop {
        if let Ok(mut stream) = TcpStream::connect(to).await
            && stream.write_all(&opening).await.is_ok()
        {
            count(&tally.oversized);
            let mut poured = 0;
            while poured < POURED_BYTES_MAX && stream.write_all(&chunk).await.is_ok() {
                poured += chunk.len();
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Throw nonsense, and what looks like the beginning of a WebRTC connection.
async fn throw(to: SocketAddr, tally: Arc<Tally>) {
    let mut numbers = Numbers::new(u64::from(to.port()));
    loop {
        let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
        for datagram in [numbers.bytes(1_200), numbers.bytes(1), binding_request(&mut numbers)] {
            if socket.send_to(&datagram, to).await.is_ok() {
                count(&tally.datagrams);
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// A STUN binding request (RFC 8489) whose user name is one of libp2p's, made up.
fn binding_request(numbers: &mut Numbers) -> Vec<u8> {
    let ufrag: String = numbers.bytes(16).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut user = format!("libp2p+webrtc+v1/{ufrag}:libp2p+webrtc+v1/{ufrag}").into_bytes();
    let length = user.len() as u16;
    user.resize(user.len().next_multiple_of(4), 0);
    let mut request = vec![0x00, 0x01];
    request.extend((user.len() as u16 + 4).to_be_bytes());
    request.extend([0x21, 0x12, 0xa4, 0x42]);
    request.extend(numbers.bytes(12));
    request.extend([0x00, 0x06]);
    request.extend(length.to_be_bytes());
    request.extend(user);
    request
}

/// Whatever comes, until nothing more does.
async fn read_to_end(stream: &mut TcpStream) {
    let mut buffer = [0; 1_024];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
