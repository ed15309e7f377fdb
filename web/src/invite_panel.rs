//! How to bring somebody else here: link, QR code, and what to do with them.

use mycomesh_core::snapshot::JoinView;
use yew::prelude::*;

use crate::{
    browser, invite,
    section::Section,
    ui::{CopyButton, Qr},
};

#[derive(Properties, PartialEq)]
pub struct InviteProps {
    pub join: Option<Section<JoinView>>,
    pub network: AttrValue,
    /// `data-testid` of the link.
    #[prop_or(AttrValue::Static("invite-link"))]
    pub testid: AttrValue,
}

#[function_component]
pub fn InvitePanel(props: &InviteProps) -> Html {
    let link = props.join.as_ref().and_then(|join| invite::link(&browser::page(), &join.relays, &props.network));
    let Some(link) = link else {
        return html! {
            <p>{"There is no link to share yet: this page has not found a relay. It keeps trying; a relay's address can be \
                entered in Settings."}</p>
        };
    };
    html! {
        <div class="invite">
            <Qr text={link.clone()} label="QR code of the invite link" />
            <div class="invite-text">
                <p>{"Whoever opens this link joins this network: in another tab, on another device, anywhere that reaches \
                    the relay."}</p>
                <p class="link-line"><a href={link.clone()} rel="noopener" target="_blank" data-testid={props.testid.clone()}>{ link.clone() }</a></p>
                <CopyButton text={link} what="the invite link" class="button">{"Copy link"}</CopyButton>
                if browser::surroundings().loopback {
                    <p class="hint">{"This page was opened at an address of this machine, so the link works on this machine \
                        only. To invite others, open the page through an address they can reach and share the link from \
                        there."}</p>
                }
            </div>
        </div>
    }
}
