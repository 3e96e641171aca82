//! The one integration test binary; one file per story.

mod abi_drift;
mod contracts;
mod faults;
mod follow;
mod modules;
mod reorg;
mod support;
