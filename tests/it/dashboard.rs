//! The merchant's pages.

mod forms;
