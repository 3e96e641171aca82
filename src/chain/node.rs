//! The nodes: one connection with its calls, timeouts and limits, and the pool of `rpc_urls` that chooses between them.

mod address;
mod answer;
pub(crate) mod connection;
mod endpoint;
pub mod error;
mod header;
pub(crate) mod heads;
mod many;
pub(crate) mod pool;
mod quiet;
mod range_limit;
mod rate;
pub(crate) mod read;
pub(crate) mod reconnect;
mod stream;
mod transport;
mod websocket;

pub(super) use self::connection::CALL_TIMEOUT;
pub use self::connection::Node;
pub(crate) use self::endpoint::Endpoint;
pub use self::error::RpcError;
pub use self::header::Header;
pub(crate) use self::many::{Answers, many};
pub(crate) use self::pool::{Chosen, Pool};
pub(super) use self::range_limit::WIDEST;
pub use self::stream::LogsAnswer;

#[cfg(test)]
pub(crate) mod tests;
