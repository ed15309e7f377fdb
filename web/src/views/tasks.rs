//! Lists of tasks with their states, and what can be done about each: answer, decline, cancel, rate.

use mycomesh_core::{
    io::Command,
    limits,
    snapshot::{Direction, Table, TaskState, TaskView},
    units::Bps,
};
use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use crate::{
    actions::use_actions,
    section::{Row, Section},
    ui::{Ago, CopyButton, Id, PeerName},
    words,
};

#[derive(Properties, PartialEq)]
pub struct TaskListProps {
    pub tasks: Section<Table<TaskView>>,
    pub direction: Direction,
    /// What is said while there are none.
    pub empty: AttrValue,
}

/// The tasks of one direction: those that wait for this person first, then newest first.
#[function_component]
pub fn TaskList(props: &TaskListProps) -> Html {
    let mut rows: Vec<Row<TaskView>> =
        Row::all(&props.tasks).filter(|task| task.direction == props.direction).collect();
    rows.sort_by_key(|task| !task.answerable);
    if rows.is_empty() {
        return html! { <div class="empty"><p>{ props.empty.clone() }</p></div> };
    }
    html! { <ul class="tasks">{ for rows.into_iter().map(|task| html! { <TaskRow key={task.id.to_string()} task={task.clone()} /> }) }</ul> }
}

#[derive(Properties, PartialEq)]
struct TaskProps {
    task: Row<TaskView>,
}

#[function_component]
fn TaskRow(props: &TaskProps) -> Html {
    let task = &props.task;
    let out = task.direction == Direction::Out;
    let state = task.state.as_str();
    html! {
        <li class={classes!("task", "card", format!("task-{state}"))} data-testid="task-row" data-task-id={task.id.to_string()}
            data-state={state} data-direction={if out { "out" } else { "in" }}>
            <div class="task-head">
                <span class="task-state"><StateMark state={task.state} />{ words::task_state(task.state, out) }</span>
                <span>
                    { if out { "to " } else { "from " } }
                    <PeerName name={task.peer_name.clone().map(AttrValue::from)} peer={task.peer} />
                </span>
                <span class="skill">{ task.skill.as_str() }</span>
                <span class="dim"><Ago at={task.created} /></span>
                if !task.state.is_final() {
                    <span class="dim">{"due "}<Ago at={task.deadline} /></span>
                }
                <Id id={task.id.to_string()} what="task id" />
            </div>
            <p class="peer-text question" dir="auto">{ &task.input }</p>
            if let Some(output) = &task.output {
                <div class="answer">
                    <p class="peer-text" dir="auto" data-testid="task-output">{ output }</p>
                    <CopyButton text={output.clone()} what="the answer" />
                </div>
            }
            if let Some(problem) = &task.problem {
                <p class="warn" dir="auto" data-testid="task-problem">{ problem }</p>
            }
            if task.waiting_for_peer {
                <p class="hint">{"Not yet acknowledged by the other side; it is tried again until it is."}</p>
            }
            if task.answerable {
                <Answer task={task.clone()} />
            }
            if task.rateable {
                <Rate task={task.clone()} />
            }
            if let Some(rating) = task.rating {
                <p class="rated">
                    { format!("{} {}", if out { "You rated this" } else { "Rated" }, words::percent(rating)) }
                    if let Some(receipt) = &task.receipt {
                        {" · receipt "}<Id id={receipt.to_string()} what="receipt" />
                    }
                </p>
            } else if !out && task.state == TaskState::Completed {
                <p class="hint">{"Waits for the other side's rating."}</p>
            }
            if task.cancelable {
                <Cancel task={task.clone()} />
            }
        </li>
    }
}

#[derive(Properties, PartialEq)]
struct StateProps {
    state: TaskState,
}

/// A sign for a task's state; the words beside it say the same.
#[function_component]
fn StateMark(props: &StateProps) -> Html {
    let sign = match props.state {
        TaskState::Submitted => "→",
        TaskState::Working => "…",
        TaskState::InputRequired => "?",
        TaskState::Completed => "✓",
        TaskState::Failed => "!",
        TaskState::Canceled => "✕",
        TaskState::Rejected => "–",
    };
    html! { <span class="state-mark" aria-hidden="true">{ sign }</span> }
}

