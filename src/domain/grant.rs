//! Roles that a manager gives to a member for a time, whatever the member pays.

use serde::{Deserialize, Serialize};

use super::{GuildId, RoleId, Timestamp, UserId};

/// A role that a member has until a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Where.
    pub guild: GuildId,
    /// To whom.
    pub user: UserId,
    /// Which role.
    pub role: RoleId,
    /// By whom, how long and why.
    pub terms: GrantTerms,
}

/// By whom a role was given, how long and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantTerms {
    /// The manager; the user 0 once that one asked to be forgotten.
    pub by: UserId,
    /// Since when (machine clock).
    pub at: Timestamp,
    /// Until when (machine clock). At this second it is over.
    pub until: Timestamp,
    /// In the manager's words.
    pub reason: String,
}
