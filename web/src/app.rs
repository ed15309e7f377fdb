//! The running app: holds the node, turns its snapshots into properties of the [`Shell`], and carries
//! out what the views ask for.

use std::rc::Rc;

use gloo_events::EventListener;
use gloo_timers::callback::Timeout;
use mycomesh_core::{
    io::Command,
    snapshot::{JoinStage, Problem, Snapshot, Status},
    wire::Network,
};
use mycomesh_net::{Handle, Store, identity};
use yew::prelude::*;

use crate::{
    actions::{Order, Outside, PageAct},
    browser, keyfile,
    plan::{self, Saved},
    prefs,
    section::Section,
    session::{self, Progress},
    shell::{Notice, NoticeKind, Shell},
};

/// How long the page may stay undrawn: too short to be missed. Wherever the relay is near, it has joined by then
/// and knows who is there.
const SHOWN_MS_MAX: u32 = 200;

/// What reaches the app.
pub enum Msg {
    /// The session got on.
    Progress(Progress),
    /// A view has a command for the node.
    Order(Order),
    /// A view asks something of the page.
    Page(PageAct),
    /// The page was hidden or shown.
    Hidden(bool),
    /// The machine woke, or the network came back.
    Wake,
    /// The page is left.
    Leave,
    /// The fragment changed; it may be an invitation.
    Fragment,
    /// Something done in the background has something to tell.
    Tell(Problem),
    /// Joining takes its time: show the page meanwhile.
    Show,
}

/// The app.
pub struct App {
    node: Option<Handle>,
    snapshot: Option<Section<Snapshot>>,
    stage: JoinStage,
    network: Network,
    notices: Rc<Vec<Notice>>,
    outside: Outside,
    /// Whether the page is drawn. Drawing it takes longer than any step of joining, which would wait for it, so
    /// that it is drawn once, with everybody who is there, or when there is something else to tell, or after
    /// [`SHOWN_MS_MAX`].
    shown: bool,
    _show_soon: Timeout,
    _listeners: Vec<EventListener>,
}

impl Component for App {
    type Message = Msg;
    type Properties = ();

    fn create(ctx: &Context<Self>) -> Self {
        let link = ctx.link();
        wasm_bindgen_futures::spawn_local(session::run(false, link.callback(Msg::Progress)));
        Self {
            node: None,
            snapshot: None,
            stage: JoinStage::Starting,
            network: Network::default(),
            notices: Rc::default(),
            outside: Outside { orders: link.callback(Msg::Order), page: link.callback(Msg::Page) },
            shown: false,
            _show_soon: {
                let show = link.callback(|()| Msg::Show);
                Timeout::new(SHOWN_MS_MAX, move || show.emit(()))
            },
            _listeners: listeners(ctx),
        }
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Progress(progress) => return self.progress(progress),
            Msg::Order(order) => self.carry_out(order),
            Msg::Page(act) => return self.page(ctx, act),
            Msg::Hidden(hidden) => {
                self.tell_node(Command::SetHidden(hidden));
                if !hidden {
                    self.tell_node(Command::Wake);
                }
            }
            Msg::Wake => self.tell_node(Command::Wake),
            Msg::Leave => self.tell_node(Command::Shutdown),
            Msg::Fragment => match session::accept_fragment(&browser::fragment()) {
                // Another network or relay is another session; everything of this one is stored.
                Ok(Some(_)) => browser::reload(),
                Ok(None) => {}
                Err(problem) => return self.notice(problem, NoticeKind::Trouble),
            },
            Msg::Tell(problem) => return self.notice(problem, NoticeKind::Trouble),
            Msg::Show => return !std::mem::replace(&mut self.shown, true),
        }
        false
    }

    fn view(&self, _: &Context<Self>) -> Html {
        if !self.shown {
            // As in index.html.
            return html! { <p class="starting" role="status">{"Starting Mycomesh…"}</p> };
        }
        let network = match &self.snapshot {
            Some(snapshot) => snapshot.me.network.clone(),
            None => self.network.to_string(),
        };
        html! {
            <Shell snapshot={self.snapshot.clone()} stage={self.stage} {network} notices={self.notices.clone()}
                outside={self.outside.clone()} />
        }
    }
}

