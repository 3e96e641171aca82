//! The one integration test binary; one file per story.

mod abi_drift;
mod backfill;
mod chaos;
mod contracts;
mod crash;
mod discord_apply;
mod faults;
mod follow;
mod latency;
mod load;
mod local_chain;
mod local_discord;
mod modules;
mod promise;
mod reorg;
mod support;
