//! What came of checking a signature against a wallet.

/// The answer to "did this wallet sign this text?". Only [`Self::Valid`] lets a link through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureVerdict {
    /// The wallet signed: by its key (EIP-191), or by its contract's own word (ERC-1271, ERC-6492).
    Valid,
    /// A well-formed signature of another key, and no contract stands at the wallet's address.
    OtherKey,
    /// Not a signature that a key makes, and no contract stands at the wallet's address.
    Malformed,
    /// The wallet's contract said no, answered nonsense, reverted, or used up its gas.
    RefusedByContract,
    /// The chain could not be asked; nothing is known and the check can be repeated.
    Unavailable,
}
