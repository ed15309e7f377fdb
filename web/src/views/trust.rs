//! A trust score unfolded: what it is made of, and the receipts behind it.

use mycomesh_core::snapshot::{ReceiptView, TrustView};
use yew::prelude::*;

use crate::{
    ui::{Ago, Id, Meter, PeerName},
    words,
};

#[derive(Properties, PartialEq)]
pub struct TrustProps {
    pub trust: TrustView,
    /// Whether this is about the reader.
    #[prop_or_default]
    pub own: bool,
}

/// Components, own observations, and receipts.
#[function_component]
pub fn TrustDetail(props: &TrustProps) -> Html {
    let trust = &props.trust;
    html! {
        <div class="trust-detail">
            if let Some(until) = trust.quarantined_until {
                <p class="warn">{"Refused after repeated violations; again accepted "}<Ago at={until} />{"."}</p>
            }
            <div class="components">
                { for trust.components.iter().map(|component| html! {
                    <div class="component">
                        <span>{ words::component(component.name) }</span>
                        <span class="dim number">{ format!("weighs {}", words::percent(component.weight)) }</span>
                        if let Some(value) = component.value {
                            <Meter share={value} /><span class="number">{ words::percent(value) }</span>
                        } else {
                            <span class="dim no-evidence">{"no evidence yet"}</span>
                        }
                    </div>
                }) }
            </div>
            if trust.first_hand_failures > 0 {
                <p>{ format!("{} seen by this peer itself (timeouts, violations); these count here only and never travel.",
                    words::count(trust.first_hand_failures as usize, "failure", "failures")) }</p>
            }
            if trust.evidence.is_empty() {
                <p class="dim">
                    if props.own {
                        {"No receipts about you yet. Answer somebody's task; their rating is your first receipt."}
                    } else {
                        {"No receipts about this peer yet, so the score rests on the floor every newcomer starts from. Ask it \
                            something and rate the answer."}
                    }
                </p>
            } else {
                <h3>{ evidence_title(trust) }</h3>
                <ul class="receipts">{ for trust.evidence.iter().map(receipt) }</ul>
            }
        </div>
    }
}

fn evidence_title(trust: &TrustView) -> String {
    let shown = trust.evidence.len();
    let all = words::count(trust.receipts as usize, "receipt", "receipts");
    let signers = words::count(trust.signers as usize, "signer", "signers");
    if shown < trust.receipts as usize {
        format!("Receipts: the newest {shown} of {all} by {signers}")
    } else {
        format!("Receipts: {all} by {signers}")
    }
}

fn receipt(receipt: &ReceiptView) -> Html {
    html! {
        <li key={receipt.cid.to_string()} class="receipt" data-testid="receipt-row" data-cid={receipt.cid.to_string()}>
            <span class="receipt-quality number"><Meter share={receipt.quality} />{" "}{ words::percent(receipt.quality) }</span>
            <span>
                {"by "}<PeerName name={receipt.signer_name.clone().map(AttrValue::from)} peer={receipt.signer} />
                { format!(" for “{}”, {}", receipt.skill, words::outcome(receipt.outcome)) }
            </span>
            <span class="dim">{ format!("in time {}, counts {}", words::percent(receipt.timeliness), words::percent(receipt.weight)) }</span>
            <span class="dim"><Ago at={receipt.at} /></span>
            <Id id={receipt.cid.to_string()} what="receipt" />
        </li>
    }
}

#[derive(Properties, PartialEq)]
pub struct ScoreProps {
    pub trust: TrustView,
    /// Whether the detail is open.
    pub open: bool,
    /// The element it opens.
    pub controls: AttrValue,
    /// Whose trust it is, for the label.
    pub whose: AttrValue,
    pub on_toggle: Callback<()>,
}

/// The score as a button that unfolds it.
#[function_component]
pub fn Score(props: &ScoreProps) -> Html {
    let onclick = {
        let on_toggle = props.on_toggle.clone();
        Callback::from(move |_: MouseEvent| on_toggle.emit(()))
    };
    let receipts = words::count(props.trust.receipts as usize, "receipt", "receipts");
    html! {
        <button type="button" class="score quiet" aria-expanded={props.open.to_string()} {onclick}
            aria-controls={props.open.then(|| props.controls.clone())} data-testid="trust-toggle"
            data-score={props.trust.score.get().to_string()}
            title={format!("Trust in {} rests on {receipts}; click to see them", props.whose)}>
            <Meter share={props.trust.score} />
            <span class="number">{ words::percent(props.trust.score) }</span>
            <span class="visually-hidden">{ format!("trust in {}, ", props.whose) }</span>
            <span class="dim">{ receipts }</span>
            <span class="fold" aria-hidden="true">{ if props.open { "▾" } else { "▸" } }</span>
        </button>
    }
}
