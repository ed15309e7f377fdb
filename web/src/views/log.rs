//! What happened on this node, newest first. Core keeps a bounded number of lines.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use mycomesh_core::{
    limits,
    snapshot::{Counters, LogEntry, MeView, PeerView, Table},
};
use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use crate::{
    browser,
    section::Section,
    words::{self, EventGroup},
};

#[derive(Properties, PartialEq)]
pub struct LogProps {
    pub me: Section<MeView>,
    pub peers: Section<Table<PeerView>>,
    pub log: Section<Vec<LogEntry>>,
    pub counters: Section<Counters>,
}

#[function_component]
pub fn LogView(props: &LogProps) -> Html {
    let group = use_state(|| None::<EventGroup>);
    let search = use_state(String::new);
    let choose = {
        let group = group.clone();
        Callback::from(move |event: Event| {
            let value = event.target_unchecked_into::<HtmlSelectElement>().value();
            group.set(EventGroup::ALL.into_iter().find(|(_, name)| *name == value).map(|(group, _)| group));
        })
    };
    let type_in = {
        let search = search.clone();
        Callback::from(move |event: InputEvent| search.set(event.target_unchecked_into::<HtmlInputElement>().value()))
    };
    let names = Names::of(&props.me, &props.peers);
    let needle = search.to_lowercase();
    let lines: Vec<(&LogEntry, String)> = props
        .log
        .iter()
        .rev()
        .filter(|entry| group.is_none_or(|group| EventGroup::of(&entry.event) == group))
        .map(|entry| (entry, words::event(&entry.event, |peer| names.name(peer))))
        .filter(|(_, text)| needle.is_empty() || text.to_lowercase().contains(&needle))
        .collect();
    html! {
        <>
            <p class="summary">{ format!("The latest {} events since this page was opened are kept.", limits::LOG_ENTRIES_MAX) }</p>
            <div class="fields">
                <label class="field">{"Show"}
                    <select onchange={choose} data-testid="log-group">
                        <option value="all" selected={group.is_none()}>{"Everything"}</option>
                        { for EventGroup::ALL.map(|(one, name)| html! {
                            <option value={name} selected={*group == Some(one)}>{ name }</option>
                        }) }
                    </select>
                </label>
                <label class="field grow">{"Containing"}
                    <input type="search" value={(*search).clone()} oninput={type_in} data-testid="log-search" />
                </label>
            </div>
            if lines.is_empty() {
                <div class="empty"><p>{ if props.log.is_empty() { "Nothing has happened yet." } else { "No event matches; change the filter." } }</p></div>
            } else {
                <ol class="log" reversed=true>{ for lines.into_iter().map(|(entry, text)| html! {
                    <li key={entry.number} data-testid="log-row" data-event={entry.event.name()}>
                        <time class="number dim">{ browser::time_of_day(entry.at) }</time>
                        <span dir="auto">{ text }</span>
                    </li>
                }) }</ol>
            }
            <Totals counters={props.counters.clone()} />
        </>
    }
}

#[derive(Properties, PartialEq)]
struct TotalsProps {
    counters: Section<Counters>,
}

#[function_component]
fn Totals(props: &TotalsProps) -> Html {
    let totals = &props.counters;
    let rows = [
        ("Gossip passed on", totals.gossip_accepted),
        ("Gossip ignored", totals.gossip_ignored),
        ("Gossip rejected", totals.gossip_rejected),
        ("Requests answered", totals.requests_served),
        ("Requests refused", totals.requests_refused),
        ("Replays", totals.replays),
        ("Expired", totals.expired),
        ("Forged", totals.forged),
    ];
    html! {
        <section aria-labelledby="totals-title">
            <h2 id="totals-title">{"Messages since start"}</h2>
            <dl class="totals">{ for rows.map(|(name, total)| html! {
                <div><dt>{ name }</dt><dd class="number">{ total }</dd></div>
            }) }</dl>
        </section>
    }
}

/// What to call peers.
pub struct Names {
    me: PeerId,
    names: BTreeMap<PeerId, String>,
}

impl Names {
    /// The names of everybody in the table.
    pub fn of(me: &MeView, peers: &Table<PeerView>) -> Self {
        let names = peers.rows.iter().map(|peer| {
            let called = words::isolated(&words::called(peer.name.as_deref(), &peer.peer_id));
            (peer.peer_id, if peer.is_relay { "the relay".to_owned() } else { called })
        });
        Self { me: me.peer_id, names: names.collect() }
    }

    /// What to call `peer`.
    pub fn name(&self, peer: &PeerId) -> String {
        if *peer == self.me {
            return "you".to_owned();
        }
        self.names.get(peer).cloned().unwrap_or_else(|| words::called(None, peer))
    }
}
