//! Every view from made-up snapshots, to be looked at and checked by axe-core. Not part of the app.
//!
//! The page's query chooses the state: `?alone`, `?starting`, `?damaged`, `?many`, or nothing for a
//! small mesh. The fragment chooses the view, as in the app. Orders go nowhere.

use std::{rc::Rc, sync::Arc};

use libp2p_identity::{Keypair, PeerId};
use mycomesh_core::{
    io::{Event, Path, Reply},
    snapshot::{
        Counters, Direction, JoinStage, JoinView, LogEntry, MeView, PeerView, Problem, ReceiptView, RelayView,
        SecurityEntry, SecurityKind, Segment, Snapshot, Status, StatusBar, StorageView, Table, TaskState, TaskView,
        TrustComponent, TrustView,
    },
    time::{Millis, UnixMillis},
    units::Bps,
    wire::{Outcome, Skill, TaskId},
};
use mycomesh_web::{Notice, NoticeKind, Order, Outside, PageAct, Section, Shell};
use yew::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
    yew::Renderer::<Gallery>::new().render();
}

#[function_component]
fn Gallery() -> Html {
    let location = web_sys::window().map(|window| window.location());
    let case = location.and_then(|location| location.search().ok()).unwrap_or_default();
    let case = case.trim_start_matches('?').split('&').find(|part| !part.contains('=')).unwrap_or_default().to_owned();
    let outside = use_memo((), |()| Outside {
        orders: Callback::from(|order: Order| order.done.emit(Ok(Reply::Done))),
        page: Callback::from(|act| {
            if let PageAct::SetTheme(theme) = act {
                theme.apply();
            }
        }),
    });
    let snapshot = use_memo(case.clone(), |case| snapshot(case));
    let (stage, damaged) = match case.as_str() {
        "starting" => (JoinStage::Dialing, false),
        "damaged" => (JoinStage::Failed, true),
        _ => (JoinStage::Joined, false),
    };
    let mut notices = vec![Notice {
        problem: problem(
            "Gallery: everything on this page is made up.",
            "It shows how the views look; no peer is behind it.",
        ),
        kind: NoticeKind::Remark,
    }];
    if damaged {
        let problem = problem(
            "The identity in this browser cannot be read: the record is cut short.",
            "Reset it, or go on without it.",
        );
        notices.push(Notice { problem, kind: NoticeKind::Store });
    }
    html! {
        <Shell snapshot={(*snapshot).clone()} {stage} network="public" notices={Rc::new(notices)} outside={(*outside).clone()} />
    }
}

fn snapshot(case: &str) -> Option<Section<Snapshot>> {
    let peers: Vec<PeerView> = match case {
        "starting" | "damaged" => return None,
        "alone" => vec![peer(1, Status::Idle)],
        "many" => (1..=120).map(|n| peer(n, STATES[usize::from(n) % STATES.len()])).collect(),
        _ => (1..=11).map(|n| peer(n, STATES[usize::from(n) % STATES.len()])).collect(),
    };
    let alone = case == "alone";
    let total = peers.len();
    let table = Table { rows: peers, total };
    Some(Section(Arc::new(Snapshot {
        revision: 1,
        me: Arc::new(me(alone)),
        join: Arc::new(join()),
        bar: Arc::new(bar(&table)),
        peers: Arc::new(table),
        tasks: Arc::new(if alone { Table { rows: Vec::new(), total: 0 } } else { tasks() }),
        log: Arc::new(if alone { Vec::new() } else { log() }),
        security: Arc::new(if alone { Vec::new() } else { security() }),
        counters: Arc::new(Counters {
            gossip_accepted: 1_204,
            gossip_ignored: 311,
            requests_served: 42,
            ..Counters::default()
        }),
        storage: StorageView::default(),
    })))
}

const STATES: [Status; 8] = [
    Status::Idle,
    Status::Idle,
    Status::Reputable,
    Status::Busy,
    Status::Idle,
    Status::Offline,
    Status::Reputable,
    Status::Unknown,
];

fn id(n: u8) -> PeerId {
    Keypair::ed25519_from_bytes([n; 32]).expect("32 bytes").public().to_peer_id()
}

fn now() -> u64 {
    js_sys::Date::now() as u64
}

