//! What is remembered of the roles that this program gave, or decided to give or to take.

use serde::{Deserialize, Serialize};

use super::{Cause, GuildId, MemberRole, RoleAction, RoleChange, RoleId, UserId};

/// What the program did to a role, kept so that only its own grants are ever removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Applied {
    /// Where.
    pub guild: GuildId,
    /// To whom.
    pub user: UserId,
    /// Which role.
    pub role: RoleId,
    /// How far it came.
    pub state: AppliedState,
    /// Why the newest decision was made: the role's receipt.
    pub cause: Cause,
    /// The newest confirmed block at that decision.
    pub block: u64,
}

impl Applied {
    /// Whose role it is.
    pub fn member_role(&self) -> MemberRole {
        (self.guild, self.user, self.role)
    }

    /// What Discord is still to do, if anything.
    pub fn outstanding_change(self) -> Option<RoleChange> {
        Some(RoleChange {
            action: self.state.outstanding()?,
            guild: self.guild,
            user: self.user,
            role: self.role,
            cause: self.cause,
        })
    }
}

/// How far a change came. The intent is durable before the request leaves, so that a crash in between never leaves a
/// role that nobody feels responsible for, nor a change that the journal does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AppliedState {
    /// A grant was decided; Discord may or may not have done it.
    Granting,
    /// Discord acknowledged the grant.
    Granted,
    /// A revoke was decided; Discord may or may not have done it.
    Revoking,
    /// The same for a role that was given by hand: this program never gave it.
    Claiming,
}

impl AppliedState {
    /// The state of a role from the moment a change was decided.
    pub fn intended(change: &RoleChange) -> Self {
        match (change.action, &change.cause) {
            (RoleAction::Grant, _) => Self::Granting,
            (RoleAction::Revoke, Cause::ManualRole) => Self::Claiming,
            (RoleAction::Revoke, _) => Self::Revoking,
        }
    }

    /// What Discord is still to do, if anything.
    pub fn outstanding(self) -> Option<RoleAction> {
        match self {
            Self::Granting => Some(RoleAction::Grant),
            Self::Granted => None,
            Self::Revoking | Self::Claiming => Some(RoleAction::Revoke),
        }
    }

    /// The state once a change is acknowledged, from any state before it: an intent that is newer than the change stays.
    /// `None`: nothing is remembered of the role.
    pub fn acknowledged(before: Option<Self>, action: RoleAction) -> Option<Self> {
        match (action, before) {
            (RoleAction::Grant, None | Some(Self::Granting)) => Some(Self::Granted),
            (RoleAction::Grant, newer) => newer,
            (RoleAction::Revoke, Some(Self::Granting)) => Some(Self::Granting),
            (RoleAction::Revoke, _) => None,
        }
    }

    /// What is remembered of a role of one who is not in the server: what was given may come back with the member, unless
    /// they asked to be forgotten.
    pub fn after_leaving(self, is_forgotten: bool) -> Option<Self> {
        match self {
            Self::Granting | Self::Claiming => None,
            Self::Granted | Self::Revoking => (!is_forgotten).then_some(Self::Granted),
        }
    }
}