/// The person's answer. What was typed stays until it is stored.
#[function_component]
fn Answer(props: &TaskProps) -> Html {
    let actions = use_actions();
    let text = use_state(String::new);
    let sending = use_state(|| false);
    let task = props.task.id;
    let too_long = text.len() > limits::OUTPUT_BYTES_MAX;
    let ready = !text.trim().is_empty() && !too_long && !*sending;
    let write = {
        let text = text.clone();
        Callback::from(move |event: InputEvent| text.set(event.target_unchecked_into::<HtmlTextAreaElement>().value()))
    };
    let order = {
        let sending = sending.clone();
        move |command: Command| {
            let sending = sending.clone();
            sending.set(true);
            actions.order(command, move |_| sending.set(false));
        }
    };
    let send = {
        let (order, text) = (order.clone(), text.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            if ready {
                order(Command::Answer { task, output: (*text).clone() });
            }
        })
    };
    let decline = {
        let (text, sending) = (text.clone(), *sending);
        Callback::from(move |_: MouseEvent| {
            let mut reason = text.trim().to_owned();
            if reason.is_empty() {
                "declined by the person".clone_into(&mut reason);
            }
            while reason.len() > limits::REASON_BYTES_MAX {
                reason.pop();
            }
            if !sending {
                order(Command::Decline { task, reason });
            }
        })
    };
    html! {
        <form class="answer-form" onsubmit={send} aria-label="Answer this task">
            <label class="field">{"Your answer"}
                <textarea rows="3" dir="auto" value={(*text).clone()} oninput={write} data-testid="task-answer-input"
                    aria-invalid={too_long.to_string()} />
            </label>
            <div class="actions">
                if too_long {
                    <p class="warn" role="status">{ format!("Too long: {} of {} bytes. Shorten it.", text.len(), limits::OUTPUT_BYTES_MAX) }</p>
                }
                <button type="button" onclick={decline} disabled={*sending} data-testid="task-decline"
                    title="Decline this task; what you typed is sent as the reason">{"Decline"}</button>
                <button type="submit" class="primary" disabled={!ready} data-testid="task-answer-send">{"Send answer"}</button>
            </div>
        </form>
    }
}

/// One to five, as 20 % to 100 %. The rating is signed and becomes a receipt.
#[function_component]
fn Rate(props: &TaskProps) -> Html {
    let actions = use_actions();
    let sending = use_state(|| false);
    let task = props.task.id;
    let rate = |stars: u64| {
        let (actions, sending) = (actions.clone(), sending.clone());
        Callback::from(move |_: MouseEvent| {
            let done = sending.clone();
            sending.set(true);
            actions.order(Command::Rate { task, quality: Bps::percent(stars * 20) }, move |_| done.set(false));
        })
    };
    html! {
        <div class="rate" role="group" aria-label="Rate this answer">
            <span>{"How good was it?"}</span>
            { for (1..=5).map(|stars| html! {
                <button type="button" class="star" onclick={rate(stars)} disabled={*sending} data-testid="task-rate"
                    data-value={stars.to_string()} aria-label={format!("{stars} of 5, {} %", stars * 20)}
                    title={format!("{} % – {}", stars * 20, RATINGS[stars as usize - 1])}>{ stars }</button>
            }) }
            <span class="dim">{"1 useless, 5 excellent; signed by you, seen by others"}</span>
        </div>
    }
}

const RATINGS: [&str; 5] = ["useless", "poor", "fair", "good", "excellent"];

#[function_component]
fn Cancel(props: &TaskProps) -> Html {
    let actions = use_actions();
    let task = props.task.id;
    let cancel = Callback::from(move |_: MouseEvent| actions.order(Command::Cancel { task }, |_| ()));
    html! {
        <div class="actions">
            <button type="button" class="quiet" onclick={cancel} data-testid="task-cancel">{"Withdraw"}</button>
        </div>
    }
}
