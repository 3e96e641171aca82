//! Everything an operator would need accounts for, on this machine: the local Discord and its page.
pub mod discord;
pub mod page;
