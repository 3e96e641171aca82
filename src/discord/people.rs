//! Reads members by id: who is in a server, with which roles. Needs no privileged intent.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serenity::http::{LightMethod, Request, Route};

use super::Discord;
use super::error::{Failure, Reason};
use super::shared::{Shared, snowflake};
use crate::domain::{GuildId, RoleId, UserId};

/// `GET` requests under way at once; Discord's bucket for them is about this large.
const AT_ONCE: usize = 5;

/// A member as Discord shows them now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMember {
    /// Who.
    pub user: UserId,
    /// All roles, without `@everyone`.
    pub roles: Vec<RoleId>,
    /// Rules of the server not accepted yet.
    pub pending: bool,
}

/// The fields of Discord's member object that matter; everything else in it is skipped.
#[derive(Deserialize)]
pub(crate) struct MemberBody {
    user: UserBody,
    roles: Vec<RoleId>,
    #[serde(default)]
    pending: bool,
}

#[derive(Deserialize)]
struct UserBody {
    id: UserId,
}

impl From<MemberBody> for SeenMember {
    fn from(
        MemberBody {
            user,
            roles,
            pending,
        }: MemberBody,
    ) -> Self {
        Self {
            user: user.id,
            roles,
            pending,
        }
    }
}

impl Discord {
    /// Reads these users in one server. `None`: not in the server.
    ///
    /// # Errors
    /// When Discord refuses, or one of the requests fails for a passing reason: worth another try later.
    pub async fn members(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> anyhow::Result<Vec<(UserId, Option<SeenMember>)>> {
        Ok(get(&self.shared, guild, users).await?)
    }
}

/// Reads members one by one.
async fn get(
    shared: &Shared,
    guild: GuildId,
    users: &[UserId],
) -> Result<Vec<(UserId, Option<SeenMember>)>, Failure> {
    let each = stream::iter(users.iter().copied());
    let answers = each.map(async |user| Ok((user, get_one(shared, guild, user).await?)));
    answers.buffered(AT_ONCE).try_collect().await
}

async fn get_one(
    shared: &Shared,
    guild: GuildId,
    user: UserId,
) -> Result<Option<SeenMember>, Failure> {
    let route = Route::GuildMember {
        guild_id: snowflake(guild.0).into(),
        user_id: snowflake(user.0).into(),
    };
    let request = Request::new(route, LightMethod::Get);
    match shared.rest.call::<MemberBody>(request).await {
        Ok(member) => Ok(Some(member.into())),
        Err(failure) if failure.reason() == Some(Reason::Member) => Ok(None),
        Err(failure) => Err(failure),
    }
}
