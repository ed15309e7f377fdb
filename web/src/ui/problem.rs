//! Problems with advice, and empty states that say what to do next.

use mycomesh_core::snapshot::Problem;
use yew::prelude::*;

#[derive(Properties, PartialEq)]
pub struct ProblemProps {
    pub problem: Problem,
    /// What can be done about it right here.
    #[prop_or_default]
    pub children: Html,
    /// A remark that blocks nothing, instead of something that stands in the way.
    #[prop_or_default]
    pub mild: bool,
    /// Called when the person has read it; none when it stays as long as it is true.
    #[prop_or_default]
    pub on_dismiss: Option<Callback<()>>,
}

/// One clear message: what happened, and what to do.
#[function_component]
pub fn ProblemBox(props: &ProblemProps) -> Html {
    let dismiss = props.on_dismiss.clone().map(|on_dismiss| {
        let onclick = Callback::from(move |_: MouseEvent| on_dismiss.emit(()));
        html! { <button type="button" class="quiet icon" aria-label="Dismiss this message" {onclick}>{"✕"}</button> }
    });
    html! {
        <div class={classes!("problem", props.mild.then_some("mild"))} role="status" data-testid="problem">
            <div class="problem-text">
                <strong dir="auto">{ &props.problem.what }</strong>{" "}
                <span dir="auto">{ &props.problem.advice }</span>
                { props.children.clone() }
            </div>
            { dismiss }
        </div>
    }
}

#[derive(Properties, PartialEq)]
pub struct EmptyProps {
    pub title: AttrValue,
    pub children: Html,
}

/// What a list shows while it has no entries.
#[function_component]
pub fn Empty(props: &EmptyProps) -> Html {
    html! {
        <div class="empty">
            <p class="empty-title">{ props.title.clone() }</p>
            { props.children.clone() }
        </div>
    }
}
