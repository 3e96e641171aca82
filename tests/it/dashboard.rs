//! The merchant's pages.

mod browser;
mod connect;
mod flood;
mod forms;
mod invites;
mod rules;
mod states;
