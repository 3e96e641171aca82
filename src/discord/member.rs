//! A member of a server, as far as it matters here.

use serde::Deserialize;

use crate::domain::{RoleId, UserId};

/// A member as Discord shows them now.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub(crate) struct MemberBody {
    user: NamedUser,
    #[serde(default)]
    nick: Option<String>,
    roles: Vec<RoleId>,
    #[serde(default)]
    pending: bool,
}

/// A user with their names.
#[derive(Deserialize)]
struct NamedUser {
    id: UserId,
    #[serde(default)]
    username: String,
    #[serde(default)]
    global_name: Option<String>,
}

/// As much of Discord's user object.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct UserBody {
    pub(crate) id: UserId,
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
            name: nick.or(user.global_name).unwrap_or(user.username),
            roles,
            pending,
        }
    }
}
