//! The peer table: the graph's alternative, and where everything about a peer is found.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Command, Path},
    snapshot::{PeerView, Status, Table},
};
use yew::prelude::*;

use super::trust::{Score, TrustDetail};
use crate::{
    actions::{UiAct, use_actions},
    section::{Row, Section},
    ui::{Ago, Empty, Id, Mark, PathLine, PeerName},
    words,
};

#[derive(Properties, PartialEq)]
pub struct PeersProps {
    pub peers: Section<Table<PeerView>>,
    /// Only peers in this state.
    pub filter: Option<Status>,
}

#[function_component]
pub fn PeerTable(props: &PeersProps) -> Html {
    let actions = use_actions();
    let rows = sorted(&props.peers, props.filter);
    let everybody = {
        let ui = actions.ui;
        Callback::from(move |_: MouseEvent| ui.dispatch(UiAct::Filter(None)))
    };
    let cut = props.peers.total.saturating_sub(props.peers.rows.len());
    html! {
        <section class="peers" aria-labelledby="peers-title">
            <div class="section-head">
                <h2 id="peers-title">{ match props.filter {
                    Some(status) => format!("{} peers", words::status(status)),
                    None => "Peers".to_owned(),
                } }</h2>
                if props.filter.is_some() {
                    <button type="button" class="quiet" onclick={everybody} data-testid="filter-clear">{"Show all"}</button>
                }
            </div>
            if rows.is_empty() {
                <Empty title="Nobody else is in this state">
                    <p>{"This peer itself is counted in the bar too. Show all to see who is here."}</p>
                </Empty>
            } else {
                <table role="table">
                    <thead role="rowgroup">
                        <tr role="row">
                            <th role="columnheader" scope="col">{"Peer"}</th>
                            <th role="columnheader" scope="col">{"Status"}</th>
                            <th role="columnheader" scope="col">{"Path"}</th>
                            <th role="columnheader" scope="col" class="number">{"Round trip"}</th>
                            <th role="columnheader" scope="col">{"Skills"}</th>
                            <th role="columnheader" scope="col">{"Trust"}</th>
                            <th role="columnheader" scope="col"><span class="visually-hidden">{"Ask"}</span></th>
                        </tr>
                    </thead>
                    { for rows.into_iter().map(|row| html! { <PeerRow key={row.peer_id.to_base58()} peer={row.clone()} /> }) }
                </table>
            }
            if cut > 0 {
                <p class="hint">{ format!("{cut} more are known; the table shows the first {}.", props.peers.rows.len()) }</p>
            }
        </section>
    }
}

/// Those who are here first; then by name.
fn sorted(peers: &Section<Table<PeerView>>, filter: Option<Status>) -> Vec<Row<PeerView>> {
    let mut rows: Vec<Row<PeerView>> =
        Row::all(peers).filter(|peer| filter.is_none_or(|status| peer.status == status && !peer.is_relay)).collect();
    rows.sort_by_cached_key(|peer| {
        let name = words::called(peer.name.as_deref(), &peer.peer_id).to_lowercase();
        (peer.is_relay, peer.status == Status::Offline, name, peer.peer_id)
    });
    rows
}

#[derive(Properties, PartialEq)]
struct PeerRowProps {
    peer: Row<PeerView>,
}