fn ago(seconds: u64) -> UnixMillis {
    UnixMillis(now() - seconds * 1_000)
}

fn problem(what: &str, advice: &str) -> Problem {
    Problem { what: what.into(), advice: advice.into() }
}

fn me(alone: bool) -> MeView {
    MeView {
        peer_id: id(200),
        network: "public".into(),
        name: "Ada".into(),
        skills: vec![Skill::echo(), Skill::human()],
        slots_total: 1,
        slots_free: 1,
        busy: false,
        status: Status::Idle,
        trust: if alone { TrustView::default() } else { trust(3, 0) },
        addrs: vec![format!("/ip4/192.0.2.7/tcp/9001/ws/p2p/{}/p2p-circuit", id(1)).parse().expect("an address")],
    }
}

fn join() -> JoinView {
    JoinView {
        stage: JoinStage::Joined,
        problem: None,
        relays: vec![RelayView {
            peer_id: id(1),
            addrs: vec![format!("/ip4/192.0.2.7/tcp/9001/ws/p2p/{}", id(1)).parse().expect("an address")],
            path: Path::Websocket,
            rtt: Some(Millis(3)),
            reserved: true,
        }],
    }
}

fn bar(peers: &Table<PeerView>) -> StatusBar {
    let count = |status| peers.rows.iter().filter(|peer| peer.status == status && !peer.is_relay).count() as u32;
    let (idle, reputable, busy) = (count(Status::Idle) + 1, count(Status::Reputable), count(Status::Busy));
    let (offline, unknown) = (count(Status::Offline), count(Status::Unknown));
    let online = idle + reputable + busy;
    let share = |part: u32, whole: u32| Segment { count: part, percent: (part * 100 / whole) as u8 };
    let (reputable, busy) = (share(reputable, online), share(busy, online));
    StatusBar {
        idle: Segment { count: idle, percent: 100 - reputable.percent - busy.percent },
        reputable,
        busy,
        offline: share(offline, online + offline + unknown),
        unknown: share(unknown, online + offline + unknown),
    }
}

fn peer(n: u8, status: Status) -> PeerView {
    let relay = n == 1;
    let known = status != Status::Unknown && !relay;
    let names = [
        "Grace",
        "",
        "Linus’ laptop",
        "ירון",
        "A rather long name that somebody chose for their agent",
        "",
        "Summariser",
        "Bo",
    ];
    let path = match (relay, status) {
        (true, _) => Path::Websocket,
        (_, Status::Offline) => Path::None,
        _ => [Path::DirectWebrtc, Path::Relayed, Path::DirectWebrtc, Path::Relayed, Path::None][usize::from(n) % 5],
    };
    PeerView {
        peer_id: id(n),
        status: if relay { Status::Unknown } else { status },
        is_relay: relay,
        name: known.then(|| names[usize::from(n) % names.len()].to_owned()),
        skills: if known { vec![Skill::echo(), Skill::human()] } else { Vec::new() },
        slots_free: 1,
        path,
        path_reason: (path == Path::Relayed).then(|| {
            [
                "no direct path between the two networks was found; a firewall or NAT may block UDP",
                "a direct connection is being tried",
            ][usize::from(n / 5) % 2]
                .to_owned()
        }),
        rtt: (path != Path::None).then_some(Millis(u64::from(n) * 7 % 90 + 2)),
        reachable: true,
        trust: if known { trust(u32::from(n) % 9, n) } else { TrustView::default() },
        last_seen: Some(ago(u64::from(n) * 4)),
    }
}

