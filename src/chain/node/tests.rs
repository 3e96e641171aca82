//! Providers as they are: each answer of a scripted node, over HTTP and over a websocket.

mod calls;
pub(crate) mod fake;
mod headers;
mod logs;
mod transport;
mod websocket;
