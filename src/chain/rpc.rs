//! The node's side: errors and downloads.

pub mod error;
pub mod http_logs;

pub use error::RpcError;
