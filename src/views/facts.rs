//! What contracts tell of tokens and of what charges draw on.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};

use crate::domain::{Permitted, Wallet};

/// Characters of a token's symbol that are shown.
const LONGEST_SYMBOL: usize = 16;

/// How amounts of a token are written; `None` where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its decimals.
    pub decimals: Option<u8>,
    /// Its symbol.
    pub symbol: Option<String>,
}

/// Whether a token's symbol can be shown: anyone can deploy a token that calls itself anything.
pub(crate) fn is_symbol(symbol: &str) -> bool {
    let is_shown = |letter: char| letter.is_ascii_graphic() || letter == '₮';
    !symbol.is_empty() && symbol.chars().count() <= LONGEST_SYMBOL && symbol.chars().all(is_shown)
}

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

/// What [`super::Views::renewal_facts`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewalFacts {
    /// For each that was asked about.
    pub funds: BTreeMap<FundsOf, Funds>,
    /// Whether a processor's registry has a token switched on; missing where it did not say.
    pub enabled: BTreeMap<(Address, Address), bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_that_could_mislead_is_not_shown() {
        for shown in ["USDC", "USD₮0", "stETH"] {
            assert!(is_symbol(shown), "{shown}");
        }
        for hidden in [
            "",
            "US DC",
            "USDC\u{202e}",
            "ＵＳＤＣ",
            "A".repeat(17).as_str(),
        ] {
            assert!(!is_symbol(hidden), "{hidden}");
        }
    }
}
