//! Plans as people choose them.

use alloy::primitives::{Address, U256};

use super::{ModuleAddress, PlanId};

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// Its module.
    pub module: ModuleAddress,
    /// Its id there.
    pub plan: PlanId,
    /// Its name at amser, else "Plan 1".
    pub name: String,
    /// Price per interval, in the token's smallest unit.
    pub price: U256,
    /// ERC-20 in which it is paid.
    pub token: Address,
    /// The token's decimals, where known.
    pub decimals: Option<u8>,
    /// The token's symbol, where known.
    pub symbol: Option<String>,
    /// Seconds between payments.
    pub interval: u64,
    /// Whether it can be subscribed to.
    pub active: bool,
}
