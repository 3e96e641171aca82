//! What a merchant's deployment may define differently, as far as the fold of events depends on it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FAILURE_REASONS, FailureReason};

/// What the fold of a subscription's events depends on besides the events and the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Codes of `ExecutionFailed` that count as a failed payment.
    pub failure_reasons: BTreeSet<u8>,
}

impl Default for Rules {
    /// [`FAILURE_REASONS`] count.
    fn default() -> Self {
        Self {
            failure_reasons: FAILURE_REASONS.into(),
        }
    }
}

impl Rules {
    /// Whether a failure with this reason counts as a failed payment, if a payment was due.
    pub fn counts(&self, reason: FailureReason) -> bool {
        self.failure_reasons.contains(&reason.0)
    }
}
