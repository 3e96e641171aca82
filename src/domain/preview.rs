//! What a gate would change, by the real planner, before it is made.

use super::{RoleId, UserId};

/// What would change if a server's gates were these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Who would get a role.
    pub grants: Vec<Named>,
    /// Who would lose one.
    pub revokes: Vec<Named>,
    /// Everyone who holds a role of the gate already.
    pub held_already: u64,
    /// The same people, by what they pay.
    pub holders: Holders,
    /// Why not every holder could be counted, in one sentence.
    pub uncounted: Option<String>,
}

/// A role change of one member, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Nickname, else display name; the id where it is not known.
    pub name: String,
    /// Who.
    pub user: UserId,
    /// Which role.
    pub role: RoleId,
}

/// People who hold a role already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// Entitled by the gate.
    pub paying: u64,
    /// Linked a wallet, and not entitled.
    pub lapsed: u64,
    /// Linked no wallet.
    pub not_linked: u64,
}
