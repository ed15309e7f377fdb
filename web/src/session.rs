//! From the page's first moment to a running node: what to join, start, and the stream of snapshots.
//!
//! Decisions are in [`crate::plan`] and [`crate::invite`]; here they meet the browser and the node.

use std::sync::Arc;

use futures::StreamExt;
use multiaddr::Multiaddr;
use mycomesh_core::{
    Config,
    snapshot::{JoinStage, Problem, Snapshot},
    wire::Network,
};
use mycomesh_net::{Handle, Options, StartError, Store};
use yew::Callback;

use crate::{
    actions::View,
    browser::{self, FetchError, Surroundings},
    invite::{self, Invite},
    plan::{self, Sources, WellKnown},
    prefs,
    shell::{Notice, NoticeKind},
};

/// What the app hears on the way.
pub enum Progress {
    /// Joining went on; after the node runs, its snapshots tell.
    Stage(JoinStage),
    /// Something the person should know.
    Notice(Notice),
    /// Which network will be joined.
    Network(Network),
    /// The node runs.
    Running(Handle),
    /// The node's state changed.
    Snapshot(Arc<Snapshot>),
    /// The node cannot start, and why.
    Stopped(Notice),
}

/// Join. Reports until the node stops.
pub async fn run(in_memory: bool, report: Callback<Progress>) {
    report.emit(Progress::Stage(JoinStage::Starting));
    let around = browser::surroundings();
    let invite = take_invite(&report);
    let plan = plan::plan(Sources { invite, saved: prefs::saved(), site: site().await, https: around.https });
    report.emit(Progress::Network(plan.network.clone()));
    if let Some(problem) = plan.problem {
        report.emit(Progress::Notice(Notice { problem, kind: NoticeKind::Join }));
    }

    report.emit(Progress::Stage(JoinStage::Identity));
    let store = if in_memory { Store::Memory } else { store(around, &report) };
    if !around.webrtc {
        report.emit(Progress::Notice(Notice { problem: no_webrtc(), kind: NoticeKind::Remark }));
    }
    match mycomesh_net::start(options(plan.network, plan.relays, store)).await {
        Ok(handle) => {
            if let Some(problem) = not_kept(&handle, in_memory) {
                report.emit(Progress::Notice(Notice { problem, kind: NoticeKind::Remark }));
            }
            let mut snapshots = handle.snapshots();
            report.emit(Progress::Running(handle));
            while let Some(snapshot) = snapshots.next().await {
                report.emit(Progress::Snapshot(snapshot));
            }
        }
        Err(error) => {
            let kind = if matches!(error, StartError::Store { .. }) { NoticeKind::Store } else { NoticeKind::Trouble };
            report.emit(Progress::Stopped(Notice { problem: not_started(&error), kind }));
        }
    }
}

/// Read the fragment as the page starts or as it changes; an invitation is remembered for this tab and
/// taken out of the address, so that views can use it.
pub fn accept_fragment(fragment: &str) -> Result<Option<Invite>, Problem> {
    if !invite::is_invite(fragment) {
        return Ok(None);
    }
    browser::replace_fragment(&format!("#{}", View::Mesh.key()));
    let invite = invite::parse(fragment)?;
    prefs::set_tab_invite(Some(fragment));
    Ok(invite)
}

fn take_invite(report: &Callback<Progress>) -> Option<Invite> {
    let fresh = accept_fragment(&browser::fragment()).unwrap_or_else(|problem| {
        report.emit(Progress::Notice(Notice { problem, kind: NoticeKind::Trouble }));
        None
    });
    fresh.or_else(|| {
        let remembered = prefs::tab_invite()?;
        invite::parse(&remembered).ok().flatten()
    })
}

/// What this page's own site says of its relay.
async fn site() -> Result<WellKnown, Problem> {
    match browser::site_document().await {
        Ok(text) => WellKnown::parse(&text),
        Err(FetchError::Unreachable) => Err(Problem {
            what: "The site this page came from does not answer.".into(),
            advice: "Check your connection and reload; or enter another relay's address in Settings.".into(),
        }),
        Err(FetchError::Status(status)) => Err(Problem {
            what: format!("The site this page came from names no relay (status {status})."),
            advice: "Open an invite link, or enter a relay's address in Settings.".into(),
        }),
    }
}

fn store(around: Surroundings, report: &Callback<Progress>) -> Store {
    let problem = if !around.secure {
        Problem {
            what: "This page came over plain HTTP, so the browser keeps some of its functions from it.".into(),
            advice:
                "Everything works for this visit, but your identity and receipts are not kept; use HTTPS to keep them."
                    .into(),
        }
    } else if !around.indexed_db {
        Problem {
            what: "This browser offers no storage here (IndexedDB).".into(),
            advice: "Everything works for this visit, but nothing is kept; leave private browsing or allow storage to keep it."
                .into(),
        }
    } else {
        return Store::Browser;
    };
    report.emit(Progress::Notice(Notice { problem, kind: NoticeKind::Remark }));
    Store::Memory
}

/// What to say when the store was wanted and the browser refused it; where it is known beforehand,
/// [`store`] has said it.
fn not_kept(node: &Handle, in_memory: bool) -> Option<Problem> {
    let note = node.storage_note().filter(|_| !in_memory)?;
    Some(Problem { what: format!("{}.", capital(&note)), advice: "Allow this site to store data, then reload.".into() })
}

fn no_webrtc() -> Problem {
    Problem {
        what: "WebRTC is switched off in this browser.".into(),
        advice: "You can still work with everybody through the relay; allow WebRTC for direct connections.".into(),
    }
}

fn options(network: Network, relays: Vec<Multiaddr>, store: Store) -> Options {
    let config = Config { network, ..Config::default() };
    Options { config, store, relays, ice_servers: prefs::ice_servers(), ..Options::default() }
}

fn not_started(error: &StartError) -> Problem {
    match error {
        StartError::Store { what, detail, advice } => {
            Problem { what: format!("{what}: {detail}."), advice: format!("{}.", capital(advice)) }
        }
        other => Problem {
            what: format!("The node cannot start: {other}."),
            advice: "Reload the page; if it stays so, tell whoever runs this site.".into(),
        },
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
