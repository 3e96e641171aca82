//! A Discord on this machine: REST v10, the gateway and OAuth with real state, rules, limits and error codes, for the
//! sandbox and for tests that drive the real serenity client.
pub(crate) mod board;
mod call;
mod command;
mod control;
mod envelope;
mod error;
mod fault;
mod gateway;
pub(crate) mod guild;
mod handle;
mod happenings;
mod interaction;
mod invoke;
mod limits;
mod log;
mod mentions;
mod message;
pub(crate) mod oauth;
mod options;
mod rest;
mod route;
mod server;
pub(crate) mod shape;
pub(crate) mod shared;
mod socket;
mod upload;
pub(crate) mod world;

pub use self::board::Happening;
pub use self::control::NewRole;
pub use self::fault::{Fault, Times};
pub use self::handle::LocalDiscord;
pub use self::interaction::{Button, NoReply, Reply, SeenMessage};
pub use self::limits::{Allowance, Bucket, RateLimits};
pub use self::log::{RequestRecord, Rule, Violation};
pub use self::options::Options;
pub use self::route::Route;
