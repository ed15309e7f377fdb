//! The status bar: green over white over red, as tall as the window; grey and yellow beneath it.
//! Each segment says its name, count and share, has a pattern and a shape of its own, and filters
//! the peer table.

use mycomesh_core::snapshot::{Segment, Status, StatusBar};
use yew::prelude::*;

use crate::{browser, ui::Mark, words};

#[derive(Properties, PartialEq)]
pub struct BarProps {
    pub bar: StatusBar,
    /// The state whose peers alone are listed.
    pub filter: Option<Status>,
    /// Called with the state that was chosen.
    pub on_choose: Callback<Status>,
    /// Whether the page is starting: shares then change without motion.
    pub still: bool,
}

#[function_component]
pub fn Bar(props: &BarProps) -> Html {
    let nobody = props.bar.idle.count + props.bar.reputable.count + props.bar.busy.count == 0;
    let segment = |status: Status| {
        html! {
            <Part {status} segment={props.bar.segment(status)} {nobody} chosen={props.filter == Some(status)}
                on_choose={props.on_choose.clone()} />
        }
    };
    html! {
        <section class={classes!("bar", props.still.then_some("still"))} aria-label="Status of all agents" data-testid="status-bar">
            <div class="bar-stack">
                { for [Status::Idle, Status::Reputable, Status::Busy].map(segment) }
            </div>
            <div class="bar-beside">
                { for [Status::Offline, Status::Unknown].map(segment) }
            </div>
        </section>
    }
}

#[derive(Properties, PartialEq)]
struct PartProps {
    status: Status,
    segment: Segment,
    /// Nobody is online: the bar is divided evenly, since there is nothing to be proportional to.
    nobody: bool,
    chosen: bool,
    on_choose: Callback<Status>,
}

#[function_component]
fn Part(props: &PartProps) -> Html {
    let PartProps { status, segment, nobody, chosen, .. } = *props;
    let node = use_node_ref();
    let online = !matches!(status, Status::Offline | Status::Unknown);
    let share = if nobody { 1 } else { segment.percent };
    use_effect_with((node.clone(), share), move |(node, share)| {
        if online {
            browser::set_style(node, "flex-grow", &share.to_string());
        }
    });
    let onclick = {
        let on_choose = props.on_choose.clone();
        Callback::from(move |_: MouseEvent| on_choose.emit(status))
    };
    let key = status.as_str();
    let name = words::status(status);
    let agents = words::count(segment.count as usize, "agent", "agents");
    let whole = if online { "of those online" } else { "of all known" };
    let next = if chosen { "Click to list all peers again." } else { "Click to list only these." };
    let title = format!("{name}: {agents}, {} % {whole}: {}. {next}", segment.percent, words::status_meaning(status));
    html! {
        <button ref={node} type="button" {onclick} {title}
            class={classes!("segment", format!("segment-{key}"), (segment.count == 0).then_some("none"))}
            aria-pressed={chosen.to_string()} data-testid={format!("status-{key}")}
            data-count={segment.count.to_string()} data-percent={segment.percent.to_string()}>
            <span class="segment-name"><Mark {status} />{ name }</span>
            <span class="segment-count">{ segment.count }</span>
            <span class="segment-share">{ segment.percent }{" %"}</span>
        </button>
    }
}