fn trust(receipts: u32, salt: u8) -> TrustView {
    // Any letter inside the digest gives another well-formed content id.
    let cid =
        |n: u32| format!("bafyreigh2akiscaildcqabsyg3dfr6c{}u3fgpregiymsck7e7aqa4s52zy", char::from(b'a' + n as u8));
    let evidence = (0..receipts)
        .map(|n| ReceiptView {
            cid: cid(n).parse().expect("a content id"),
            signer: id(salt.wrapping_add(n as u8 + 2)),
            signer_name: (n % 2 == 0).then(|| "Grace".to_owned()),
            task: TaskId([n as u8; 16]),
            skill: Skill::human(),
            outcome: if n == 2 { Outcome::Expired } else { Outcome::Completed },
            quality: if n == 2 { Bps::ZERO } else { Bps::percent(80) },
            timeliness: Bps::ONE,
            at: ago(600 * (u64::from(n) + 1)),
            weight: Bps::percent(55),
        })
        .collect();
    let component = |name, weight, value: Option<u64>| TrustComponent {
        name,
        weight: Bps::percent(weight),
        value: value.filter(|_| receipts > 0).map(Bps::percent),
    };
    TrustView {
        score: Bps::percent(if receipts == 0 { 30 } else { 40 + u64::from(receipts) * 6 }),
        components: vec![
            component("task_success", 40, Some(83)),
            component("quality", 30, Some(76)),
            component("timeliness", 20, Some(100)),
            component("availability", 10, None),
        ],
        receipts,
        signers: receipts.min(3),
        evidence,
        first_hand_failures: u32::from(salt == 3),
        quarantined_until: None,
    }
}

fn task(n: u8, direction: Direction, state: TaskState) -> TaskView {
    let out = direction == Direction::Out;
    let done = state == TaskState::Completed;
    TaskView {
        id: TaskId([n; 16]),
        direction,
        peer: id(n + 2),
        peer_name: Some("Grace".into()),
        skill: if n.is_multiple_of(3) { Skill::echo() } else { Skill::human() },
        state,
        input:
            "Which of the three drafts reads best?\nPlease say why, in two sentences. <b>This is text, not markup.</b>"
                .into(),
        output: done.then(|| "The second: it begins with what changed.\nThe others bury it.".to_owned()),
        problem: (state == TaskState::Failed).then(|| "accepted, and not delivered by the deadline".to_owned()),
        created: ago(u64::from(n) * 130 + 20),
        deadline: UnixMillis(now() + 2_400_000),
        updated: ago(5),
        rating: (n == 4).then(|| Bps::percent(80)),
        receipt: (n == 4)
            .then(|| "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().expect("a content id")),
        answerable: !out && state == TaskState::InputRequired,
        rateable: out && done && n != 4,
        cancelable: out && !state.is_final(),
        waiting_for_peer: state == TaskState::Submitted,
    }
}

fn tasks() -> Table<TaskView> {
    let rows = vec![
        task(1, Direction::Out, TaskState::Submitted),
        task(2, Direction::Out, TaskState::Completed),
        task(3, Direction::In, TaskState::InputRequired),
        task(4, Direction::Out, TaskState::Completed),
        task(5, Direction::Out, TaskState::Failed),
        task(6, Direction::In, TaskState::Completed),
        task(7, Direction::In, TaskState::Rejected),
    ];
    let total = rows.len();
    Table { rows, total }
}

fn log() -> Vec<LogEntry> {
    let events = [
        Event::Join { stage: JoinStage::Joined, problem: None },
        Event::PeerDiscovered { peer: id(2) },
        Event::LinkUp { peer: id(2), path: Path::DirectWebrtc },
        Event::StatusChanged { peer: id(2), from: Status::Unknown, to: Status::Idle },
        Event::Task {
            task: TaskId([3; 16]),
            peer: id(2),
            incoming: true,
            skill: Skill::human(),
            state: TaskState::InputRequired,
        },
        Event::Receipt { provider: id(200), signer: id(2), task: TaskId([3; 16]) },
        Event::ReputationUpdated { peer: id(3), from: Bps::percent(30), to: Bps::percent(41) },
        Event::PeerLost { peer: id(5), goodbye: false },
    ];
    let entries = events.into_iter().zip(1..);
    entries.map(|(event, number)| LogEntry { number, at: ago(200 - number * 20), event }).collect()
}

fn security() -> Vec<SecurityEntry> {
    let entry = |number, kind, what: &str, count| SecurityEntry {
        number,
        kind,
        peer: id(5),
        what: what.into(),
        count,
        first: ago(90),
        last: ago(60 - number),
    };
    vec![
        entry(1, SecurityKind::Forged, "forwarded a forged gossip frame", 1),
        entry(2, SecurityKind::Excess, "signed presences too often", 3),
        entry(3, SecurityKind::Quarantined, "refused for 3600 s after repeated violations", 1),
    ]
}