/// One peer; a body of its own, so that its detail row belongs to it.
#[function_component]
fn PeerRow(props: &PeerRowProps) -> Html {
    let peer = &props.peer;
    let id = peer.peer_id.to_base58();
    let open = use_state(|| false);
    let toggle = {
        let open = open.clone();
        Callback::from(move |()| open.set(!*open))
    };
    let detail_id = format!("detail-{id}");
    let status = if peer.is_relay { "Relay" } else { words::status(peer.status) };
    let meaning = if peer.is_relay {
        "introduces peers and carries traffic; not counted in the bar"
    } else {
        words::status_meaning(peer.status)
    };
    html! {
        <tbody role="rowgroup">
            <tr role="row" data-testid="peer-row" data-peer-id={id.clone()} data-status={peer.status.as_str()}
                data-path={peer.path.as_str()} data-rtt-ms={peer.rtt.map(|rtt| rtt.0.to_string()).unwrap_or_default()}>
                <th role="rowheader" scope="row" data-label="Peer">
                    <PeerName name={peer.name.clone().map(AttrValue::from)} peer={peer.peer_id} />
                </th>
                <td role="cell" data-label="Status" title={meaning}>
                    <span class="status"><Mark status={peer.status} relay={peer.is_relay} />{ status }</span>
                </td>
                <td role="cell" data-label="Path">
                    <PathLine path={peer.path} reason={peer.path_reason.clone().map(AttrValue::from)} />
                    if let Some(reason) = peer.path_reason.as_ref().filter(|_| peer.path == Path::Relayed) {
                        <span class="why" dir="auto" data-testid="path-reason">{ reason }</span>
                    }
                </td>
                <td role="cell" data-label="Round trip" class="number">{ words::rtt(peer.rtt) }</td>
                <td role="cell" data-label="Skills"><span class="skills">
                    { for peer.skills.iter().map(|skill| html! { <span class="skill">{ skill.as_str() }</span> }) }
                </span></td>
                <td role="cell" data-label="Trust">
                    if !peer.is_relay {
                        <Score trust={peer.trust.clone()} open={*open} controls={detail_id.clone()} on_toggle={toggle}
                            whose={words::called(peer.name.as_deref(), &peer.peer_id)} />
                    }
                </td>
                <td role="cell" class="row-actions">
                    if !peer.is_relay {
                        <AskButton peer={peer.peer_id} name={words::called(peer.name.as_deref(), &peer.peer_id)}
                            gone={peer.status == Status::Offline} />
                    }
                </td>
            </tr>
            if *open {
                <tr role="row" class="detail" id={detail_id}>
                    <td role="cell" colspan="7">
                        <Facts peer={peer.clone()} />
                        <TrustDetail trust={peer.trust.clone()} />
                    </td>
                </tr>
            }
        </tbody>
    }
}

#[function_component]
fn Facts(props: &PeerRowProps) -> Html {
    let actions = use_actions();
    let peer = &props.peer;
    let connect = {
        let (actions, id) = (actions, peer.peer_id);
        Callback::from(move |_: MouseEvent| {
            let said = actions.clone();
            actions.order(Command::ConnectPeer(id), move |result| {
                if result.is_ok() {
                    said.toast("Calling this peer.");
                }
            });
        })
    };
    html! {
        <p class="facts">
            <Id id={peer.peer_id.to_base58()} what="peer id" />
            if let Some(seen) = peer.last_seen {
                <span>{"heard of "}<Ago at={seen} /></span>
            }
            <span>{ words::count(peer.slots_free as usize, "free slot", "free slots") }</span>
            if let Some(reason) = &peer.path_reason {
                <span dir="auto">{ reason }</span>
            }
            if peer.path == Path::None {
                <button type="button" class="quiet" onclick={connect}>{"Connect now"}</button>
            }
        </p>
    }
}

#[derive(Properties, PartialEq)]
struct AskButtonProps {
    peer: PeerId,
    name: AttrValue,
    gone: bool,
}

#[function_component]
fn AskButton(props: &AskButtonProps) -> Html {
    let actions = use_actions();
    let peer = props.peer;
    let onclick = Callback::from(move |_: MouseEvent| actions.ask(peer));
    let title =
        if props.gone { "Offline: your question waits until this peer is back" } else { "Ask this peer something" };
    html! {
        <button type="button" {onclick} {title} data-testid="ask-peer">
            {"Ask"}<span class="visually-hidden">{ format!(" {}", props.name) }</span>
        </button>
    }
}
