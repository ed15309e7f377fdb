//! The top line: who I am, how I am reached, which network, whether I am busy, and the invite button.

use mycomesh_core::{
    io::{Command, Path},
    snapshot::{JoinStage, JoinView, MeView},
};
use yew::prelude::*;

use crate::{
    actions::{UiAct, use_actions},
    section::Section,
    ui::Id,
    words,
};

#[derive(Properties, PartialEq)]
pub struct TopProps {
    pub me: Option<Section<MeView>>,
    pub join: Option<Section<JoinView>>,
    /// The stage while there is no node to ask.
    pub stage: JoinStage,
    pub network: AttrValue,
}

#[function_component]
pub fn TopLine(props: &TopProps) -> Html {
    let actions = use_actions();
    let invite = {
        let ui = actions.ui;
        Callback::from(move |_: MouseEvent| ui.dispatch(UiAct::Invite(true)))
    };
    html! {
        <header class="top">
            <div class="who">
                if let Some(me) = &props.me {
                    <bdi dir="auto" class="my-name">{ words::called(Some(&me.name), &me.peer_id) }</bdi>
                    <span data-testid="self-peer-id" data-peer-id={me.peer_id.to_base58()}>
                        <Id id={me.peer_id.to_base58()} what="your peer id" />
                    </span>
                } else {
                    <span class="my-name">{"Mycomesh"}</span>
                }
            </div>
            <Reached join={props.join.clone()} stage={props.stage} />
            <div class="network"><span class="dim">{"Network "}</span><bdi>{ props.network.clone() }</bdi></div>
            <div class="top-actions">
                if let Some(me) = &props.me {
                    <BusySwitch busy={me.busy} />
                }
                <button type="button" class="primary" onclick={invite} data-testid="invite-open">{"Invite"}</button>
            </div>
        </header>
    }
}

#[derive(Properties, PartialEq)]
struct ReachedProps {
    join: Option<Section<JoinView>>,
    stage: JoinStage,
}

/// The stage of joining and the best way to a relay.
#[function_component]
fn Reached(props: &ReachedProps) -> Html {
    let stage = props.join.as_ref().map_or(props.stage, |join| join.stage);
    let best = props.join.as_ref().and_then(|join| join.relays.iter().max_by_key(|relay| (relay.reserved, relay.path)));
    let via = best.filter(|relay| relay.path != Path::None).map(|relay| {
        let rtt = relay.rtt.map(|rtt| format!(", {}", words::rtt(Some(rtt)))).unwrap_or_default();
        html! {
            <span class="dim" title={format!("Relay {}", relay.peer_id)}>
                { format!(" by {}{rtt}", words::path(relay.path)) }
            </span>
        }
    });
    let key = words::stage_key(stage);
    html! {
        <div class="reached" role="status">
            <span class={classes!("stage", format!("stage-{key}"))} data-testid="join-stage" data-stage={key}>
                <span class="stage-mark" aria-hidden="true">
                    { match stage { JoinStage::Joined => "✓", JoinStage::Failed => "!", _ => "…" } }
                </span>
                { if props.join.is_none() && stage == JoinStage::Failed { "Not running" } else { words::stage(stage) } }
            </span>
            { via }
        </div>
    }
}

#[derive(Properties, PartialEq)]
pub struct BusyProps {
    pub busy: bool,
    /// `data-testid`; the switch appears in the top line and in the settings.
    #[prop_or(AttrValue::Static("busy-switch"))]
    pub testid: AttrValue,
}

/// The owner's switch between idle and busy.
#[function_component]
pub fn BusySwitch(props: &BusyProps) -> Html {
    let actions = use_actions();
    let busy = props.busy;
    let onclick = Callback::from(move |_: MouseEvent| actions.order(Command::SetBusy(!busy), |_| ()));
    let title =
        if busy { "Others see you as busy. Click to be asked again." } else { "Click to be left alone for now." };
    html! {
        <button type="button" class="switch" role="switch" aria-checked={busy.to_string()} {onclick} {title}
            data-testid={props.testid.clone()}>
            <span class="switch-track" aria-hidden="true"><span class="switch-knob"></span></span>
            {"Busy"}
        </button>
    }
}
