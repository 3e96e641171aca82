//! Plans as a merchant chooses them: from the chain, named by amser's API where it answers.

use alloy::primitives::{Address, U256};

use super::{Merchants, Refusal};
use crate::domain::{ModuleAddress, PlanId};

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

impl Merchants {
    /// The plans of these modules, by module and id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plans(&self, modules: &[ModuleAddress]) -> Result<Vec<PlanRow>, Refusal> {
        let _ = (modules, &self.inputs().api);
        Err(super::unbuilt())
    }
}
