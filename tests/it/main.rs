//! The one integration test binary; one file per story.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, in its helper functions as well"
)]

mod abi_drift;
mod api;
mod audit;
mod backfill;
mod browser;
mod chaos;
mod command_line;
mod commands;
mod contracts;
mod crash;
mod dashboard;
mod discord_apply;
mod docs;
mod doctor;
mod drift;
mod evidence;
mod faults;
mod follow;
mod forecast;
mod gates;
mod init;
mod install;
mod load;
mod local_chain;
mod local_discord;
mod modules;
mod notices;
mod operate;
mod other_nodes;
mod promise;
mod reorg;
mod rights;
mod sandbox;
mod support;
mod two_sources;
mod verify;
mod watching;
mod year;
