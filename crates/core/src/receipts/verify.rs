//! What makes a rating a receipt.

use crate::{
    planted::{Bug, Planted},
    snapshot::SecurityKind,
    units::Bps,
    wire::{Acceptance, Delivery, Network, Outcome, Rating, Signed, SignedError, signed::Verifier},
};

/// Why a rating is not a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The outer or an embedded envelope.
    #[error(transparent)]
    Envelope(#[from] SignedError),
    /// The parts do not belong together.
    #[error("the receipt contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl From<&ReceiptError> for SecurityKind {
    fn from(error: &ReceiptError) -> Self {
        match error {
            ReceiptError::Envelope(error) => error.into(),
            ReceiptError::Contradiction(_) => Self::Malformed,
        }
    }
}

/// Check everything a receipt claims against what it embeds. Needs nothing else.
pub fn verify_alone(bytes: &[u8], network: &Network, verifier: &dyn Verifier) -> Result<Signed<Rating>, ReceiptError> {
    verify(bytes, network, verifier, Planted::default())
}

/// The same, in a node that may have a bug.
pub fn verify(
    bytes: &[u8],
    network: &Network,
    verifier: &dyn Verifier,
    planted: Planted,
) -> Result<Signed<Rating>, ReceiptError> {
    let signed = Signed::<Rating>::open(bytes, network, verifier)?;
    let rating = &signed.body;
    if rating.outcome == Outcome::Other {
        return Err(SignedError::Unknown("an outcome of a later version".into()).into());
    }
    let acceptance = Signed::<Acceptance>::open(&rating.acceptance, network, verifier)?;
    let rules = [
        (rating.provider != signed.signer || planted.is(Bug::RatesItself), "it rates its own signer"),
        (
            acceptance.signer == rating.provider || planted.is(Bug::AcceptedByAnybody),
            "the acceptance is not the provider's",
        ),
        (
            acceptance.body.requester == signed.signer || planted.is(Bug::RatesForAnother),
            "the acceptance names another requester",
        ),
        (acceptance.body.task == rating.task, "the acceptance is for another task"),
        (acceptance.body.skill == rating.skill, "the acceptance is for another skill"),
    ];
    if let Some((_, why)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(ReceiptError::Contradiction(why));
    }
    match &rating.delivery {
        None if rating.outcome == Outcome::Expired => {
            let due = acceptance.body.deadline;
            if rating.at < due {
                return Err(ReceiptError::Contradiction("it calls a task expired before its deadline"));
            }
            if rating.quality > Bps::ZERO || rating.timeliness > Bps::ZERO {
                return Err(ReceiptError::Contradiction("it praises a task that never was delivered"));
            }
        }
        None => return Err(ReceiptError::Contradiction("there is no delivery")),
        Some(bytes) => {
            let delivery = Signed::<Delivery>::open(bytes, network, verifier)?;
            if delivery.body.outcome == Outcome::Other {
                return Err(SignedError::Unknown("an outcome of a later version".into()).into());
            }
            let rules = [
                (delivery.signer == rating.provider, "the delivery is not the provider's"),
                (
                    delivery.body.requester == signed.signer || planted.is(Bug::RatesForAnother),
                    "the delivery is for another requester",
                ),
                (delivery.body.task == rating.task, "the delivery is for another task"),
                (delivery.body.acceptance == acceptance.cid, "the delivery belongs to another acceptance"),
                (delivery.body.outcome == rating.outcome, "the delivery had another outcome"),
                (matches!(rating.outcome, Outcome::Completed | Outcome::Failed), "such an outcome makes no receipt"),
            ];
            if let Some((_, why)) = rules.into_iter().find(|(holds, _)| !holds) {
                return Err(ReceiptError::Contradiction(why));
            }
        }
    }
    Ok(signed)
}
