//! Settings: what others see of this peer, how it joins, how the page looks, and its identity.

use multiaddr::Multiaddr;
use mycomesh_core::{
    config::SkillSet,
    io::Command,
    limits,
    snapshot::MeView,
    wire::{Network, Skill},
};
use web_sys::{HtmlInputElement, HtmlTextAreaElement};
use yew::prelude::*;

use super::{direct::DirectSection, identity::IdentitySection};
use crate::{
    actions::{PageAct, use_actions},
    invite,
    plan::Saved,
    prefs::{self, Theme},
    section::Section,
    topline::BusySwitch,
    ui::{Id, Mark},
    words,
};

#[derive(Properties, PartialEq)]
pub struct SettingsProps {
    /// None while the node does not run; the rest can be set nevertheless.
    pub me: Option<Section<MeView>>,
}

#[function_component]
pub fn SettingsView(props: &SettingsProps) -> Html {
    html! {
        <div class="settings">
            if let Some(me) = &props.me {
                <ProfileSection me={me.clone()} />
            }
            <RelaySection />
            <DirectSection />
            <ThemeSection />
            <IdentitySection running={props.me.is_some()} />
            if let Some(me) = &props.me {
                <AboutSection me={me.clone()} />
            }
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct MeProps {
    me: Section<MeView>,
}

/// Name, skills, slots and the busy switch.
#[function_component]
fn ProfileSection(props: &MeProps) -> Html {
    let actions = use_actions();
    let me = &props.me;
    // What was typed and not yet saved; none shows what the node says.
    let name = use_state(|| None::<String>);
    let skills = use_state(|| None::<SkillSet>);
    let slots = use_state(|| None::<u32>);

    let name_now = (*name).clone().unwrap_or_else(|| me.name.clone());
    let skills_now: SkillSet = (*skills).clone().unwrap_or_else(|| me.skills.iter().cloned().collect());
    let slots_now = (*slots).unwrap_or(me.slots_total);
    let changed = name.is_some() || skills.is_some() || slots.is_some();
    let wrong = profile_problem(&name_now, slots_now);

    let type_name = {
        let name = name.clone();
        Callback::from(move |event: InputEvent| {
            name.set(Some(event.target_unchecked_into::<HtmlInputElement>().value()))
        })
    };
    let type_slots = {
        let slots = slots.clone();
        Callback::from(move |event: InputEvent| {
            slots.set(Some(event.target_unchecked_into::<HtmlInputElement>().value().parse().unwrap_or(0)));
        })
    };
    let toggle = |skill: Skill| {
        let (skills, now) = (skills.clone(), skills_now.clone());
        Callback::from(move |_: Event| {
            let mut next = now.clone();
            if !next.remove(&skill) {
                next.insert(skill.clone());
            }
            skills.set(Some(next));
        })
    };
    let save = {
        let command =
            Command::SetProfile { name: name_now.trim().to_owned(), skills: skills_now.clone(), slots: slots_now };
        let (name, skills, slots) = (name, skills.clone(), slots);
        let ready = changed && wrong.is_none();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            if !ready {
                return;
            }
            let (name, skills, slots, said) = (name.clone(), skills.clone(), slots.clone(), actions.clone());
            actions.order(command.clone(), move |result| {
                if result.is_ok() {
                    name.set(None);
                    skills.set(None);
                    slots.set(None);
                    said.toast("Saved; others see it now.");
                }
            });
        })
    };
    // Skills that a program registered are shown, and kept as they are.
    let all: SkillSet = [Skill::human(), Skill::echo()].into_iter().chain(me.skills.iter().cloned()).collect();
    html! {
        <section class="card" aria-labelledby="profile-title">
            <h2 id="profile-title">{"What others see"}</h2>
            <form onsubmit={save}>
                <label class="field">{"Your name"}
                    <input type="text" dir="auto" value={name_now} oninput={type_name} autocomplete="nickname"
                        placeholder={words::called(None, &me.peer_id)} data-testid="profile-name" />
                </label>
                <fieldset>
                    <legend>{"Skills you offer"}</legend>
                    { for all.into_iter().map(|skill| html! {
                        <label class="check" key={skill.to_string()}>
                            <input type="checkbox" checked={skills_now.contains(&skill)} onchange={toggle(skill.clone())}
                                data-testid={format!("profile-skill-{skill}")} />
                            <span><span class="skill">{ skill.as_str() }</span>{" "}{ skill_meaning(&skill) }</span>
                        </label>
                    }) }
                </fieldset>
                <label class="field narrow">{"Tasks at a time"}
                    <input type="number" min="1" max={limits::SLOTS_MAX.to_string()} value={slots_now.to_string()}
                        oninput={type_slots} data-testid="profile-slots" />
                </label>
                <div class="actions">
                    if let Some(wrong) = &wrong {
                        <p class="warn" role="status">{ wrong }</p>
                    }
                    <button type="submit" class="primary" disabled={!changed || wrong.is_some()} data-testid="profile-save">{"Save"}</button>
                </div>
            </form>
            <p class="busy-line"><BusySwitch busy={me.busy} testid="busy-switch-settings" />
                <span class="hint">{"While this is on, you turn red in everybody's bar and questions are declined."}</span></p>
        </section>
    }
}

