//! What came of checking a signature against a wallet.

/// The answer to "did this wallet sign this text?". Only [`Self::Valid`] lets a link through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureVerdict {
    /// The wallet signed: by its key (EIP-191), or by its contract's own word (ERC-1271, ERC-6492).
    Valid,
    /// A well-formed signature of another key, and no contract of its own stands at the wallet's address: none at all, or
    /// one that the account's key has delegated to (EIP-7702).
    OtherKey,
    /// Not a signature that a key makes, nor one that a contract could read, and no contract stands at the wallet's address.
    Malformed,
    /// A signature for a contract, and none stands at the wallet's address, also not after what the signature brings along
    /// to deploy it.
    NotDeployed,
    /// The wallet's contract said no, answered nonsense, or reverted.
    RefusedByContract,
    /// The wallet's contract used up the gas of a check.
    OutOfGas,
    /// The wallet is a contract, and the chain's EVM does not run the check.
    CannotCheck,
    /// The chain could not be asked; nothing is known and the check can be repeated.
    Unavailable,
}
