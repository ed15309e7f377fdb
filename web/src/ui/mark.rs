//! Signs that carry meaning by shape as well as colour, and names of peers.

use libp2p_identity::PeerId;
use mycomesh_core::{io::Path, snapshot::Status, units::Bps};
use yew::prelude::*;

use crate::words;

/// The outline of a state's sign, centred on 0,0 within a radius of 7. The bar, the table and the
/// graph share it.
pub const fn outline(status: Status) -> &'static str {
    match status {
        Status::Idle => "M6.5 0A6.5 6.5 0 1 1-6.5 0 6.5 6.5 0 1 1 6.5 0Z",
        Status::Reputable => "M0-7.4 2.1-2.6 7.2-2.2 3.3 1.2 4.5 6.2 0 3.5-4.5 6.2-3.3 1.2-7.2-2.2-2.1-2.6Z",
        Status::Busy => "M-5.8-5.8H5.8V5.8H-5.8Z",
        Status::Offline => "M6 0A6 6 0 1 1-6 0 6 6 0 1 1 6 0ZM3.4 0A3.4 3.4 0 1 0-3.4 0 3.4 3.4 0 1 0 3.4 0Z",
        Status::Unknown => "M0-7 7.2 5.6H-7.2Z",
    }
}

/// The outline of a relay, which has no state of its own in the bar.
pub const RELAY_OUTLINE: &str = "M0-7.2 6.2-3.6V3.6L0 7.2-6.2 3.6V-3.6Z";

#[derive(Properties, PartialEq)]
pub struct MarkProps {
    pub status: Status,
    /// A relay has its own shape.
    #[prop_or_default]
    pub relay: bool,
}

/// A state's sign. Decoration beside its name, so hidden from assistive technology.
#[function_component]
pub fn Mark(props: &MarkProps) -> Html {
    let shape = if props.relay { RELAY_OUTLINE } else { outline(props.status) };
    let name = if props.relay { "relay" } else { props.status.as_str() };
    html! {
        <svg class={classes!("mark", format!("mark-{name}"))} viewBox="-9 -9 18 18" width="16" height="16" aria-hidden="true">
            <path d={shape} fill-rule="evenodd" />
        </svg>
    }
}

#[derive(Properties, PartialEq)]
pub struct PathProps {
    pub path: Path,
    /// Why it is not better.
    #[prop_or_default]
    pub reason: Option<AttrValue>,
}

/// How a peer is reached: a solid, dashed or missing line, and words.
#[function_component]
pub fn PathLine(props: &PathProps) -> Html {
    let kind = match props.path {
        Path::None => "line-none",
        Path::Relayed => "line-relayed",
        _ => "line-direct",
    };
    let meaning = match &props.reason {
        Some(reason) => format!("{} ({reason})", words::path_meaning(props.path)),
        None => words::path_meaning(props.path).to_owned(),
    };
    html! {
        <span class="path" title={meaning}>
            <svg class={kind} viewBox="0 0 22 8" width="22" height="8" aria-hidden="true"><path d="M1 4H21" /></svg>
            { words::path(props.path) }
        </span>
    }
}

#[derive(Properties, PartialEq)]
pub struct NameProps {
    pub name: Option<AttrValue>,
    pub peer: PeerId,
}

/// What to call a peer, with the end of its id. Written by the peer: text, isolated from the text
/// around it.
#[function_component]
pub fn PeerName(props: &NameProps) -> Html {
    let given = props.name.as_deref().is_some_and(|name| !name.trim().is_empty());
    let title = if given { None } else { Some("This peer gave no name; this one is made from its id.") };
    html! {
        <span class="peer-name">
            <bdi dir="auto" class={classes!((!given).then_some("made-up"))} {title}>
                { words::called(props.name.as_deref(), &props.peer) }
            </bdi>
            {" "}<code class="id-tail" title={props.peer.to_base58()}>{ words::tail(&props.peer) }</code>
        </span>
    }
}

#[derive(Properties, PartialEq)]
pub struct MeterProps {
    pub share: Bps,
}

/// A share as a small bar beside its number.
#[function_component]
pub fn Meter(props: &MeterProps) -> Html {
    let width = props.share.get() as f64 / 10_000.0 * 48.0;
    html! {
        <svg class="meter" viewBox="0 0 48 6" width="48" height="6" aria-hidden="true">
            <rect class="meter-all" width="48" height="6" rx="3" />
            <rect class="meter-part" width={format!("{width:.1}")} height="6" rx="3" />
        </svg>
    }
}