fn profile_problem(name: &str, slots: u32) -> Option<String> {
    if name.trim().len() > limits::NAME_BYTES_MAX {
        return Some(format!("The name is too long: {} of {} bytes.", name.trim().len(), limits::NAME_BYTES_MAX));
    }
    if name.chars().any(char::is_control) {
        return Some("The name must not contain control characters.".to_owned());
    }
    (!(1..=limits::SLOTS_MAX).contains(&slots)).then(|| format!("Tasks at a time must be 1 to {}.", limits::SLOTS_MAX))
}

fn skill_meaning(skill: &Skill) -> &'static str {
    match skill.as_str() {
        "human" => "– questions come to your inbox and you answer them",
        "echo" => "– sends every text back unchanged, by itself; for trying things out",
        _ => "– answered by a program",
    }
}

/// The relays and the network used to join.
#[function_component]
fn RelaySection() -> Html {
    let actions = use_actions();
    let saved = use_memo((), |()| prefs::saved());
    let text = use_state(|| saved.relays.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    let network = use_state(|| saved.network.as_ref().map(ToString::to_string).unwrap_or_default());
    let wrong = use_state(|| None::<String>);
    let write = {
        let text = text.clone();
        Callback::from(move |event: InputEvent| text.set(event.target_unchecked_into::<HtmlTextAreaElement>().value()))
    };
    let name = {
        let network = network.clone();
        Callback::from(move |event: InputEvent| network.set(event.target_unchecked_into::<HtmlInputElement>().value()))
    };
    let use_these = {
        let (text, network, wrong, actions) = (text.clone(), network.clone(), wrong.clone(), actions.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            match joining(&text, &network) {
                Ok(saved) => {
                    wrong.set(None);
                    actions.toast("Saved; calling these relays.");
                    actions.page(PageAct::Join(saved));
                }
                Err(what) => wrong.set(Some(what)),
            }
        })
    };
    let of_the_site = Callback::from(move |_: MouseEvent| actions.page(PageAct::Join(Saved::default())));
    html! {
        <section class="card" aria-labelledby="relays-title">
            <h2 id="relays-title">{"Relays"}</h2>
            <p class="hint">{"Normally this page joins through the relay of its own site, or the one of the invite link. Enter \
                others here, one address a line, each ending in /p2p/<relay id>."}</p>
            <form onsubmit={use_these}>
                <label class="field">{"Relay addresses"}
                    <textarea rows="3" class="mono" spellcheck="false" value={(*text).clone()} oninput={write}
                        placeholder="/dns4/relay.example.org/tcp/443/wss/p2p/12D3Koo…" data-testid="relay-input"
                        aria-invalid={wrong.is_some().to_string()} />
                </label>
                <label class="field">{"Network"}
                    <input type="text" autocapitalize="none" spellcheck="false" value={(*network).clone()} oninput={name}
                        placeholder="as this site's relay says, otherwise public" data-testid="network-input" />
                </label>
                if let Some(wrong) = &*wrong {
                    <p class="warn" role="status" data-testid="relay-problem">{ wrong }</p>
                }
                <div class="actions">
                    <button type="button" onclick={of_the_site} data-testid="relay-reset">{"Use this site's relay"}</button>
                    <button type="submit" class="primary" data-testid="relay-save">{"Use these relays"}</button>
                </div>
            </form>
        </section>
    }
}

