//! Everything this app asks of the browser, in one place. Nothing here decides anything.
//!
//! Functions that change the page do nothing where the browser refuses (storage switched off, a
//! clipboard out of reach); those that bring something say so.

use gloo_events::{EventListener, EventListenerOptions};
use js_sys::{Array, Function, Promise, Reflect};
use mycomesh_core::time::UnixMillis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, Document, Element, Event, HtmlAnchorElement, HtmlDialogElement, HtmlElement,
    PageTransitionEvent, Response, Storage, Url, VisibilityState, Window,
};
use yew::NodeRef;

// --- what this page runs in -------------------------------------------------------------------

/// What this browser and this page's origin lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The page came over HTTPS: only secure transports may be used.
    pub https: bool,
    /// A secure context: HTTPS or this very machine.
    pub secure: bool,
    /// `RTCPeerConnection` exists.
    pub webrtc: bool,
    /// `indexedDB` exists.
    pub indexed_db: bool,
    /// The page was opened through a name of this very machine, which nobody else can use.
    pub loopback: bool,
}

/// Look around.
pub fn surroundings() -> Surroundings {
    let location = window().location();
    let host = location.hostname().unwrap_or_default();
    Surroundings {
        https: location.protocol().is_ok_and(|protocol| protocol == "https:"),
        secure: window().is_secure_context(),
        webrtc: has("RTCPeerConnection"),
        indexed_db: has("indexedDB"),
        loopback: host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]",
    }
}

/// The wall clock.
pub fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

/// A time of day in the reader's own way of writing it.
pub fn time_of_day(at: UnixMillis) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.0 as f64));
    String::from(date.to_locale_time_string("default"))
}

/// Date and time in the reader's own way of writing them.
pub fn date_and_time(at: UnixMillis) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(at.0 as f64));
    String::from(date.to_locale_string("default", &JsValue::UNDEFINED))
}

/// Whether the reader asked for less motion.
pub fn reduced_motion() -> bool {
    matches("(prefers-reduced-motion: reduce)")
}

/// Whether the page has the narrow layout, as the style sheet draws the line.
pub fn narrow() -> bool {
    matches("(max-width: 48rem)")
}

/// Whether the page is hidden.
pub fn hidden() -> bool {
    document().visibility_state() == VisibilityState::Hidden
}

// --- address and navigation -------------------------------------------------------------------

/// The page's address without query and fragment.
pub fn page() -> String {
    let href = window().location().href().unwrap_or_default();
    href.split(['#', '?']).next().unwrap_or_default().to_owned()
}

/// The fragment, with its `#` when there is one.
pub fn fragment() -> String {
    window().location().hash().unwrap_or_default()
}

/// Replace the fragment without a step in the history.
pub fn replace_fragment(fragment: &str) {
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(fragment));
    }
}

/// Go to a fragment of this page.
pub fn go(fragment: &str) {
    let _ = window().location().set_hash(fragment);
}

/// Load the page again.
pub fn reload() {
    let _ = window().location().reload();
}

// --- storage ----------------------------------------------------------------------------------

/// A value that every tab of the site shares.
pub fn local(key: &str) -> Option<String> {
    get(window().local_storage(), key)
}

/// Set or remove it.
pub fn set_local(key: &str, value: Option<&str>) {
    set(window().local_storage(), key, value);
}

/// A value of this tab.
pub fn session(key: &str) -> Option<String> {
    get(window().session_storage(), key)
}

/// Set or remove it.
pub fn set_session(key: &str, value: Option<&str>) {
    set(window().session_storage(), key, value);
}

fn get(storage: Result<Option<Storage>, JsValue>, key: &str) -> Option<String> {
    storage.ok().flatten()?.get_item(key).ok().flatten()
}

fn set(storage: Result<Option<Storage>, JsValue>, key: &str, value: Option<&str>) {
    if let Ok(Some(storage)) = storage {
        let _ = match value {
            Some(value) => storage.set_item(key, value),
            None => storage.remove_item(key),
        };
    }
}

// --- network and clipboard --------------------------------------------------------------------

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// No answer at all.
    Unreachable,
    /// An answer other than 200.
    Status(u16),
}

/// What this page's own site says of its relay. index.html has asked while the app was being loaded; that answer
/// is used once, and later questions are asked anew.
pub async fn site_document() -> Result<String, FetchError> {
    let early = Reflect::get(&window(), &EARLY_SITE.into()).unwrap_or_default().dyn_into::<Promise>();
    if let Ok(answer) = early {
        let _ = Reflect::delete_property(&window(), &EARLY_SITE.into());
        let answer = JsFuture::from(answer).await.map_err(|_| FetchError::Unreachable)?;
        let part = |place| Reflect::get_u32(&answer, place).map_err(|_| FetchError::Unreachable);
        return match part(0)?.as_f64() {
            Some(200.0) => part(1)?.as_string().ok_or(FetchError::Unreachable),
            Some(status) => Err(FetchError::Status(status as u16)),
            None => Err(FetchError::Unreachable),
        };
    }
    fetch_text("/.well-known/mycomesh.json").await
}

/// Where index.html leaves the promise of `[status, text]`.
const EARLY_SITE: &str = "mycomesh_site";

async fn fetch_text(path: &str) -> Result<String, FetchError> {
    let request = window().fetch_with_str(path);
    let response = JsFuture::from(request).await.map_err(|_| FetchError::Unreachable)?;
    let response: Response = response.dyn_into().map_err(|_| FetchError::Unreachable)?;
    if !response.ok() {
        return Err(FetchError::Status(response.status()));
    }
    let text = response.text().map_err(|_| FetchError::Unreachable)?;
    let text = JsFuture::from(text).await.map_err(|_| FetchError::Unreachable)?;
    text.as_string().ok_or(FetchError::Unreachable)
}

