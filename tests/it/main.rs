//! The one integration test binary; one file per story.

mod abi_drift;
mod backfill;
mod commands;
mod contracts;
mod discord_apply;
mod faults;
mod follow;
mod local_chain;
mod local_discord;
mod modules;
mod reorg;
mod support;
