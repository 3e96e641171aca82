//! Everything on this machine, no account needed: the local chain, the local Discord and what plays on them.

pub mod chain;
pub mod discord;
pub mod log_node;
pub mod page;
