//! The one integration test binary; one file per story.

mod abi_drift;
mod backfill;
mod contracts;
