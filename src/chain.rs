//! Follows the chain.

pub mod decode;
pub mod filter;
pub mod logs;
pub mod rpc;

mod block;
mod head;
mod read;
mod reconnect;
mod watch;
mod window;
