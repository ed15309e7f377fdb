//! The frame around the views: status bar, top line, navigation, messages, and one view at a time.
//! A function of what the node and the page say, so that the gallery can show it with made-up states.

use std::rc::Rc;

use gloo_timers::callback::Timeout;
use mycomesh_core::snapshot::{JoinStage, MeView, Problem, Snapshot, Status, StatusBar};
use yew::prelude::*;

use crate::{
    actions::{Actions, Outside, PageAct, Toast, Ui, UiAct, View},
    announce,
    bar::Bar,
    browser,
    invite_panel::InvitePanel,
    section::Section,
    topline::TopLine,
    ui::{Clock, Confirm, Dialog, ProblemBox},
    views::{self, AskView, InboxView, LogView, MeshView, Names, ReputationView, SettingsView},
};

/// Something the person should know about the page itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What, and what to do.
    pub problem: Problem,
    /// How it is shown, and when it goes.
    pub kind: NoticeKind,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A remark that blocks nothing.
    Remark,
    /// Something went wrong.
    Trouble,
    /// Why joining cannot work. Stands for what the node would say of it, and goes once joined.
    Join,
    /// What is stored stands in the way; ways out are offered.
    Store,
}

/// What the shell shows.
#[derive(Properties, Clone, PartialEq)]
pub struct ShellProps {
    /// The node's state; none until it runs.
    pub snapshot: Option<Section<Snapshot>>,
    /// The stage until then.
    pub stage: JoinStage,
    /// The network that is or will be joined.
    pub network: AttrValue,
    /// What the page has to tell.
    pub notices: Rc<Vec<Notice>>,
    /// Where orders go.
    pub outside: Outside,
}

/// The whole page.
#[function_component]
pub fn Shell(props: &ShellProps) -> Html {
    let ui = use_reducer(|| Ui::new(View::of(&browser::fragment()).unwrap_or_default()));
    let actions = Actions { outside: props.outside.clone(), ui: ui.dispatcher() };
    use_navigation(&ui);
    let starting = use_starting();
    let spoken = use_news(props.snapshot.as_ref(), &ui);

    let bar = props.snapshot.as_ref().map_or_else(StatusBar::default, |snapshot| *snapshot.bar);
    let on_choose = {
        let (ui, actions) = (ui.clone(), actions.clone());
        Callback::from(move |status: Status| {
            ui.dispatch(UiAct::Filter((ui.filter != Some(status)).then_some(status)));
            actions.go(View::Mesh);
        })
    };
    let close_invite = {
        let ui = ui.dispatcher();
        Callback::from(move |()| ui.dispatch(UiAct::Invite(false)))
    };
    let join = props.snapshot.as_ref().map(|snapshot| Section::from(&snapshot.join));
    html! {
        <ContextProvider<Actions> context={actions}>
            <Clock>
                <div class="page">
                    <Bar {bar} filter={ui.filter} {on_choose} still={starting} />
                    <div class="beside-bar">
                        <TopLine me={props.snapshot.as_ref().map(|snapshot| Section::from(&snapshot.me))} join={join.clone()}
                            stage={props.stage} network={props.network.clone()} />
                        <Navigation view={ui.view} waiting={props.snapshot.as_ref().map_or(0, |s| views::waiting(&s.tasks))} />
                        <main>
                            <Problems notices={props.notices.clone()} join={join_problem(props)} />
                            <Heading view={ui.view} />
                            { view(props, &ui, starting) }
                        </main>
                    </div>
                </div>
                if ui.inviting {
                    <Dialog title="Invite somebody" on_close={close_invite} testid="invite-dialog">
                        <InvitePanel {join} network={props.network.clone()} />
                    </Dialog>
                }
                <div class="visually-hidden" aria-live="polite" data-testid="announcement">{ spoken }</div>
                <div class="toasts" aria-live="polite">
                    { for ui.toasts.iter().map(|toast| html! { <ToastBox key={toast.number} toast={toast.clone()} /> }) }
                </div>
            </Clock>
        </ContextProvider<Actions>>
    }
}

