//! A member of a server, as far as it matters here.

use serde::Deserialize;

use crate::domain::{RoleId, UserId};

/// A member as Discord shows them now.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "MemberBody")]
pub struct SeenMember {
    /// Who.
    pub user: UserId,
    /// Nickname, else display name, else username.
    pub name: String,
    /// All roles, without `@everyone`.
    pub roles: Vec<RoleId>,
    /// Rules of the server not accepted yet.
    pub pending: bool,
}

/// The fields of Discord's member object that matter; everything else in it is skipped.
#[derive(Deserialize)]
struct MemberBody {
    user: NamedUser,
    #[serde(default)]
    nick: Option<String>,
    roles: Vec<RoleId>,
    #[serde(default)]
    pending: bool,
}

/// A user with their names.
#[derive(Deserialize)]
pub(super) struct NamedUser {
    pub(super) id: UserId,
    #[serde(default)]
    username: String,
    #[serde(default)]
    global_name: Option<String>,
}

impl NamedUser {
    /// Display name, else username.
    pub(super) fn name(self) -> String {
        self.global_name.unwrap_or(self.username)
    }
}

/// As much of any object of Discord's as its id.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Object<Id> {
    pub(crate) id: Id,
}

impl From<MemberBody> for SeenMember {
    fn from(
        MemberBody {
            user,
            nick,
            roles,
            pending,
        }: MemberBody,
    ) -> Self {
        Self {
            user: user.id,
            name: nick.unwrap_or_else(|| user.name()),
            roles,
            pending,
        }
    }
}
