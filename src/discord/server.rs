//! PURE. One server: its role hierarchy, what keeps roles from being changed, and the queue of changes.

pub mod hierarchy;
mod queue;
mod trouble;

pub(crate) use queue::{End, Queue};
pub(crate) use trouble::scope;

#[cfg(test)]
mod tests;
