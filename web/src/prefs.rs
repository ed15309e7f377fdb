//! What this browser remembers besides the node's own store: theme, relays, network, STUN and TURN
//! servers (for the site), and the invitation a tab came with (for the tab).

use mycomesh_core::wire::Network;

use mycomesh_net::IceServer;

use crate::{browser, ice, invite, plan::Saved};

/// Storage keys. Shared by every tab of the site, except the last.
mod key {
    pub const THEME: &str = "mycomesh.theme";
    pub const RELAYS: &str = "mycomesh.relays";
    pub const NETWORK: &str = "mycomesh.network";
    pub const ICE: &str = "mycomesh.ice";
    /// In `sessionStorage`: the fragment of the invite link, so that a reload joins the same network.
    pub const INVITE: &str = "mycomesh.invite";
}

/// The colours wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The name used in `data-theme` and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme wanted in this browser.
    pub fn load() -> Self {
        let wanted = browser::local(key::THEME).unwrap_or_default();
        Self::ALL.into_iter().find(|theme| theme.as_str() == wanted).unwrap_or_default()
    }

    /// Use it from now on.
    pub fn apply(self) {
        browser::set_theme(self.as_str());
    }

    /// Use and remember it.
    pub fn save(self) {
        self.apply();
        browser::set_local(key::THEME, (self != Self::Auto).then_some(self.as_str()));
    }
}

/// The relays and network saved in the settings; what cannot be read is left out.
pub fn saved() -> Saved {
    let relays = browser::local(key::RELAYS).unwrap_or_default();
    Saved {
        relays: relays.lines().filter_map(|line| invite::relay_address(line).ok()).collect(),
        network: browser::local(key::NETWORK).and_then(|name| Network::new(&name).ok()),
    }
}

/// Remember relays and network; none goes back to the site's own.
pub fn save(saved: &Saved) {
    let relays: Vec<String> = saved.relays.iter().map(ToString::to_string).collect();
    browser::set_local(key::RELAYS, (!relays.is_empty()).then(|| relays.join("\n")).as_deref());
    browser::set_local(key::NETWORK, saved.network.as_ref().map(Network::as_str));
}

/// The STUN and TURN servers of the settings; none where nothing, or nothing readable, was saved.
pub fn ice_servers() -> Vec<IceServer> {
    browser::local(key::ICE).and_then(|text| ice::parse(&text).ok()).unwrap_or_default()
}

/// Remember them.
pub fn save_ice_servers(servers: &[IceServer]) {
    browser::set_local(key::ICE, (!servers.is_empty()).then(|| ice::shown(servers)).as_deref());
}

/// The fragment of the invitation this tab came with.
pub fn tab_invite() -> Option<String> {
    browser::session(key::INVITE)
}

/// Remember the invitation this tab came with, or forget it.
pub fn set_tab_invite(fragment: Option<&str>) {
    browser::set_session(key::INVITE, fragment);
}
