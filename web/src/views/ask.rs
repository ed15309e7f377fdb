//! Ask a peer for something, and see what came of it.

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::Command,
    limits,
    snapshot::{Direction, MeView, PeerView, Status, Table, TaskView},
    time::Millis,
    wire::Skill,
};
use web_sys::{HtmlSelectElement, HtmlTextAreaElement};
use yew::prelude::*;

use super::tasks::TaskList;
use crate::{
    actions::{UiAct, View, use_actions},
    section::{Row, Section},
    ui::Empty,
    words,
};

/// Deadlines offered: seconds and name.
const DEADLINES: [(u64, &str); 5] =
    [(60, "1 minute"), (600, "10 minutes"), (3_600, "1 hour"), (86_400, "1 day"), (604_800, "7 days")];
/// The one chosen at first: a person needs some time.
const DEADLINE_FIRST: u64 = 3_600;

#[derive(Properties, PartialEq)]
pub struct AskProps {
    pub me: Section<MeView>,
    pub peers: Section<Table<PeerView>>,
    pub tasks: Section<Table<TaskView>>,
    /// The peer chosen elsewhere.
    pub chosen: Option<PeerId>,
}

#[function_component]
pub fn AskView(props: &AskProps) -> Html {
    let agents = askable(&props.peers);
    html! {
        <>
            if agents.is_empty() {
                <Empty title="Nobody to ask yet">
                    <p>{"As soon as another agent is here, you can ask it for what it offers. "}
                        <a href={format!("#{}", View::Mesh.key())}>{"Invite somebody"}</a>{"."}</p>
                </Empty>
            } else {
                <AskForm {agents} chosen={props.chosen} />
            }
            <section aria-labelledby="asked-title">
                <h2 id="asked-title">{"What you asked"}</h2>
                <TaskList tasks={props.tasks.clone()} direction={Direction::Out}
                    empty="Nothing yet. What you ask shows here, with its state and the answer." />
            </section>
        </>
    }
}

/// Everybody who could be asked, those online first.
fn askable(peers: &Section<Table<PeerView>>) -> Vec<Row<PeerView>> {
    let mut rows: Vec<Row<PeerView>> =
        Row::all(peers).filter(|peer| !peer.is_relay && !peer.skills.is_empty()).collect();
    rows.sort_by_cached_key(|peer| {
        (rank(peer.status), words::called(peer.name.as_deref(), &peer.peer_id).to_lowercase(), peer.peer_id)
    });
    rows
}

const fn rank(status: Status) -> u8 {
    match status {
        Status::Reputable => 0,
        Status::Idle => 1,
        Status::Busy => 2,
        Status::Unknown => 3,
        Status::Offline => 4,
    }
}

#[derive(Properties, PartialEq)]
struct FormProps {
    agents: Vec<Row<PeerView>>,
    chosen: Option<PeerId>,
}