/// What stands in the way of joining, unless a notice has said it.
fn join_problem(props: &ShellProps) -> Option<Problem> {
    let told = props.notices.iter().any(|notice| notice.kind == NoticeKind::Join);
    props.snapshot.as_ref()?.join.problem.clone().filter(|_| !told)
}

fn view(props: &ShellProps, ui: &Ui, starting: bool) -> Html {
    let Some(snapshot) = &props.snapshot else {
        return match ui.view {
            View::Settings => html! { <SettingsView me={None::<Section<MeView>>} /> },
            _ => html! { <p class="summary" data-testid="not-running">{ waiting_words(props) }</p> },
        };
    };
    let (me, peers, tasks) =
        (Section::from(&snapshot.me), Section::from(&snapshot.peers), Section::from(&snapshot.tasks));
    match ui.view {
        View::Mesh => html! {
            <MeshView {peers} join={Section::from(&snapshot.join)} me={snapshot.me.status} network={props.network.clone()}
                filter={ui.filter} {starting} />
        },
        View::Ask => html! { <AskView {me} {peers} {tasks} chosen={ui.ask} /> },
        View::Inbox => html! { <InboxView {me} {tasks} /> },
        View::Reputation => html! { <ReputationView {me} {peers} /> },
        View::Log => html! {
            <LogView {me} {peers} log={Section::from(&snapshot.log)} security={Section::from(&snapshot.security)}
                counters={Section::from(&snapshot.counters)} />
        },
        View::Settings => html! { <SettingsView me={Some(me)} /> },
    }
}

fn waiting_words(props: &ShellProps) -> &'static str {
    match props.stage {
        JoinStage::Failed => "This peer is not running. The message above says why; Settings can be changed meanwhile.",
        _ => "This peer is starting. Settings can be opened meanwhile.",
    }
}

#[derive(Properties, PartialEq)]
struct NavigationProps {
    view: View,
    /// Tasks that wait for this person.
    waiting: usize,
}

#[function_component]
fn Navigation(props: &NavigationProps) -> Html {
    html! {
        <nav aria-label="Views"><ul>
            { for View::ALL.map(|view| html! {
                <li><a href={format!("#{}", view.key())} data-testid={format!("nav-{}", view.key())}
                    aria-current={(view == props.view).then_some("page")}>
                    { view.title() }
                    if view == View::Inbox && props.waiting > 0 {
                        <span class="badge" data-testid="inbox-count">{ props.waiting }<span class="visually-hidden">{" waiting"}</span></span>
                    }
                </a></li>
            }) }
        </ul></nav>
    }
}

#[derive(Properties, PartialEq)]
struct HeadingProps {
    view: View,
}

/// The view's heading, which takes the focus when the view changes.
#[function_component]
fn Heading(props: &HeadingProps) -> Html {
    let node = use_node_ref();
    let shown = use_mut_ref(|| props.view);
    use_effect_with(props.view, {
        let node = node.clone();
        move |view| {
            browser::set_title(&format!("{} · Mycomesh", view.title()));
            if shown.replace(*view) != *view {
                browser::focus(&node);
            }
        }
    });
    html! { <h1 ref={node} tabindex="-1">{ props.view.title() }</h1> }
}

#[derive(Properties, PartialEq)]
struct ProblemsProps {
    notices: Rc<Vec<Notice>>,
    /// What stands in the way of joining, as the node says.
    join: Option<Problem>,
}

#[function_component]
fn Problems(props: &ProblemsProps) -> Html {
    let actions = crate::actions::use_actions();
    let dismiss = |place: usize| {
        let actions = actions.clone();
        Callback::from(move |()| actions.page(PageAct::Dismiss(place)))
    };
    html! {
        <div class="problems" aria-live="polite">
            { for props.join.iter().map(|problem| html! { <ProblemBox problem={problem.clone()} /> }) }
            { for props.notices.iter().enumerate().map(|(place, notice)| html! {
                <ProblemBox problem={notice.problem.clone()} mild={notice.kind == NoticeKind::Remark}
                    on_dismiss={(notice.kind != NoticeKind::Store).then(|| dismiss(place))}>
                    if notice.kind == NoticeKind::Store {
                        <WaysOut />
                    }
                </ProblemBox>
            }) }
        </div>
    }
}

