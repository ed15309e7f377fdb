//! The web app: a peer of the mesh in a page, and everything a person sees of it.
//!
//! [`run`] starts it. [`session`] finds out where to join, starts the node and brings its snapshots;
//! [`app`] holds the node; [`Shell`] is the page as a function of a snapshot; [`views`] are its
//! parts. Everything asked of the browser itself is in [`browser`].
//!
//! Texts of peers are rendered as text nodes only. Nothing here decides about the protocol: that is
//! `mycomesh-core`, which `mycomesh-net` drives.

mod actions;
mod announce;
mod app;
mod bar;
mod browser;
mod ice;
mod invite_panel;
mod keyfile;
mod petname;
mod plan;
mod prefs;
mod section;
mod session;
mod shell;
mod topline;
mod ui;
mod views;
mod words;

use mycomesh_core::invite;

pub use actions::{Order, Outside, PageAct, View};
pub use plan::Saved;
pub use prefs::Theme;
pub use section::Section;
pub use shell::{Notice, NoticeKind, Shell, ShellProps};

/// Start the app in this page, which may still be being read: its script waits for nothing.
pub fn run() {
    console_error_panic_hook::set_once();
    Theme::load().apply();
    browser::once_parsed(|| {
        yew::Renderer::<app::App>::new().render();
    });
}
