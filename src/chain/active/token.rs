//! How amounts of a token are written.

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
