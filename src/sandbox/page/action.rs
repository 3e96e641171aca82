//! What the page's buttons ask of the chain; it is forwarded to whoever runs it.
use alloy::primitives::{Address, B256, U256};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::domain::UserId;

/// Something that happens on the chain or to a member's wallet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The member links a wallet.
    LinkWallet {
        /// Who.
        user_id: UserId,
    },
    /// The member unlinks their wallet.
    UnlinkWallet {
        /// Who.
        user_id: UserId,
    },
    /// The member subscribes to the plan.
    Subscribe {
        /// Who.
        user_id: UserId,
    },
    /// The member subscribes to a plan at the checkout, and the first payment is made.
    Checkout {
        /// Who.
        user_id: UserId,
        /// The merchant's module.
        module: Address,
        /// The plan.
        plan_id: U256,
    },
    /// The keeper executes the member's due payment, and it succeeds. Refused when nothing is due.
    Pay {
        /// Who.
        user_id: UserId,
    },
    /// The keeper executes the member's due payment, and it fails. Refused when nothing is due.
    FailPayment {
        /// Who.
        user_id: UserId,
    },
    /// The member pauses the subscription.
    Pause {
        /// Who.
        user_id: UserId,
    },
    /// The member resumes it.
    Resume {
        /// Who.
        user_id: UserId,
    },
    /// The member cancels it.
    Cancel {
        /// Who.
        user_id: UserId,
    },
    /// The chain's clock moves on until the member's next payment is due.
    PassUntilDue {
        /// Who.
        user_id: UserId,
    },
    /// The chain's clock moves on until the member's paid time and grace are over.
    PassUntilLapsed {
        /// Who.
        user_id: UserId,
    },
    /// The chain's clock moves on.
    PassTime {
        /// By how much.
        seconds: u64,
    },
    /// The newest blocks are replaced by others without their transactions.
    Reorganise {
        /// How many blocks.
        depth: u64,
    },
}

impl Action {
    /// Whose action it is; the chain's own have nobody.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::LinkWallet { user_id }
            | Self::UnlinkWallet { user_id }
            | Self::Subscribe { user_id }
            | Self::Checkout { user_id, .. }
            | Self::Pay { user_id }
            | Self::FailPayment { user_id }
            | Self::Pause { user_id }
            | Self::Resume { user_id }
            | Self::Cancel { user_id }
            | Self::PassUntilDue { user_id }
            | Self::PassUntilLapsed { user_id } => Some(*user_id),
            Self::PassTime { .. } | Self::Reorganise { .. } => None,
        }
    }
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// One sentence for a person.
    pub text: String,
    /// The subscription that was paid at the checkout, and the payment's transaction.
    pub payment: Option<(U256, B256)>,
}

impl From<String> for Done {
    fn from(text: String) -> Self {
        Self {
            text,
            payment: None,
        }
    }
}

/// An action that waits for its answer: of success, or a sentence of failure.
#[derive(Debug)]
pub struct ActionRequest {
    /// What to do.
    pub action: Action,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Done, String>>,
}
