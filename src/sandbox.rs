//! Everything on this machine, no account needed: the local chain and what plays on it.

pub mod chain;
pub mod log_node;
