//! The one integration test binary; one file per story.

mod abi_drift;
mod contracts;
mod local_chain;
mod local_discord;
mod verify;
