//! The members of a server as its managers see them: subscribers of its plans, and who holds roles of ours.

use std::str::FromStr;

use alloy::primitives::TxHash;

use super::{Cause, RoleId, UserId};

/// Where a member stands, or what keeps them from having their role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// Paid, and holds every role.
    Active,
    /// The paid time is over and its grace is not.
    Grace,
    /// A payment failed.
    Failed,
    /// The subscriber paused.
    Paused,
    /// Cancelled, or blocked by the merchant.
    Cancelled,
    /// The paid time and its grace are over.
    Lapsed,
    /// Linked a wallet, and never paid for one of the server's plans.
    Unpaid,
    /// Paid, and the wallet is linked to no Discord account.
    NotLinked,
    /// Paid and linked, and not in the server.
    NotInServer,
    /// Paid, and the bot may not give a role: it stands too high, or the bot lacks a permission.
    RoleTooLow,
    /// Paid, and a role of the gate was deleted.
    RoleGone,
    /// Paid, and the role is on its way: queued, or the member was not read yet, or has not accepted the server's rules.
    Waiting,
}

impl MemberState {
    /// Each of them.
    pub const ALL: [Self; 12] = [
        Self::Active,
        Self::Grace,
        Self::Failed,
        Self::Paused,
        Self::Cancelled,
        Self::Lapsed,
        Self::Unpaid,
        Self::NotLinked,
        Self::NotInServer,
        Self::RoleTooLow,
        Self::RoleGone,
        Self::Waiting,
    ];

    /// As the JSON writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Grace => "grace",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Lapsed => "lapsed",
            Self::Unpaid => "unpaid",
            Self::NotLinked => "not_linked",
            Self::NotInServer => "not_in_server",
            Self::RoleTooLow => "role_too_low",
            Self::RoleGone => "role_gone",
            Self::Waiting => "waiting",
        }
    }
}

/// There is no such state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such member state")]
pub struct NoSuchState;

impl FromStr for MemberState {
    type Err = NoSuchState;

    fn from_str(name: &str) -> Result<Self, NoSuchState> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.name() == name).ok_or(NoSuchState)
    }
}

/// One row of a server's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who; `None`: a subscriber whose wallet is linked to no Discord account.
    pub user: Option<UserId>,
    /// Nickname, else display name; `None` where it is not known.
    pub name: Option<String>,
    /// Where they stand.
    pub state: MemberState,
    /// The roles of the server's gates that they hold.
    pub roles: Vec<RoleId>,
    /// Why they have or do not have access; `None` when nothing was ever paid.
    pub cause: Option<Cause>,
    /// The transaction of the event behind the cause.
    pub transaction: Option<TxHash>,
}

/// A page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberPage {
    /// In a stable order, at most 100.
    pub members: Vec<MemberRow>,
    /// What to pass as `after` for the next page; `None`: this is the last one.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in MemberState::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!("nothing".parse::<MemberState>(), Err(NoSuchState));
    }
}
