//! `/verify`: a member proves a wallet, and everything that is not that is refused with its own words.

mod assets;
mod away;
mod connect;
pub(crate) mod contract_wallets;
mod crowd;
mod failover;
mod forgetting;
mod handover;
mod health;
mod limits;
mod link_table;
mod links;
mod longer;
mod messages;
mod moved;
mod odd_wallets;
mod pictures;
mod posts;
mod secrets;
mod sessions;
mod sign_in;
pub(crate) mod site;
mod slow;
pub(crate) mod visitor;
mod world;