fn joining(relays: &str, network: &str) -> Result<Saved, String> {
    let network = Some(network.trim()).filter(|name| !name.is_empty());
    let network = network.map(Network::new).transpose().map_err(|error| format!("The network: {error}."))?;
    Ok(Saved { relays: addresses(relays)?, network })
}

fn addresses(text: &str) -> Result<Vec<Multiaddr>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let relays = lines.map(invite::relay_address).collect::<Result<Vec<_>, _>>()?;
    if relays.is_empty() { Err("Enter at least one address, or use this site's relay.".to_owned()) } else { Ok(relays) }
}

#[function_component]
fn ThemeSection() -> Html {
    let actions = use_actions();
    let theme = use_state(Theme::load);
    let choose = |wanted: Theme| {
        let (actions, theme) = (actions.clone(), theme.clone());
        Callback::from(move |_: Event| {
            theme.set(wanted);
            actions.page(PageAct::SetTheme(wanted));
        })
    };
    html! {
        <section class="card" aria-labelledby="theme-title">
            <h2 id="theme-title">{"Appearance"}</h2>
            <fieldset class="choices">
                <legend class="visually-hidden">{"Theme"}</legend>
                { for Theme::ALL.map(|one| html! {
                    <label class="check">
                        <input type="radio" name="theme" checked={*theme == one} onchange={choose(one)}
                            data-testid={format!("theme-{}", one.as_str())} />
                        <span>{ match one { Theme::Auto => "As the system", Theme::Light => "Light", Theme::Dark => "Dark" } }</span>
                    </label>
                }) }
            </fieldset>
        </section>
    }
}

#[function_component]
fn AboutSection(props: &MeProps) -> Html {
    let me = &props.me;
    html! {
        <section class="card" aria-labelledby="about-title">
            <h2 id="about-title">{"This peer"}</h2>
            <dl class="about">
                <div><dt>{"Peer id"}</dt><dd><Id id={me.peer_id.to_base58()} what="your peer id" /></dd></div>
                <div><dt>{"Network"}</dt><dd>{ &me.network }</dd></div>
                <div><dt>{"Status"}</dt><dd class="status"><Mark status={me.status} />{ words::status(me.status) }</dd></div>
                <div><dt>{"Free slots"}</dt><dd>{ format!("{} of {}", me.slots_free, me.slots_total) }</dd></div>
                <div><dt>{"Reached at"}</dt><dd>
                    if me.addrs.is_empty() {
                        {"no address yet: others cannot call this peer until a relay gives it a place"}
                    }
                    <ul class="addresses">{ for me.addrs.iter().map(|addr| html! { <li><code>{ addr.to_string() }</code></li> }) }</ul>
                </dd></div>
            </dl>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_line_by_line() {
        let one = "/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        assert_eq!(addresses(&format!("\n {one} \n\n{one}")).expect("well-formed").len(), 2);
        assert!(addresses(" \n").expect_err("nothing there").contains("at least one"));
        assert!(joining(one, "Not a name").expect_err("no name").contains("network name"));
        assert_eq!(joining(one, " ").expect("no network is fine").network, None);
        assert!(addresses("127.0.0.1:80").expect_err("no multiaddr").contains("not a multiaddr"));
    }

    #[test]
    fn a_profile_out_of_its_limits_is_told_before_it_is_sent() {
        assert_eq!(profile_problem("Ada", 1), None);
        assert!(profile_problem(&"x".repeat(65), 1).expect("too long").contains("65 of 64"));
        assert!(profile_problem("a\u{7}", 1).is_some());
        assert!(profile_problem("Ada", 0).is_some());
        assert!(profile_problem("Ada", 65).is_some());
    }
}
