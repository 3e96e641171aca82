//! `/verify`: a member proves a wallet, and everything that is not that is refused with its own words.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract_wallets;
mod health;
mod link_table;
mod links;
mod messages;
mod posts;
mod secrets;
mod sign_in;
pub(crate) mod site;
mod visitor;