#[function_component]
fn AskForm(props: &FormProps) -> Html {
    let actions = use_actions();
    let skill = use_state(|| None::<Skill>);
    let deadline = use_state(|| DEADLINE_FIRST);
    let text = use_state(String::new);
    let sending = use_state(|| false);

    let Some(peer) = props.agents.iter().find(|peer| Some(peer.peer_id) == props.chosen).or(props.agents.first())
    else {
        return html! {};
    };
    let offered = |skill: &Skill| peer.skills.contains(skill);
    let skill_now =
        (*skill).clone().filter(offered).or_else(|| peer.skills.iter().find(|s| **s == Skill::human()).cloned());
    let skill_now = skill_now.or_else(|| peer.skills.first().cloned());
    let size = text.len();
    let too_long = size > limits::INPUT_BYTES_MAX;
    let ready = !text.trim().is_empty() && !too_long && !*sending && skill_now.is_some();

    let choose_peer = {
        let (ui, agents) = (actions.ui.clone(), props.agents.clone());
        Callback::from(move |event: Event| {
            let value = event.target_unchecked_into::<HtmlSelectElement>().value();
            let peer = agents.iter().map(|peer| peer.peer_id).find(|peer| peer.to_base58() == value);
            ui.dispatch(UiAct::Ask(peer));
        })
    };
    let choose_skill = {
        let skill = skill;
        Callback::from(move |event: Event| {
            skill.set(Skill::new(&event.target_unchecked_into::<HtmlSelectElement>().value()).ok())
        })
    };
    let choose_deadline = {
        let deadline = deadline.clone();
        Callback::from(move |event: Event| {
            deadline.set(event.target_unchecked_into::<HtmlSelectElement>().value().parse().unwrap_or(DEADLINE_FIRST));
        })
    };
    let write = {
        let text = text.clone();
        Callback::from(move |event: InputEvent| text.set(event.target_unchecked_into::<HtmlTextAreaElement>().value()))
    };
    let send = {
        let (text, sending, deadline) = (text.clone(), sending, *deadline);
        let (peer, skill) = (peer.peer_id, skill_now.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let Some(skill) = skill.clone().filter(|_| ready) else { return };
            let command = Command::Ask { to: peer, skill, input: (*text).clone(), timeout: Millis::secs(deadline) };
            sending.set(true);
            let (text, sending) = (text.clone(), sending.clone());
            // The text stays until the question is stored; a refusal loses nothing.
            actions.order(command, move |result| {
                sending.set(false);
                if result.is_ok() {
                    text.set(String::new());
                }
            });
        })
    };
    html! {
        <form class="ask card" onsubmit={send} aria-label="Ask a peer">
            <div class="fields">
                <label class="field grow">{"Whom"}
                    <select onchange={choose_peer} data-testid="ask-peer-select">
                        { for props.agents.iter().map(|agent| html! {
                            <option key={agent.peer_id.to_base58()} value={agent.peer_id.to_base58()}
                                selected={agent.peer_id == peer.peer_id}>
                                { format!("{} …{} ({})", words::isolated(&words::called(agent.name.as_deref(), &agent.peer_id)),
                                    words::tail(&agent.peer_id), words::status(agent.status).to_lowercase()) }
                            </option>
                        }) }
                    </select>
                </label>
                <label class="field">{"For what"}
                    <select onchange={choose_skill} data-testid="skill-select">
                        { for peer.skills.iter().map(|offered| html! {
                            <option key={offered.to_string()} value={offered.to_string()} selected={Some(offered) == skill_now.as_ref()}>
                                { skill_words(offered) }
                            </option>
                        }) }
                    </select>
                </label>
                <label class="field">{"Answer within"}
                    <select onchange={choose_deadline} data-testid="ask-deadline">
                        { for DEADLINES.map(|(seconds, name)| html! {
                            <option value={seconds.to_string()} selected={seconds == *deadline}>{ name }</option>
                        }) }
                    </select>
                </label>
            </div>
            <label class="field">{"Your question"}
                <textarea rows="4" dir="auto" value={(*text).clone()} oninput={write} data-testid="ask-input"
                    aria-invalid={too_long.to_string()} />
            </label>
            <div class="actions">
                if too_long {
                    <p class="warn" role="status">{ format!("Too long: {size} of {} bytes. Shorten it.", limits::INPUT_BYTES_MAX) }</p>
                } else if peer.status == Status::Offline {
                    <p class="hint">{"Offline now: the question is kept and delivered when this peer is back."}</p>
                } else if peer.status == Status::Busy {
                    <p class="hint">{"Busy now: this peer may decline."}</p>
                }
                <button type="submit" class="primary" disabled={!ready} data-testid="ask-send">{"Ask"}</button>
            </div>
        </form>
    }
}

/// A skill as it is chosen from.
fn skill_words(skill: &Skill) -> String {
    match skill.as_str() {
        "human" => "human – the person answers".to_owned(),
        "echo" => "echo – sends it back".to_owned(),
        other => other.to_owned(),
    }
}
