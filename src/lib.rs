//! Keeps Discord roles in step with on-chain amser subscriptions.
//!
//! ```text
//! RPC → chain (decode) → store: blocks + events + cursor in ONE transaction → wake
//!     → projection (fold per subscription) → roles (desired − observed, durable intents) → discord (apply) → journal
//!                ↑ links (wallet ↔ member) from web, isActive from views, answers of amser's API from poller
//! ```
//!
//! What people are told (`notices`) is made from the journal and from what the parts say of themselves.
//!
//! Data goes one way. `chain`, `discord`, `poller` and `web` do not import one another: they meet in `domain`, `store`, `roles` and `app`.

pub mod abi;
pub mod amser_api;
pub mod app;
mod cache;
pub mod chain;
pub mod cli;
mod clock;
pub mod commands;
pub mod config;
pub mod discord;
pub mod doctor;
pub mod domain;
pub mod forecast;
mod http;
pub mod init;
mod limiter;
mod loopback;
pub mod merchants;
pub mod notices;
pub mod payments;
pub mod poller;
pub mod projection;
pub mod roles;
pub mod sandbox;
pub mod store;
pub mod terminal;
pub mod text;
mod unreachable;
pub mod views;
pub mod wallet;
mod watching;
pub mod web;

/// For all threads of the program, the tests and the benchmark: a backfill's large buffers are made by one thread and
/// freed by another, which leaves glibc's heaps full of holes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
