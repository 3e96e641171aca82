//! Plans and subscriptions, as folded from their events.

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::{FailureReason, PlanId, Position, Timestamp, Wallet};

/// A plan's terms. They never change after creation; only `active` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// ERC-20 in which it is paid.
    pub token: Address,
    /// Price per interval, in the token's smallest unit.
    pub price: U256,
    /// Seconds between payments.
    pub interval: u64,
    /// Seconds of access after a missed payment.
    pub grace_period: u64,
    /// Whether it can be subscribed to; says nothing about existing subscriptions.
    pub active: bool,
}

/// The event that put a subscription into its present state: the receipt of a role change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// Where it happened.
    pub position: Position,
    /// In which transaction.
    pub transaction: B256,
}

/// A subscription's state: the fold of its own events (`projection::fold`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Subscription {
    /// Who subscribed to which plan; `None` when it was created before the first block read.
    pub subscriber: Option<(Wallet, PlanId)>,
    /// Canonical time of the last executed window; `None` until the first payment (PENDING).
    pub last_paid_at: Option<Timestamp>,
    /// The event of the last payment.
    pub paid: Option<Mark>,
    /// The failed payment that no payment has followed yet.
    pub failed: Option<(Mark, FailureReason)>,
    /// The pause that nothing has lifted yet.
    pub paused: Option<Mark>,
    /// The event that lifted the last pause, if no payment came after it.
    pub resumed: Option<Mark>,
    /// The cancellation; final.
    pub cancelled: Option<Mark>,
    /// The update that set the expiry to a time not after its own block, until a later update sets one in the future.
    pub ended: Option<Mark>,
}

impl Subscription {
    /// The event that cancelled it, if one did and none took that back.
    pub fn cancellation(&self) -> Option<Mark> {
        self.cancelled.or(self.ended)
    }
}

/// What subscriptions and plans mean whose beginning was not read, so many of them, and what to do about it.
pub fn unread_beginnings(count: u64) -> (String, &'static str) {
    let sentence = match count {
        1 => "a subscription or plan is older than what was read of its module, so who pays for it gets no role".to_owned(),
        count => format!("{count} subscriptions or plans are older than what was read of their modules, so who pays for them gets no role"),
    };
    let what_to_do = "name an archive node, one that keeps old receipts, in chain.rpc_urls, or set chain.start_block to a block before the module's first event";
    (sentence, what_to_do)
}