/// Put a text on the clipboard. False where the browser keeps it out of reach (plain HTTP on a LAN).
pub async fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    if Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_object())
        && JsFuture::from(navigator.clipboard().write_text(text)).await.is_ok()
    {
        return true;
    }
    copy_by_selection(text).unwrap_or(false)
}

/// The old way, which insecure contexts still allow.
fn copy_by_selection(text: &str) -> Option<bool> {
    let area: HtmlElement = document().create_element("textarea").ok()?.dyn_into().ok()?;
    area.set_class_name("visually-hidden");
    area.set_text_content(Some(text));
    // Inside the open dialog, if any: everything outside it is inert.
    let host =
        document().query_selector("dialog[open]").ok().flatten().or_else(|| document().body().map(Into::into))?;
    host.append_child(&area).ok()?;
    let before = document().active_element().and_then(|element| element.dyn_into::<HtmlElement>().ok());
    let select: Option<Function> = Reflect::get(&area, &"select".into()).ok()?.dyn_into().ok();
    let _ = select?.call0(&area);
    let exec: Option<Function> = Reflect::get(&document(), &"execCommand".into()).ok()?.dyn_into().ok();
    let done = exec?.call1(&document(), &"copy".into()).is_ok_and(|done| done.is_truthy());
    area.remove();
    if let Some(before) = before {
        let _ = before.focus();
    }
    Some(done)
}

/// Hand a text to the person as a file.
pub fn download(name: &str, text: &str) -> bool {
    let offer = || -> Result<(), JsValue> {
        let options = BlobPropertyBag::new();
        options.set_type("application/json");
        let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&text.into()), &options)?;
        let url = Url::create_object_url_with_blob(&blob)?;
        let link: HtmlAnchorElement = document().create_element("a")?.dyn_into()?;
        link.set_href(&url);
        link.set_download(name);
        link.click();
        Url::revoke_object_url(&url)
    };
    offer().is_ok()
}

/// The text of the first file chosen in an `<input type=file>`.
pub async fn chosen_text(input: &web_sys::HtmlInputElement) -> Option<String> {
    let file = input.files()?.get(0)?;
    JsFuture::from(file.text()).await.ok()?.as_string()
}

// --- elements ---------------------------------------------------------------------------------

/// Set one style property. Through the object model, since the page's policy forbids `style=`.
pub fn set_style(node: &NodeRef, property: &str, value: &str) {
    if let Some(element) = node.cast::<HtmlElement>() {
        let _ = element.style().set_property(property, value);
    }
}

/// Show a `<dialog>` above everything, with its focus kept inside.
pub fn show_dialog(node: &NodeRef) -> Option<HtmlDialogElement> {
    let dialog = node.cast::<HtmlDialogElement>()?;
    if !dialog.open() {
        let _ = dialog.show_modal();
    }
    Some(dialog)
}

/// Close it before it is taken away; the browser then gives the focus back.
pub fn close_dialog(dialog: Option<HtmlDialogElement>) {
    if let Some(dialog) = dialog {
        dialog.close();
    }
}

/// Move the focus.
pub fn focus(node: &NodeRef) {
    if let Some(element) = node.cast::<HtmlElement>() {
        let _ = element.focus();
    }
}

/// Ask for a theme on the root element.
pub fn set_theme(name: &str) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-theme", name);
    }
}

/// Write the window's title.
pub fn set_title(title: &str) {
    document().set_title(title);
}

/// Run `f` whenever `event` reaches the element of `node`.
pub fn listen(node: &NodeRef, event: &'static str, f: impl Fn(&Event) + 'static) -> Option<EventListener> {
    let element = node.cast::<Element>()?;
    let options = EventListenerOptions::enable_prevent_default();
    Some(EventListener::new_with_options(&element, event, options, move |event| f(event)))
}

/// Run `f` now, or once the page has been read so far that it has a body.
pub fn once_parsed(f: impl FnOnce() + 'static) {
    if document().body().is_some() {
        f();
    } else {
        EventListener::once(&document(), "DOMContentLoaded", move |_| f()).forget();
    }
}

/// Run `f` whenever `event` reaches the window.
pub fn on_window(event: &'static str, f: impl Fn() + 'static) -> EventListener {
    EventListener::new(&window(), event, move |_| f())
}

/// Run `f(hidden)` whenever the page is hidden or shown.
pub fn on_visibility(f: impl Fn(bool) + 'static) -> EventListener {
    EventListener::new(&document(), "visibilitychange", move |_| f(hidden()))
}

/// Run `f(restored)` whenever the page is shown; `restored` when it comes out of the back/forward
/// cache, where its connections have died.
pub fn on_page_show(f: impl Fn(bool) + 'static) -> EventListener {
    EventListener::new(&window(), "pageshow", move |event| {
        f(event.dyn_ref::<PageTransitionEvent>().is_some_and(PageTransitionEvent::persisted));
    })
}

fn matches(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|query| query.matches())
}

fn has(name: &str) -> bool {
    Reflect::get(&window(), &name.into()).is_ok_and(|value| !value.is_undefined() && !value.is_null())
}

fn window() -> Window {
    web_sys::window().expect("the app runs in a page")
}

fn document() -> Document {
    window().document().expect("a page has a document")
}
