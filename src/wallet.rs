//! Does this wallet sign this text: EIP-191 for keys, ERC-1271 for contracts, ERC-6492 for contracts not deployed yet.

pub mod signature;
mod signatures;

pub use self::signatures::{RETURN_AFTER, Signatures};
