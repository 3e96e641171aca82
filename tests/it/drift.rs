//! Second sources: amser's API and the contracts' own view, compared with the followed events.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activity;
mod api;
mod history;
mod poll;
