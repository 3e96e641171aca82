//! The nodes: one connection with its calls, timeouts and limits, and the pool of `rpc_urls` that chooses between them.

pub(crate) mod connection;
pub mod error;
pub(crate) mod heads;
pub(crate) mod pool;
pub(crate) mod read;
pub(crate) mod reconnect;
pub mod stream;
pub(crate) mod transport;

pub(crate) use self::connection::Node;
pub use self::error::RpcError;
pub(crate) use self::pool::{Chosen, Pool};
