//! Keeps Discord roles in step with on-chain amser subscriptions.
//!
//! ```text
//! RPC → chain (decode) → store: blocks + events + cursor in ONE transaction → wake
//!     → projection (fold per subscription) → planner (desired − observed) → discord (apply) → store (journal)
//!                                              ↑ links (wallet ↔ member) from web   ↑ drift answers from the API
//! ```
//!
//! Data goes one way. `chain`, `discord` and `web` do not import one another: they meet in `domain`, `store` and `app`.

pub mod abi;
pub mod chain;
pub mod domain;
pub mod projection;
pub mod sandbox;
pub mod store;
pub mod web;
