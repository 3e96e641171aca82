//! PURE. One server: its role hierarchy, what keeps roles from being changed, and the queue of changes.

pub mod hierarchy;
mod queue;
mod trouble;

pub(crate) use queue::{End, Next, Queue};
pub(crate) use trouble::{Origin, scope};

#[cfg(test)]
mod tests;
