//! Dialogs on the browser's own `<dialog>`: focus stays inside, Escape closes, focus returns.

use yew::prelude::*;

use crate::browser;

#[derive(Properties, PartialEq)]
pub struct DialogProps {
    /// Its heading.
    pub title: AttrValue,
    /// Called when it is closed by Escape, its button or a click beside it.
    pub on_close: Callback<()>,
    pub children: Html,
    /// `data-testid`.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
}

/// A modal dialog, open as long as it is rendered.
#[function_component]
pub fn Dialog(props: &DialogProps) -> Html {
    let node = use_node_ref();
    use_effect_with((), {
        let node = node.clone();
        move |()| {
            let dialog = browser::show_dialog(&node);
            move || browser::close_dialog(dialog)
        }
    });
    use_effect_with(props.on_close.clone(), {
        let node = node.clone();
        move |on_close| {
            let on_close = on_close.clone();
            let listener = browser::listen(&node, "cancel", move |event| {
                // The parent decides: it stops rendering the dialog.
                event.prevent_default();
                on_close.emit(());
            });
            move || drop(listener)
        }
    });
    let close = {
        let on_close = props.on_close.clone();
        Callback::from(move |_: MouseEvent| on_close.emit(()))
    };
    // The dialog's own area beyond its content is the backdrop.
    let beside = {
        let (on_close, node) = (props.on_close.clone(), node.clone());
        Callback::from(move |event: MouseEvent| {
            if event.target().map(wasm_bindgen::JsValue::from) == node.get().map(wasm_bindgen::JsValue::from) {
                on_close.emit(());
            }
        })
    };
    html! {
        <dialog ref={node} aria-labelledby="dialog-title" data-testid={props.testid.clone()} onclick={beside}>
            <div class="dialog-content">
                <div class="dialog-head">
                    <h2 id="dialog-title">{ props.title.clone() }</h2>
                    <button type="button" class="quiet icon" aria-label="Close" onclick={close}>{"✕"}</button>
                </div>
                { props.children.clone() }
            </div>
        </dialog>
    }
}

#[derive(Properties, PartialEq)]
pub struct ConfirmProps {
    pub title: AttrValue,
    /// What will happen.
    pub children: Html,
    /// The button that does it.
    pub yes: AttrValue,
    /// Called with the decision.
    pub on_answer: Callback<bool>,
}

/// Asks before something that cannot be undone.
#[function_component]
pub fn Confirm(props: &ConfirmProps) -> Html {
    let answer = |value: bool| {
        let on_answer = props.on_answer.clone();
        Callback::from(move |_: MouseEvent| on_answer.emit(value))
    };
    html! {
        <Dialog title={props.title.clone()} on_close={let on_answer = props.on_answer.clone(); Callback::from(move |()| on_answer.emit(false))}
            testid="confirm">
            { props.children.clone() }
            <div class="actions">
                <button type="button" onclick={answer(false)} data-testid="confirm-no">{"Keep it as it is"}</button>
                <button type="button" class="danger" onclick={answer(true)} data-testid="confirm-yes">{ props.yes.clone() }</button>
            </div>
        </Dialog>
    }
}
