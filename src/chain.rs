//! Follows the chain.

pub mod decode;
pub mod filter;
pub mod logs;
pub mod processors;
pub mod range;
pub mod rpc;
