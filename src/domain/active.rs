//! What a module's own view `isActive` is asked before something is concluded from absence, and what it answers.

use super::{ModuleAddress, PlanId, Timestamp, Wallet};

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

impl ActiveQuestion {
    /// Whether these wallets have access by a plan of a module, each.
    pub fn about(
        module: ModuleAddress,
        plan: PlanId,
        wallets: &[Wallet],
    ) -> impl Iterator<Item = Self> {
        wallets.iter().map(move |wallet| Self {
            module,
            wallet: *wallet,
            plan,
        })
    }
}

/// What the sources beside the followed events say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcesSay {
    /// The block at which the contract was asked; 0 where none was confirmed yet.
    pub block: u64,
    /// What the contract's own view says there.
    pub contract: ActiveAnswer,
    /// What amser's API said last, and when by the machine's clock; `None`: it was not asked, or did not say.
    pub api: Option<(bool, Timestamp)>,
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
