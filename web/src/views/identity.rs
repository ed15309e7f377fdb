//! Export, import and reset of the identity, each of which asks first where something may be lost.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::{
    actions::{PageAct, use_actions},
    browser, keyfile,
    ui::Confirm,
    words,
};

#[derive(Properties, PartialEq)]
pub struct IdentityProps {
    /// Whether the node runs, so that there is something to export.
    pub running: bool,
}

/// What the person is asked about.
#[derive(Clone, PartialEq)]
enum Question {
    Reset,
    Import { peer_id: String, file: String },
}

#[function_component]
pub fn IdentitySection(props: &IdentityProps) -> Html {
    let actions = use_actions();
    let question = use_state(|| None::<Question>);
    let wrong = use_state(|| None::<&'static str>);
    let export = {
        let actions = actions.clone();
        Callback::from(move |_: MouseEvent| actions.page(PageAct::ExportIdentity))
    };
    let reset = {
        let question = question.clone();
        Callback::from(move |_: MouseEvent| question.set(Some(Question::Reset)))
    };
    let choose = {
        let (question, wrong) = (question.clone(), wrong.clone());
        Callback::from(move |event: Event| {
            let input = event.target_unchecked_into::<HtmlInputElement>();
            let (question, wrong) = (question.clone(), wrong.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let Some(file) = browser::chosen_text(&input).await else { return };
                // The same file can be chosen again.
                input.set_value("");
                match keyfile::read(&file) {
                    Ok((peer_id, _)) => {
                        wrong.set(None);
                        question.set(Some(Question::Import { peer_id, file }));
                    }
                    Err(what) => wrong.set(Some(what)),
                }
            });
        })
    };
    let answer = {
        let question = question.clone();
        Callback::from(move |yes: bool| {
            if yes {
                match (*question).clone() {
                    Some(Question::Reset) => actions.page(PageAct::ResetIdentity),
                    Some(Question::Import { file, .. }) => actions.page(PageAct::ImportIdentity(file)),
                    None => {}
                }
            }
            question.set(None);
        })
    };
    html! {
        <section class="card" aria-labelledby="identity-title">
            <h2 id="identity-title">{"Identity"}</h2>
            <p class="hint">{"Your identity is a key in this browser. Whoever has the exported file is you in the mesh: keep it \
                like a password. Use it in one place at a time."}</p>
            <div class="actions start">
                <button type="button" onclick={export} disabled={!props.running} data-testid="identity-export">{"Export…"}</button>
                <label class="button">{"Import…"}
                    <input type="file" class="visually-hidden" accept="application/json,.json" onchange={choose}
                        data-testid="identity-import" />
                </label>
                <button type="button" class="danger" onclick={reset} data-testid="identity-reset">{"Reset…"}</button>
            </div>
            if let Some(wrong) = *wrong {
                <p class="warn" role="status" data-testid="identity-problem">{ wrong }{"."}</p>
            }
            { for question.as_ref().map(|question| ask(question, answer)) }
        </section>
    }
}

fn ask(question: &Question, on_answer: Callback<bool>) -> Html {
    match question {
        Question::Reset => html! {
            <Confirm title="Reset this identity?" yes="Reset and reload" {on_answer}>
                <p>{"The key, your tasks and the receipts kept here are forgotten, and this page comes back as a new peer that \
                    nobody knows. This cannot be undone; export the identity first if you may want it back."}</p>
            </Confirm>
        },
        Question::Import { peer_id, .. } => html! {
            <Confirm title="Replace this identity?" yes="Replace and reload" {on_answer}>
                <p>{ format!("This page becomes {}. Key, tasks and receipts of the present identity are removed from this \
                    browser; export it first if you may want it back.", words::short(peer_id)) }</p>
            </Confirm>
        },
    }
}
