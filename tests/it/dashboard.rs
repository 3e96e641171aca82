//! The merchant's pages.

mod browser;
mod forms;
