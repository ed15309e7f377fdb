//! What `web-sys` lacks: calls that may throw and promises as results, and the SCTP transport.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcPeerConnection, RtcSdpType, RtcSessionDescriptionInit,
};

use crate::Error;

#[wasm_bindgen]
extern "C" {
    /// `RTCPeerConnection`, where it may throw.
    type Throwing;

    #[wasm_bindgen(method, catch, js_name = createDataChannel)]
    fn create_data_channel(this: &Throwing, label: &str, init: &RtcDataChannelInit) -> Result<RtcDataChannel, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn sctp(this: &Throwing) -> Option<Sctp>;

    /// `RTCSctpTransport`.
    #[derive(Clone, Debug)]
    pub(super) type Sctp;

    #[wasm_bindgen(method, getter)]
    pub(super) fn state(this: &Sctp) -> String;

    #[wasm_bindgen(method, setter)]
    pub(super) fn set_onstatechange(this: &Sctp, callback: Option<&js_sys::Function>);
}

/// Whether this page has WebRTC at all.
pub fn is_available() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
}

/// Make a peer connection.
pub(super) fn peer_connection(config: &RtcConfiguration) -> Result<RtcPeerConnection, Error> {
    if !is_available() {
        return Err(Error::Unsupported);
    }
    RtcPeerConnection::new_with_configuration(config).map_err(|thrown| {
        let text = message(&thrown);
        // Chromium: "Cannot create so many PeerConnections".
        if text.contains("so many") { Error::Budget } else { Error::Browser(text) }
    })
}

/// Make a data channel.
pub(super) fn data_channel(
    pc: &RtcPeerConnection,
    label: &str,
    init: &RtcDataChannelInit,
) -> Result<RtcDataChannel, Error> {
    pc.unchecked_ref::<Throwing>().create_data_channel(label, init).map_err(|thrown| Error::Browser(message(&thrown)))
}

/// The SCTP transport, once descriptions were exchanged.
pub(super) fn sctp(pc: &RtcPeerConnection) -> Option<Sctp> {
    pc.unchecked_ref::<Throwing>().sctp()
}

/// What was thrown, in words.
pub(super) fn message(thrown: &JsValue) -> String {
    let field = |name: &str| js_sys::Reflect::get(thrown, &name.into()).ok().and_then(|value| value.as_string());
    field("message").or_else(|| thrown.as_string()).unwrap_or_else(|| format!("{thrown:?}"))
}

/// A description as the browser takes it.
pub(super) fn description(kind: RtcSdpType, sdp: &str) -> RtcSessionDescriptionInit {
    let init = RtcSessionDescriptionInit::new(kind);
    init.set_sdp(sdp);
    init
}

/// The text of a description that the browser creates.
pub(super) async fn create(promise: js_sys::Promise) -> Result<String, Error> {
    let made = JsFuture::from(promise).await.map_err(|thrown| Error::Sdp(message(&thrown)))?;
    let sdp = js_sys::Reflect::get(&made, &"sdp".into()).ok().and_then(|sdp| sdp.as_string());
    sdp.ok_or_else(|| Error::Sdp("the browser described nothing".into()))
}

/// What comes of a promise that brings nothing.
pub(super) async fn set(promise: js_sys::Promise) -> Result<(), Error> {
    JsFuture::from(promise).await.map(drop).map_err(|thrown| Error::Sdp(message(&thrown)))
}