/// What can be done when what is stored cannot be read.
#[function_component]
fn WaysOut() -> Html {
    let actions = crate::actions::use_actions();
    let asking = use_state(|| false);
    let act = |act: PageAct| {
        let actions = actions.clone();
        Callback::from(move |_: MouseEvent| actions.page(act.clone()))
    };
    let ask = {
        let asking = asking.clone();
        Callback::from(move |_: MouseEvent| asking.set(true))
    };
    let on_answer = {
        let (asking, actions) = (asking.clone(), actions.clone());
        Callback::from(move |yes: bool| {
            asking.set(false);
            if yes {
                actions.page(PageAct::ResetIdentity);
            }
        })
    };
    html! {
        <div class="actions start">
            <button type="button" onclick={act(PageAct::Reload)} data-testid="store-retry">{"Try again"}</button>
            <button type="button" onclick={act(PageAct::StartInMemory)} data-testid="store-memory">{"Go on without it for now"}</button>
            <button type="button" class="danger" onclick={ask} data-testid="store-reset">{"Reset…"}</button>
            if *asking {
                <Confirm title="Reset what is stored?" yes="Reset and reload" {on_answer}>
                    <p>{"Key, tasks and receipts stored by this browser for this tab are removed, and the page comes back as a \
                        new peer. This cannot be undone."}</p>
                </Confirm>
            }
        </div>
    }
}

/// How long a toast stays.
const TOAST_MS: u32 = 7_000;

#[derive(Properties, PartialEq)]
struct ToastProps {
    toast: Toast,
}

#[function_component]
fn ToastBox(props: &ToastProps) -> Html {
    let actions = crate::actions::use_actions();
    use_effect_with(props.toast.number, move |number| {
        let number = *number;
        let timer = Timeout::new(TOAST_MS, move || actions.ui.dispatch(UiAct::Untoast(number)));
        move || drop(timer)
    });
    html! { <div class="toast" data-testid="toast" dir="auto">{ &props.toast.text }</div> }
}

/// How long after its beginning a page counts as starting. Joining and hearing who is there takes less wherever the
/// relay is not far away; to say or to draw before that how things stand would be wrong in the next moment, and
/// would take the time that joining needs.
const STARTING_MS: u32 = 1_500;

/// Whether the page has only begun.
#[hook]
fn use_starting() -> bool {
    let starting = use_state(|| true);
    use_effect_with((), {
        let starting = starting.clone();
        move |()| {
            let timer = Timeout::new(STARTING_MS, move || starting.set(false));
            move || drop(timer)
        }
    });
    *starting
}

/// Follow the fragment, so that links, the back button and bookmarks work.
#[hook]
fn use_navigation(ui: &UseReducerHandle<Ui>) {
    let ui = ui.dispatcher();
    use_effect_with((), move |()| {
        let listener = browser::on_window("hashchange", move || {
            if let Some(view) = View::of(&browser::fragment()) {
                ui.dispatch(UiAct::Show(view));
            }
        });
        move || drop(listener)
    });
}

/// Tell what is new in the log; returns what is spoken.
#[hook]
fn use_news(snapshot: Option<&Section<Snapshot>>, ui: &UseReducerHandle<Ui>) -> String {
    let spoken = use_state(String::new);
    let seen = use_mut_ref(|| None::<u64>);
    let ui = ui.dispatcher();
    let log = snapshot.map(|snapshot| Section::from(&snapshot.log));
    let sections = snapshot.map(|snapshot| (Section::from(&snapshot.me), Section::from(&snapshot.peers)));
    use_effect_with(log, {
        let spoken = spoken.clone();
        move |log| {
            if let (Some(log), Some((me, peers))) = (log, sections) {
                let newest = log.last().map_or(0, |entry| entry.number);
                // What happened before the page showed anything is no news.
                if let Some(seen) = seen.replace(Some(newest)) {
                    let names = Names::of(&me, &peers);
                    let news = announce::news(log, seen, |peer| names.name(peer));
                    news.shown.into_iter().for_each(|text| ui.dispatch(UiAct::Toast(text)));
                    if let Some(words) = news.spoken {
                        spoken.set(words);
                    }
                }
            }
        }
    });
    (*spoken).clone()
}
