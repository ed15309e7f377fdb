//! Relative times that move on by themselves, while somebody can see them.

use gloo_timers::callback::Interval;
use mycomesh_core::time::UnixMillis;
use yew::prelude::*;

use crate::{browser, words};

/// How often relative times move on. They are coarse, so seldom is enough.
const STEP_MS: u32 = 5_000;

/// The wall clock as last looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Now(UnixMillis);

#[derive(Properties, PartialEq)]
pub struct ClockProps {
    pub children: Html,
}

/// Hands the time to every [`Ago`] within, one timer for all of them.
#[function_component]
pub fn Clock(props: &ClockProps) -> Html {
    let now = use_state(|| Now(browser::now()));
    use_effect_with((), {
        let now = now.clone();
        move |()| {
            let look = move || {
                if !browser::hidden() {
                    now.set(Now(browser::now()));
                }
            };
            let shown = browser::on_visibility({
                let look = look.clone();
                move |_| look()
            });
            let interval = Interval::new(STEP_MS, look);
            move || drop((interval, shown))
        }
    });
    html! { <ContextProvider<Now> context={*now}>{ props.children.clone() }</ContextProvider<Now>> }
}

#[derive(Properties, PartialEq)]
pub struct AgoProps {
    pub at: UnixMillis,
}

/// A time, told relative to now.
#[function_component]
pub fn Ago(props: &AgoProps) -> Html {
    let Now(seen) = use_context().unwrap_or_else(|| Now(browser::now()));
    // Something newer than the last look is not in the future.
    let now = UnixMillis(seen.0.max(browser::now().0));
    html! { <time title={browser::date_and_time(props.at)}>{ words::relative(props.at, now) }</time> }
}
