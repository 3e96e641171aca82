//! What the page's buttons ask of the chain; it is forwarded to whoever runs it.
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
    /// The keeper executes the member's due payment, and it succeeds.
    Pay {
        /// Who.
        user_id: UserId,
    },
    /// The keeper executes the member's payment when it is due, and it fails.
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

/// An action that waits for its answer: a sentence for a person, of success or of failure.
#[derive(Debug)]
pub struct ActionRequest {
    /// What to do.
    pub action: Action,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<String, String>>,
}
