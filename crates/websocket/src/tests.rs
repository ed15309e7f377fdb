//! Tests that need a browser.

use libp2p_core::{
    Endpoint, Transport as _,
    transport::{DialOpts, PortUse},
};
use multiaddr::Multiaddr;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

use crate::{
    DialError, Transport, open_ahead,
    transport::{ahead, url_of},
};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn a_relay_that_is_not_there_is_noticed_before_any_timeout() {
    let mut transport = Transport;
    // A port nobody uses here; low ones are refused by Chromium itself.
    let addr: Multiaddr = "/ip4/127.0.0.1/tcp/61997/ws".parse().expect("an address");
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = transport.dial(addr, opts).expect("it is a WebSocket address");
    let url = "ws://127.0.0.1:61997/".to_owned();
    assert_eq!(dial.await.err(), Some(DialError::Unreachable { url }));
}

#[wasm_bindgen_test]
async fn a_socket_that_was_opened_ahead_and_failed_gives_way_to_the_dials_own_attempt() {
    let mut transport = Transport;
    let addr: Multiaddr = "/ip4/127.0.0.1/tcp/61997/ws".parse().expect("an address");
    open_ahead(&addr);
    open_ahead(&addr);
    assert_eq!(ahead(), 1, "one socket an address");
    let dial = || DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    for left in [0, 0] {
        let dialled = transport.dial(addr.clone(), dial()).expect("it is a WebSocket address");
        assert!(dialled.await.is_err());
        assert_eq!(ahead(), left, "it is dialled once");
    }
}

#[wasm_bindgen_test]
fn websocket_addresses_become_urls() {
    let check = |addr: &str, expect: Option<&str>| {
        let url = url_of(&addr.parse().expect(addr));
        assert_eq!(url.as_deref(), expect, "{addr}");
    };
    check("/ip4/127.0.0.1/tcp/80/ws", Some("ws://127.0.0.1:80/"));
    check("/ip6/::1/tcp/80/ws", Some("ws://[::1]:80/"));
    check("/dns4/relay.example/tcp/443/wss", Some("wss://relay.example:443/"));
    check("/dns/relay.example/tcp/443/tls/ws", Some("wss://relay.example:443/"));
    check("/ip4/127.0.0.1/tcp/80", None);
    check("/ip4/127.0.0.1/udp/80/webrtc-direct", None);
}
