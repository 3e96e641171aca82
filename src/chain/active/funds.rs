//! What a charge draws on, as contracts tell.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256, address};

use crate::domain::{Permitted, Wallet};

/// Where Permit2 is on every chain of the protocol; it is older than the protocol (PROTOCOL.md).
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");

/// What a charge draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FundsOf {
    /// Who pays.
    pub wallet: Wallet,
    /// In which token.
    pub token: Address,
    /// The processor that moves it.
    pub processor: Address,
}

/// What one wallet has for the charges of one processor in one token; `None` where a contract did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Funds {
    /// The balance, in the token's smallest unit.
    pub balance: Option<U256>,
    /// The token's approval to Permit2, in its smallest unit.
    pub approved: Option<U256>,
    /// What Permit2 lets the processor move.
    pub permitted: Option<Permitted>,
}

/// What [`Views::renewal_facts`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewalFacts {
    /// For each that was asked about.
    pub funds: BTreeMap<FundsOf, Funds>,
    /// Whether a processor's registry has a token switched on; missing where it did not say.
    pub enabled: BTreeMap<(Address, Address), bool>,
}
