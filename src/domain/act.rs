//! What managers do on the dashboard, as the server's journal keeps it.

use serde::{Deserialize, Serialize};

use super::{
    Drift, Gate, GateId, GuildId, JournalEntry, RoleId, ServerSettings, Timestamp, UserId,
};

/// One act in a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActEntry {
    /// When (machine clock).
    pub at: Timestamp,
    /// The server.
    pub guild: GuildId,
    /// The manager; `None`: the operator, in config.toml. A manager who asked to be forgotten is the user 0.
    pub by: Option<UserId>,
    /// What was done.
    pub act: Act,
}

/// What a manager can do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    /// The server was connected.
    Connected,
    /// It was disconnected; its dashboard gates are gone.
    Disconnected {
        /// Whether the roles that were given went too.
        remove_roles: bool,
    },
    /// A gate was made (no `before`), changed, or deleted (no `after`).
    Gate {
        /// The gate until then.
        before: Option<Gate>,
        /// The gate from then on.
        after: Option<Gate>,
        /// Whether this took the act before back.
        is_undo: bool,
    },
    /// The server's settings were changed.
    Settings {
        /// What was set until then.
        before: ServerSettings,
        /// What is set from then on.
        after: ServerSettings,
    },
    /// A role was made for a gate.
    RoleMade {
        /// The role.
        role: RoleId,
        /// Its name then.
        name: String,
    },
    /// The stopped removals of a role were let through, once.
    Approved {
        /// The role.
        role: RoleId,
        /// How many members lost the role by it.
        removals: u64,
    },
    /// The roles of a gate were given to the manager and taken again, as a test.
    Tested {
        /// The gate.
        gate: GateId,
    },
    /// Nobody's act: a contract or a second node contradicted the followed events of a module that the server's gates ask about.
    Drift(Drift),
    /// Nobody's act: the chain cannot be followed, and answers of amser's API may give roles.
    FallbackBegan,
    /// Nobody's act: the chain is followed again.
    FallbackEnded,
    /// A role was given to a member for a time, also where they held it already.
    Granted {
        /// The member; the user 0 once that one asked to be forgotten.
        user: UserId,
        /// The role.
        role: RoleId,
        /// Until when (machine clock).
        until: Timestamp,
    },
    /// The time of such a role was ended early.
    GrantEnded {
        /// The member; the user 0 once that one asked to be forgotten.
        user: UserId,
        /// The role.
        role: RoleId,
    },
    /// A personal invite was made for a subscriber who is not in the server.
    Invited {
        /// The subscriber; the user 0 once that one asked to be forgotten.
        user: UserId,
    },
}

impl Act {
    /// Whether somebody did it.
    pub fn is_somebodys(&self) -> bool {
        !matches!(
            self,
            Self::Drift(_) | Self::FallbackBegan | Self::FallbackEnded
        )
    }
}

/// What a row of a server's journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A role was given or taken, or Discord refused that.
    Role(JournalEntry),
    /// A manager, or the operator's configuration, changed something.
    Act(ActEntry),
}
