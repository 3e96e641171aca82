//! Numbers for the status page.

use serde::Serialize;

/// `counts` of `GET /api/status`, and what is outstanding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Subscriptions ever created on the followed modules.
    pub subscriptions: u64,
    /// Those that give access now.
    pub active: u64,
    /// Linked wallets.
    pub links: u64,
    /// Gates.
    pub gates: u64,
    /// Removals that the brake on mass removal holds back, until somebody looks.
    pub held_back: u64,
}
