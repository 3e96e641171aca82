//! What a second source says of access, amser's API beside the followed events, and how the two compare.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ActiveQuestion, Timestamp};

/// What amser's API says of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAnswer {
    /// It has access.
    Active,
    /// It has none.
    Inactive,
    /// No answer that could be read: a quota, 4xx, 5xx, another shape, a redirect, silence. One sentence says why. It changes
    /// nothing.
    Unknown(String),
}

/// The newest answer of amser's API that was not [`ApiAnswer::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checked {
    /// When (machine clock).
    pub at: Timestamp,
    /// Whether the API said that there is access.
    pub api_active: bool,
    /// Whether there was access at that time by the followed events, under the policy of servers that set none.
    pub chain_active: bool,
}

/// What is kept of the checks of one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckRow {
    /// The newest answer of the API.
    pub api: Option<Checked>,
    /// When a contract answered last (machine clock).
    pub contract_at: Option<Timestamp>,
}

impl CheckRow {
    /// When either source answered last.
    pub fn newest(&self) -> Option<Timestamp> {
        self.api.map(|checked| checked.at).max(self.contract_at)
    }
}

/// Which source decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftMode {
    /// The followed events.
    #[default]
    Chain,
    /// The chain cannot be followed; answers of the API may grant.
    Fallback {
        /// Since when (machine clock).
        since: Timestamp,
    },
}

impl DriftMode {
    /// As `/api/status` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Fallback { .. } => "fallback",
        }
    }
}

/// The checks of one source since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// Answers that said active or inactive.
    pub checks: u64,
    /// Answers that said neither, and requests without one.
    pub unknown: u64,
    /// When the question was answered whose newest answer is the oldest (machine clock); `None` while a question never was.
    pub oldest: Option<Timestamp>,
}

/// What is known of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftStatus {
    /// Which source decides.
    pub mode: DriftMode,
    /// The question whose newest check, by either source, is the oldest: when that was (machine clock). `None` while there is
    /// no question, or one was never checked.
    pub oldest_check: Option<Timestamp>,
    /// How often the API contradicted the chain, since the start. Contracts that contradicted the followed events are counted in
    /// [`super::ChainStatus::disagreements`].
    pub disagreements: u64,
    /// Why the API is not asked, or does not answer, at the moment; one sentence.
    pub api_trouble: Option<String>,
    /// How many (wallet, plan) pairs are checked.
    pub questions: u64,
    /// amser's API.
    pub api: SourceStatus,
    /// The contracts' own `isActive`.
    pub contracts: SourceStatus,
}

/// What the followed events say of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Known {
    /// The end of the paid window and its grace; `None` where nothing was ever paid.
    pub paid_until: Option<Timestamp>,
    /// Something happened that may or may not end access by another source's rules: a failed payment, a pause, a cancellation,
    /// a block.
    pub is_ambiguous: bool,
    /// Whether there is access now under the policy of servers that set none.
    pub is_open: bool,
}

/// What the followed events say of the questions that members' roles depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The chain's clock.
    pub now: Timestamp,
    /// Whether everything up to the newest confirmed block is known. Else the events may be old, and contradict nothing.
    pub at_tip: bool,
    /// By question.
    pub known: BTreeMap<ActiveQuestion, Known>,
}

/// A difference between the followed events and the contracts, as the journal of a server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drift {
    /// Events that were missing and are stored now; 0: no node told of any.
    pub events: u64,
    /// How many (wallet, plan) pairs a contract contradicted; 0: the difference showed between two nodes.
    pub wallets: u64,
    /// The host of the node that had left events out, or of the one in use.
    pub rpc: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            wallets,
            rpc,
        } = self;
        let (events_noun, wallets_noun) = (
            if *events == 1 { "event" } else { "events" },
            if *wallets == 1 {
                "one subscription"
            } else {
                "subscriptions"
            },
        );
        match (events, wallets) {
            (0, 1) => write!(
                f,
                "The contract contradicts the events of one subscription, and no node tells of more: check rpc_urls ({rpc})."
            ),
            (0, _) => write!(
                f,
                "The contract contradicts the events of {wallets} {wallets_noun}, and no node tells of more: check rpc_urls ({rpc})."
            ),
            _ => write!(
                f,
                "The node {rpc} had left out {events} {events_noun}; they were read again and roles follow them now."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_says_what_was_missing_and_which_node_had_left_it_out() {
        let drift = |events, wallets| Drift {
            events,
            wallets,
            rpc: "node.example".to_owned(),
        };
        assert_eq!(
            drift(1, 1).to_string(),
            "The node node.example had left out 1 event; they were read again and roles follow them now."
        );
        assert!(drift(0, 2).to_string().contains("2 subscriptions"));
        assert!(drift(0, 1).to_string().contains("one subscription"));
    }
}
