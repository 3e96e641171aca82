//! Does this wallet sign this text: EIP-191 for keys, ERC-1271 for contracts, ERC-6492 for contracts not deployed yet.
//!
//! `envelope` reads the bytes, `signature` asks one node, `signatures` chooses the nodes, `candidate` is one of them.

mod candidate;
mod envelope;
pub mod signature;
mod signatures;

pub use self::signatures::{Signatures, Timing};
