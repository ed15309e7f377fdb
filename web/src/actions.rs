//! What views can do: give the node a command, ask something of the page, or change what is shown.

use std::rc::Rc;

use libp2p_identity::PeerId;
use mycomesh_core::{
    io::{Command, Reply},
    snapshot::Status,
};
use mycomesh_net::IceServer;
use yew::prelude::*;

use crate::{browser, plan::Saved, prefs::Theme};

/// A command, and what to do with its reply.
#[derive(Debug)]
pub struct Order {
    /// What the node is asked for.
    pub command: Command,
    /// Called once, with the reply or what went wrong in words for a person.
    pub done: Callback<Result<Reply, String>>,
}

/// What views ask of the page itself.
#[derive(Clone, Debug, PartialEq)]
pub enum PageAct {
    /// Use and remember these relays and this network; none goes back to the site's own.
    Join(Saved),
    /// Remember these STUN and TURN servers, and load the page again: the node takes them when it starts.
    SetIceServers(Vec<IceServer>),
    /// Use and remember a theme.
    SetTheme(Theme),
    /// Hand the identity to the person as a file.
    ExportIdentity,
    /// Replace the identity by one from such a file, and load the page again.
    ImportIdentity(String),
    /// Forget the identity and everything kept with it, and load the page again.
    ResetIdentity,
    /// Load the page again.
    Reload,
    /// Start without keeping anything.
    StartInMemory,
    /// The person has read the notice at this place.
    Dismiss(usize),
}

/// Where orders and page acts go. The app gives real ones, the gallery shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// Commands for the node.
    pub orders: Callback<Order>,
    /// Wishes to the page.
    pub page: Callback<PageAct>,
}

/// The views, one shown at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Graph and peers.
    #[default]
    Mesh,
    /// Ask a peer; what was asked.
    Ask,
    /// What others ask.
    Inbox,
    /// Trust and receipts.
    Reputation,
    /// What happened.
    Log,
    /// Settings.
    Settings,
}

impl View {
    /// All of them, in the order of the navigation.
    pub const ALL: [Self; 6] = [Self::Mesh, Self::Ask, Self::Inbox, Self::Reputation, Self::Log, Self::Settings];

    /// Its fragment without `#`, and the end of its navigation hook `nav-<key>`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Ask => "ask",
            Self::Inbox => "inbox",
            Self::Reputation => "reputation",
            Self::Log => "log",
            Self::Settings => "settings",
        }
    }

    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Ask => "Ask",
            Self::Inbox => "Inbox",
            Self::Reputation => "Reputation",
            Self::Log => "Log",
            Self::Settings => "Settings",
        }
    }

    /// The view a fragment means.
    pub fn of(fragment: &str) -> Option<Self> {
        let key = fragment.trim_start_matches('#');
        Self::ALL.into_iter().find(|view| view.key() == key)
    }
}

/// A short message that goes away by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Toast {
    pub number: u32,
    pub text: String,
}

/// Toasts shown at a time; the oldest goes first.
const TOASTS_MAX: usize = 3;

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ui {
    pub view: View,
    /// Only peers in this state are listed.
    pub filter: Option<Status>,
    /// Whom the ask panel is about.
    pub ask: Option<PeerId>,
    /// Whether the invite dialog is open.
    pub inviting: bool,
    pub toasts: Vec<Toast>,
    toast_number: u32,
}

impl Ui {
    /// Begin with a view.
    pub fn new(view: View) -> Self {
        Self { view, ..Self::default() }
    }
}

/// A change of what is shown.
pub enum UiAct {
    Show(View),
    Filter(Option<Status>),
    Ask(Option<PeerId>),
    Invite(bool),
    Toast(String),
    Untoast(u32),
}

impl Reducible for Ui {
    type Action = UiAct;

    fn reduce(self: Rc<Self>, act: UiAct) -> Rc<Self> {
        let mut ui = (*self).clone();
        match act {
            UiAct::Show(view) => ui.view = view,
            UiAct::Filter(filter) => ui.filter = filter,
            UiAct::Ask(peer) => ui.ask = peer,
            UiAct::Invite(open) => ui.inviting = open,
            UiAct::Toast(text) => {
                ui.toast_number += 1;
                ui.toasts.push(Toast { number: ui.toast_number, text });
                let surplus = ui.toasts.len().saturating_sub(TOASTS_MAX);
                ui.toasts.drain(..surplus);
            }
            UiAct::Untoast(number) => ui.toasts.retain(|toast| toast.number != number),
        }
        if ui == *self { self } else { Rc::new(ui) }
    }
}

/// Everything a view can do.
#[derive(Clone, PartialEq)]
pub struct Actions {
    pub outside: Outside,
    pub ui: UseReducerDispatcher<Ui>,
}

impl Actions {
    /// Give a command; a failure is told in a toast, then `done` hears of it too.
    pub fn order(&self, command: Command, done: impl Fn(Result<Reply, String>) + 'static) {
        let ui = self.ui.clone();
        let done = Callback::from(move |result: Result<Reply, String>| {
            if let Err(what) = &result {
                ui.dispatch(UiAct::Toast(format!("Not done: {what}.")));
            }
            done(result);
        });
        self.outside.orders.emit(Order { command, done });
    }

    /// Ask something of the page.
    pub fn page(&self, act: PageAct) {
        self.outside.page.emit(act);
    }

    /// Go to a view, by its fragment, so that the browser's back button leads back.
    pub fn go(&self, view: View) {
        browser::go(view.key());
    }

    /// Open the ask panel for a peer.
    pub fn ask(&self, peer: PeerId) {
        self.ui.dispatch(UiAct::Ask(Some(peer)));
        self.go(View::Ask);
    }

    /// Say something shortly.
    pub fn toast(&self, text: impl Into<String>) {
        self.ui.dispatch(UiAct::Toast(text.into()));
    }
}

/// What the views around this component can do.
#[hook]
pub fn use_actions() -> Actions {
    use_context().expect("views are inside the shell, which provides the actions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_found_by_its_fragment() {
        for view in View::ALL {
            assert_eq!(View::of(&format!("#{}", view.key())), Some(view));
        }
        assert_eq!(View::of("#library"), None);
    }

    #[test]
    fn old_toasts_make_room() {
        let mut ui = Rc::new(Ui::default());
        for n in 0..5 {
            ui = ui.reduce(UiAct::Toast(n.to_string()));
        }
        let texts: Vec<&str> = ui.toasts.iter().map(|toast| toast.text.as_str()).collect();
        assert_eq!(texts, ["2", "3", "4"]);
        let ui = ui.reduce(UiAct::Untoast(4));
        assert_eq!(ui.toasts.len(), 2);
    }
}
