//! The settings for direct connections: STUN and TURN servers, none by default.

use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use crate::{
    actions::{PageAct, use_actions},
    ice, prefs,
};

/// One field, checked before it is kept.
#[function_component]
pub fn DirectSection() -> Html {
    let actions = use_actions();
    let saved = use_memo((), |()| ice::shown(&prefs::ice_servers()));
    let text = use_state(|| (*saved).clone());
    let wrong = use_state(|| None::<String>);
    let write = {
        let text = text.clone();
        Callback::from(move |event: InputEvent| text.set(event.target_unchecked_into::<HtmlTextAreaElement>().value()))
    };
    let changed = text.trim() != *saved;
    let save = {
        let (text, wrong) = (text.clone(), wrong.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            match ice::parse(&text) {
                Ok(servers) => actions.page(PageAct::SetIceServers(servers)),
                Err(what) => wrong.set(Some(what)),
            }
        })
    };
    html! {
        <section class="card" aria-labelledby="direct-title">
            <h2 id="direct-title">{"Direct connections"}</h2>
            <p class="hint">{"Peers in the same network, or with addresses of their own, connect directly without any help. \
                Across routers a STUN server can tell this page its outside address; a TURN server carries what cannot go \
                direct. None is used unless you enter it here."}</p>
            <p class="hint">{"A STUN server learns your IP address and when you connect to somebody, not to whom or what you \
                say. A TURN server also sees with which addresses you exchange how much, all of it encrypted. What you enter \
                is kept in this browser as it is, passwords too."}</p>
            <form onsubmit={save}>
                <label class="field">{"STUN and TURN servers, one a line"}
                    <textarea rows="2" class="mono" spellcheck="false" autocapitalize="none" value={(*text).clone()} oninput={write}
                        placeholder="stun:stun.example.org:3478" data-testid="ice-input"
                        aria-invalid={wrong.is_some().to_string()} />
                </label>
                <p class="hint">{"TURN: turn:host:port, then its name and password with spaces between."}</p>
                if let Some(wrong) = &*wrong {
                    <p class="warn" role="status" data-testid="ice-problem">{ wrong }</p>
                }
                <div class="actions">
                    <button type="submit" class="primary" disabled={!changed} data-testid="ice-save"
                        title="The page loads again, since these are read when the node starts. Tasks and identity are kept.">
                        {"Save and reload"}
                    </button>
                </div>
            </form>
        </section>
    }
}