impl App {
    fn progress(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::Stage(stage) => self.stage = stage,
            Progress::Notice(notice) => return self.notice(notice.problem, notice.kind),
            Progress::Network(network) => self.network = network,
            Progress::Running(node) => {
                self.node = Some(node);
                if browser::hidden() {
                    self.tell_node(Command::SetHidden(true));
                }
            }
            Progress::Snapshot(snapshot) => {
                if snapshot.join.stage == JoinStage::Joined && self.notices.iter().any(|it| it.kind == NoticeKind::Join)
                {
                    Rc::make_mut(&mut self.notices).retain(|it| it.kind != NoticeKind::Join);
                }
                let somebody = snapshot.peers.rows.iter().any(|peer| !peer.is_relay && peer.status != Status::Unknown);
                self.shown |= somebody || snapshot.join.problem.is_some();
                self.snapshot = Some(Section(snapshot));
            }
            Progress::Stopped(notice) => {
                self.stage = JoinStage::Failed;
                self.notice(notice.problem, notice.kind);
            }
        }
        self.shown
    }

    fn notice(&mut self, problem: Problem, kind: NoticeKind) -> bool {
        let notice = Notice { problem, kind };
        if self.notices.contains(&notice) {
            return false;
        }
        Rc::make_mut(&mut self.notices).push(notice);
        self.shown = true;
        true
    }

    fn carry_out(&self, order: Order) {
        let Some(node) = self.node.clone() else {
            order.done.emit(Err("this peer is not running yet".to_owned()));
            return;
        };
        wasm_bindgen_futures::spawn_local(async move {
            let result = node.command(order.command).await;
            order.done.emit(result.map_err(|error| error.to_string()));
        });
    }

    /// A command whose outcome the next snapshot shows well enough.
    fn tell_node(&self, command: Command) {
        self.carry_out(Order { command, done: Callback::noop() });
    }

    fn page(&mut self, ctx: &Context<Self>, act: PageAct) -> bool {
        match act {
            PageAct::Join(saved) => return self.join(ctx, &saved),
            PageAct::SetIceServers(servers) => {
                prefs::save_ice_servers(&servers);
                browser::reload();
            }
            PageAct::SetTheme(theme) => theme.save(),
            PageAct::ExportIdentity => return self.export(),
            PageAct::ImportIdentity(file) => replace(ctx, Some(file)),
            PageAct::ResetIdentity => replace(ctx, None),
            PageAct::Reload => browser::reload(),
            PageAct::StartInMemory => {
                self.notices = Rc::default();
                wasm_bindgen_futures::spawn_local(session::run(true, ctx.link().callback(Msg::Progress)));
                return true;
            }
            PageAct::Dismiss(place) => {
                if place < self.notices.len() {
                    Rc::make_mut(&mut self.notices).remove(place);
                }
                return true;
            }
        }
        false
    }

    /// Join as the settings say from now on. Another network is another session; other relays are not.
    fn join(&mut self, ctx: &Context<Self>, saved: &Saved) -> bool {
        prefs::save(saved);
        prefs::set_tab_invite(None);
        let same = self.node.is_some() && saved.network.as_ref().is_none_or(|network| *network == self.network);
        if saved.relays.is_empty() || !same {
            browser::reload();
            return false;
        }
        Rc::make_mut(&mut self.notices).retain(|notice| notice.kind != NoticeKind::Join);
        let https = browser::surroundings().https;
        let usable = plan::usable(&saved.relays, https);
        if usable.is_empty() {
            return self.notice(plan::unusable(https), NoticeKind::Trouble);
        }
        let tell = ctx.link().callback(Msg::Tell);
        let done = Callback::from(move |result: Result<_, String>| {
            if let Err(what) = result {
                tell.emit(Problem { what: format!("These relays cannot be used: {what}."), advice: RELAYS.into() });
            }
        });
        self.carry_out(Order { command: Command::SetRelays(usable), done });
        true
    }

    fn export(&mut self) -> bool {
        let Some(node) = &self.node else { return false };
        let peer_id = node.peer_id().to_base58();
        let done = match identity::export(node) {
            Ok(key) => browser::download(&format!("mycomesh-{}.json", tail(&peer_id)), &keyfile::write(&peer_id, &key)),
            Err(_) => false,
        };
        let problem = Problem {
            what: "The identity could not be handed over as a file.".into(),
            advice: "Allow downloads for this site and try again.".into(),
        };
        !done && self.notice(problem, NoticeKind::Trouble)
    }
}

const RELAYS: &str = "Check the addresses in Settings, or use this site's relay.";

/// Put another identity (or none) in place of this tab's, and start anew.
fn replace(ctx: &Context<App>, file: Option<String>) {
    let tell = ctx.link().callback(Msg::Tell);
    wasm_bindgen_futures::spawn_local(async move {
        let result = match file.as_deref().map(keyfile::read) {
            Some(Ok((_, key))) => {
                identity::import(&Store::Browser, &key).await.map(drop).map_err(|error| error.to_string())
            }
            Some(Err(what)) => Err(what.to_owned()),
            None => identity::reset(&Store::Browser).await.map_err(|error| error.to_string()),
        };
        match result {
            Ok(()) => browser::reload(),
            Err(what) => tell.emit(Problem {
                what: format!("The identity was not changed: {what}."),
                advice: "Close other tabs of this site and try again.".into(),
            }),
        }
    });
}

fn tail(id: &str) -> String {
    id.chars().skip(id.chars().count().saturating_sub(6)).collect()
}

fn listeners(ctx: &Context<App>) -> Vec<EventListener> {
    let hidden = ctx.link().callback(Msg::Hidden);
    let show = ctx.link().callback(|()| Msg::Wake);
    let online = ctx.link().callback(|()| Msg::Wake);
    let leave = ctx.link().callback(|()| Msg::Leave);
    let fragment = ctx.link().callback(|()| Msg::Fragment);
    vec![
        browser::on_visibility(move |is_hidden| hidden.emit(is_hidden)),
        // Said goodbye already and lost its connections: a fresh page joins in a moment.
        browser::on_page_show(move |restored| if restored { browser::reload() } else { show.emit(()) }),
        browser::on_window("online", move || online.emit(())),
        browser::on_window("pagehide", move || leave.emit(())),
        browser::on_window("hashchange", move || fragment.emit(())),
    ]
}
