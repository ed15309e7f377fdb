//! The mesh: who is here and how each is reached, as a graph and as a table.

use mycomesh_core::{
    io::Path,
    snapshot::{JoinView, PeerView, Status, Table},
};
use yew::prelude::*;

use super::{graph::Graph, peers::PeerTable};
use crate::{actions::use_actions, invite_panel::InvitePanel, section::Section, ui::Empty, words};

#[derive(Properties, PartialEq)]
pub struct MeshProps {
    pub peers: Section<Table<PeerView>>,
    pub join: Section<JoinView>,
    /// This peer's own state.
    pub me: Status,
    pub network: AttrValue,
    pub filter: Option<Status>,
    /// Whether the page is starting: that nobody is here is not said yet.
    pub starting: bool,
}

#[function_component]
pub fn MeshView(props: &MeshProps) -> Html {
    let actions = use_actions();
    let on_choose = Callback::from(move |peer| actions.ask(peer));
    let alone = props.peers.rows.iter().all(|peer| peer.is_relay);
    if alone && props.starting {
        return html! { <p class="summary">{"Looking for others…"}</p> };
    }
    html! {
        <>
            <p class="summary">{ summary(&props.peers) }</p>
            if alone {
                <Empty title="Nobody else here yet">
                    <p>{"This page is a working peer of the mesh. Open the link in a second tab, or send it to somebody; they \
                        appear here, and in the bar at the left, within a second or so."}</p>
                    <InvitePanel join={props.join.clone()} network={props.network.clone()} testid="invite-link-inline" />
                </Empty>
            }
            if !props.peers.rows.is_empty() {
                <Graph peers={props.peers.clone()} me={props.me} {on_choose} />
                <PeerTable peers={props.peers.clone()} filter={props.filter} />
            }
        </>
    }
}

/// Who is here and how they are reached, in one line.
fn summary(peers: &Table<PeerView>) -> String {
    let agents = || peers.rows.iter().filter(|peer| !peer.is_relay);
    let online = agents().filter(|peer| !matches!(peer.status, Status::Offline | Status::Unknown)).count();
    let relayed = agents().filter(|peer| peer.path == Path::Relayed).count();
    let direct = agents().filter(|peer| !matches!(peer.path, Path::Relayed | Path::None)).count();
    if online == 0 {
        return "You are the only agent online.".to_owned();
    }
    let others = words::count(online, "other agent", "other agents");
    format!("{others} online; {direct} connected directly, {relayed} through a relay.")
}
