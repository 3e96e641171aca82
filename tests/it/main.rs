//! The one integration test binary; one file per story.

mod abi_drift;
mod backfill;
mod chaos;
mod contracts;
mod discord_apply;
mod faults;
mod follow;
mod latency;
mod local_chain;
mod local_discord;
mod modules;
mod reorg;
mod support;
