//! Trust in every agent, unfolded to the receipts it rests on.

use std::cmp::Reverse;

use mycomesh_core::snapshot::{MeView, PeerView, Status, Table};
use yew::prelude::*;

use super::trust::{Score, TrustDetail};
use crate::{
    section::{Row, Section},
    ui::{Empty, Mark, PeerName},
    words,
};

#[derive(Properties, PartialEq)]
pub struct ReputationProps {
    pub me: Section<MeView>,
    pub peers: Section<Table<PeerView>>,
}

#[function_component]
pub fn ReputationView(props: &ReputationProps) -> Html {
    let mut rows: Vec<Row<PeerView>> = Row::all(&props.peers).filter(|peer| !peer.is_relay).collect();
    rows.sort_by_key(|peer| (Reverse(peer.trust.score), Reverse(peer.trust.receipts), peer.peer_id));
    html! {
        <>
            <p class="summary">{"Trust is this peer's own view. It rests on receipts that both sides of a task signed, and on \
                what this peer saw itself; nobody can hand it out."}</p>
            <section aria-labelledby="own-title" class="own-trust">
                <h2 id="own-title">{"About you"}</h2>
                <p class="score-line"><Mark status={props.me.status} />
                    { format!("{} from {} by {}", words::percent(props.me.trust.score),
                        words::count(props.me.trust.receipts as usize, "receipt", "receipts"),
                        words::count(props.me.trust.signers as usize, "signer", "signers")) }</p>
                <details><summary>{"What it is made of"}</summary><TrustDetail trust={props.me.trust.clone()} own=true /></details>
            </section>
            <section aria-labelledby="others-title">
                <h2 id="others-title">{"About others"}</h2>
                if rows.is_empty() {
                    <Empty title="Nobody else here yet">
                        <p>{"Invite somebody; once you have rated each other's answers, the receipts show here."}</p>
                    </Empty>
                } else {
                    <ul class="trust-list">{ for rows.into_iter().map(|row| html! {
                        <TrustRow key={row.peer_id.to_base58()} peer={row.clone()} />
                    }) }</ul>
                }
            </section>
        </>
    }
}

#[derive(Properties, PartialEq)]
struct TrustRowProps {
    peer: Row<PeerView>,
}

#[function_component]
fn TrustRow(props: &TrustRowProps) -> Html {
    let peer = &props.peer;
    let open = use_state(|| false);
    let toggle = {
        let open = open.clone();
        Callback::from(move |()| open.set(!*open))
    };
    let controls = format!("trust-{}", peer.peer_id);
    html! {
        <li class="trust-row" data-testid="trust-row" data-peer-id={peer.peer_id.to_base58()}>
            <div class="trust-head">
                <span class="status">
                    <Mark status={peer.status} /><span class="visually-hidden">{ words::status(peer.status) }</span>
                    <PeerName name={peer.name.clone().map(AttrValue::from)} peer={peer.peer_id} />
                </span>
                if peer.status == Status::Reputable {
                    <span class="badge">{"reputable"}</span>
                }
                <Score trust={peer.trust.clone()} open={*open} controls={controls.clone()} on_toggle={toggle}
                    whose={words::called(peer.name.as_deref(), &peer.peer_id)} />
            </div>
            if *open {
                <div id={controls}><TrustDetail trust={peer.trust.clone()} /></div>
            }
        </li>
    }
}
