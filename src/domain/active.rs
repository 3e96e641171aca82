//! What a module's own view `isActive` is asked before something is concluded from absence, and what it answers.

use super::{ModuleAddress, PlanId, Wallet};

/// Whether this wallet has access by this plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActiveQuestion {
    /// The merchant's module, whose view is called.
    pub module: ModuleAddress,
    /// The subscriber.
    pub wallet: Wallet,
    /// The plan.
    pub plan: PlanId,
}

/// What is known about it at the block that was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActiveAnswer {
    /// It has access.
    Active,
    /// It has none.
    Inactive,
    /// The contract has no such view.
    NoView,
    /// The node could not say; one sentence.
    Unknown(String),
}
