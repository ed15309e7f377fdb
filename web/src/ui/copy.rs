//! Ids shortened in the middle, and the button that copies.

use gloo_timers::callback::Timeout;
use yew::prelude::*;

use crate::{browser, words};

/// How long "copied" is shown.
const SHOWN_MS: u32 = 1_600;

#[derive(Properties, PartialEq)]
pub struct CopyProps {
    /// What is copied.
    pub text: AttrValue,
    /// What it is: the button is called by its content and `Copy <what>`.
    pub what: AttrValue,
    /// Shown on the button.
    #[prop_or_default]
    pub children: Html,
    #[prop_or_default]
    pub class: Classes,
}

/// A button that copies a text and says so.
#[function_component]
pub fn CopyButton(props: &CopyProps) -> Html {
    let said = use_state(|| None::<bool>);
    // Dropping the handle stops the timer, so that a second click starts it anew.
    let timer = use_mut_ref(|| None::<Timeout>);
    let onclick = {
        let (text, said) = (props.text.clone(), said.clone());
        Callback::from(move |_: MouseEvent| {
            let (text, said, timer) = (text.clone(), said.clone(), timer.clone());
            wasm_bindgen_futures::spawn_local(async move {
                said.set(Some(browser::copy(&text).await));
                *timer.borrow_mut() = Some(Timeout::new(SHOWN_MS, move || said.set(None)));
            });
        })
    };
    let label = match *said {
        Some(true) => "Copied".to_owned(),
        Some(false) => "Cannot copy here: select the text".to_owned(),
        None => format!("Copy {}", props.what),
    };
    html! {
        <button type="button" class={classes!("copy", props.class.clone(), said.is_some().then_some("said"))}
            title={label.clone()} {onclick}>
            { props.children.clone() }
            <span class="visually-hidden">{" "}{ label }</span>
            <span class="copy-icon" aria-hidden="true">
                if *said == Some(true) { {"✓"} } else if *said == Some(false) { {"✗"} } else {
                    <svg viewBox="0 0 16 16" width="14" height="14">
                        <rect x="5.5" y="5.5" width="8" height="9" rx="1.5" />
                        <path d="M10.5 5.5v-2a1.5 1.5 0 0 0-1.5-1.5H4A1.5 1.5 0 0 0 2.5 3.5v6A1.5 1.5 0 0 0 4 11h1.5" />
                    </svg>
                }
            </span>
        </button>
    }
}

#[derive(Properties, PartialEq)]
pub struct IdProps {
    /// The whole id.
    pub id: AttrValue,
    /// What it identifies: `peer id`.
    pub what: AttrValue,
}

/// An id, shortened in the middle; a click copies all of it.
#[function_component]
pub fn Id(props: &IdProps) -> Html {
    html! {
        <CopyButton text={props.id.clone()} what={format!("{} {}", props.what, props.id)} class="id">
            <code>{ words::short(&props.id) }</code>
        </CopyButton>
    }
}
