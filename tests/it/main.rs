//! The one integration test binary; one file per story.

mod abi_drift;
mod contracts;
mod crash;
mod discord_apply;
mod faults;
mod follow;
mod local_chain;
mod local_discord;
mod modules;
mod promise;
mod reorg;
mod support;
