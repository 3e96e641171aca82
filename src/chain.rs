//! Follows the chain, and asks it about signatures.

pub mod signature;
