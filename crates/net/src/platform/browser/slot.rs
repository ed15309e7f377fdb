//! Identity slots: which tab is which peer.
//!
//! Every tab of a browser shares one IndexedDB, and a key used twice would be one peer in two places.
//! So identities are numbered slots, and a tab claims one by a Web Lock that the browser takes back
//! when the tab goes, however it goes. `sessionStorage`, which survives a reload but not the tab,
//! remembers the number: a reload finds the lock still held by the page it replaces for a moment, and
//! waits for it.
//!
//! Specification: <https://w3c.github.io/web-locks/>. web-sys has the interface behind an unstable
//! flag only, so it is called by name.

use std::time::Duration;

use futures::future::{self, Either};
use js_sys::{Function, Object, Promise, Reflect};
use tokio::sync::oneshot;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;

/// Identities of one browser. More tabs than that run for their visit only.
const SLOTS_MAX: u32 = 64;
/// How long a reload waits for the lock of the page it replaces.
const RELOAD_PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks.
const RELOAD_POLL: Duration = Duration::from_millis(50);
/// The name under which `sessionStorage` remembers the slot.
const REMEMBERED: &str = "mycomesh-slot";

/// A slot this page holds until it is dropped, or until the page goes.
pub(super) struct Slot {
    pub(super) number: u32,
    release: Function,
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Resolving the promise that holds the lock cannot throw.
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

/// Claim a slot: the one this tab had before the reload, else the first free one. The error says in
/// words why there is none.
pub(super) async fn claim() -> Result<Slot, String> {
    let locks = locks()?;
    if let Some(number) = remembered() {
        let mut waited = Duration::ZERO;
        while waited <= RELOAD_PATIENCE {
            if let Some(slot) = try_claim(&locks, number).await? {
                return Ok(slot);
            }
            super::sleep(RELOAD_POLL).await;
            waited += RELOAD_POLL;
        }
    }
    for number in 0..SLOTS_MAX {
        if let Some(slot) = try_claim(&locks, number).await? {
            remember(number);
            return Ok(slot);
        }
    }
    Err(format!("{SLOTS_MAX} tabs already run here"))
}

/// The slot of this tab, as far as it is known without claiming one.
pub(super) fn remembered() -> Option<u32> {
    let number = session_storage()?.get_item(REMEMBERED).ok()??.parse().ok()?;
    (number < SLOTS_MAX).then_some(number)
}

/// Remember the slot for a reload. Without `sessionStorage` a reload takes the first free slot, which
/// is the same one unless other tabs are open.
pub(super) fn remember(number: u32) {
    if let Some(storage) = session_storage() {
        let _ = storage.set_item(REMEMBERED, &number.to_string());
    }
}

/// The slot with this number, if no other page holds it.
async fn try_claim(locks: &JsValue, number: u32) -> Result<Option<Slot>, String> {
    let (answer, answered) = oneshot::channel();
    let granted = Closure::once(move |lock: JsValue| -> JsValue {
        if lock.is_null() || lock.is_undefined() {
            let _ = answer.send(None);
            return JsValue::UNDEFINED;
        }
        // The lock is held until this promise resolves.
        let mut release = None;
        let held = Promise::new(&mut |resolve, _reject| release = Some(resolve));
        let _ = answer.send(release);
        held.into()
    });
    let request: Function = property(locks, "request")?.dyn_into().map_err(words)?;
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE).map_err(words)?;
    let name = JsValue::from(format!("mycomesh-identity-{number}"));
    let asked: Promise =
        request.call3(locks, &name, &options, granted.as_ref()).map_err(words)?.dyn_into().map_err(words)?;
    // `asked` settles when the lock is given back, or at once when the browser refuses.
    let release = match future::select(Box::pin(answered), JsFuture::from(asked)).await {
        Either::Left((release, _)) => release.unwrap_or_default(),
        Either::Right((Err(error), _)) => return Err(words(error)),
        Either::Right((Ok(_), answered)) => answered.await.unwrap_or_default(),
    };
    Ok(release.map(|release| Slot { number, release }))
}

/// `navigator.locks`, if the page may use it.
fn locks() -> Result<JsValue, String> {
    let window = web_sys::window().ok_or("this is not a page")?;
    if !window.is_secure_context() {
        return Err("this page was not opened over HTTPS or from this computer".into());
    }
    let locks = property(&window.navigator(), "locks")?;
    if locks.is_undefined() { Err("this browser has no Web Locks".into()) } else { Ok(locks) }
}

fn session_storage() -> Option<web_sys::Storage> {
    web_sys::window()?.session_storage().ok()?
}

fn property(object: &JsValue, name: &str) -> Result<JsValue, String> {
    Reflect::get(object, &name.into()).map_err(words)
}

fn words(error: JsValue) -> String {
    property_text(&error).unwrap_or_else(|| format!("{error:?}"))
}

fn property_text(error: &JsValue) -> Option<String> {
    Reflect::get(error, &"message".into()).ok()?.as_string()
}
