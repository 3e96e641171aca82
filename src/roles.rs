//! Keeps Discord roles in step with subscriptions.

pub mod brake;
