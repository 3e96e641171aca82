//! The merchant's pages.

mod browser;
mod flood;
mod forms;
mod rules;
mod states;
