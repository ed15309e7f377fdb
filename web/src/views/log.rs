//! What happened on this node, newest first. Core keeps a bounded number of lines.

use std::collections::BTreeMap;

use libp2p_identity::PeerId;
use mycomesh_core::{
    limits,
    snapshot::{Counters, LogEntry, MeView, PeerView, SecurityEntry, Table},
    time::UnixMillis,
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
    pub security: Section<Vec<SecurityEntry>>,
    pub counters: Section<Counters>,
}

/// A line of one of the two lists. Both are bounded apart, so that neither pushes the other out.
#[derive(Clone, Copy)]
enum Line<'a> {
    Event(&'a LogEntry),
    Security(&'a SecurityEntry),
}

impl Line<'_> {
    fn at(self) -> UnixMillis {
        match self {
            Self::Event(entry) => entry.at,
            Self::Security(entry) => entry.last,
        }
    }

    fn key(self) -> String {
        match self {
            Self::Event(entry) => format!("event-{}", entry.number),
            Self::Security(entry) => format!("security-{}", entry.number),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Event(entry) => entry.event.name(),
            Self::Security(_) => "p2p:security",
        }
    }

    fn group(self) -> EventGroup {
        match self {
            Self::Event(entry) => EventGroup::of(&entry.event),
            Self::Security(_) => EventGroup::Trust,
        }
    }

    fn text(self, names: &Names) -> String {
        match self {
            Self::Event(entry) => words::event(&entry.event, |peer| names.name(peer)),
            Self::Security(entry) => {
                words::security(entry, |peer| names.name(peer), &browser::time_of_day(entry.first))
            }
        }
    }
}

/// Both lists as one, newest first.
fn merged<'a>(log: &'a [LogEntry], security: &'a [SecurityEntry]) -> Vec<Line<'a>> {
    // The log's own order first: entries of the same millisecond keep it.
    let events = log.iter().rev().map(Line::Event);
    let mut lines: Vec<_> = events.chain(security.iter().rev().map(Line::Security)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.at()));
    lines
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
    let lines: Vec<(Line<'_>, String)> = merged(&props.log, &props.security)
        .into_iter()
        .filter(|line| group.is_none_or(|group| line.group() == group))
        .map(|line| (line, line.text(&names)))
        .filter(|(_, text)| needle.is_empty() || text.to_lowercase().contains(&needle))
        .collect();
    html! {
        <>
            <p class="summary">{ format!(
                "The latest {} events since this page was opened are kept, and apart from them {} about security.",
                limits::LOG_ENTRIES_MAX, limits::AUDIT_ENTRIES_MAX
            ) }</p>
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
                <div class="empty"><p>{ if props.log.is_empty() && props.security.is_empty() { "Nothing has happened yet." } else { "No event matches; change the filter." } }</p></div>
            } else {
                <ol class="log" reversed=true>{ for lines.into_iter().map(|(line, text)| html! {
                    <li key={line.key()} data-testid="log-row" data-event={line.name()}>
                        <time class="number dim">{ browser::time_of_day(line.at()) }</time>
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
        ("Too many", totals.excess_objects + totals.excess_requests),
        ("From peers in quarantine", totals.quarantined_objects),
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
