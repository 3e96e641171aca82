//! Reads members by id: who is in a server, with which roles. Needs no privileged intent.
//!
//! Over the gateway a hundred cost one payload; over REST each costs a request of a bucket that is narrow.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serenity::http::Route;

use super::Discord;
use super::error::{Failure, Reason};
use super::member::{MemberBody, SeenMember};
use super::requests::Members;
use super::shared::{Shared, snowflake};
use crate::domain::{GuildId, UserId};

/// Ids in one request over the gateway; Discord allows no more.
const AT_A_TIME: usize = 100;
/// `GET` requests under way at once; Discord's bucket for them is about this large.
const AT_ONCE: usize = 5;

impl Discord {
    /// Reads these users in one server, by gateway while it is connected, else one by one. `None`: not in the server.
    ///
    /// # Errors
    /// When Discord refuses, or one of the requests fails for a passing reason: worth another try later.
    pub async fn members(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> anyhow::Result<Vec<(UserId, Option<SeenMember>)>> {
        let mut seen = Vec::with_capacity(users.len());
        for users in users.chunks(AT_A_TIME) {
            seen.extend(by_gateway(&self.shared, guild, users).await?);
        }
        Ok(seen)
    }
}

/// Reads members over the gateway, and those whom it says nothing about one by one.
async fn by_gateway(shared: &Shared, guild: GuildId, users: &[UserId]) -> Result<Members, Failure> {
    let Some(answer) = shared.requests.ask(guild, users).await? else {
        return get(shared, guild, users).await;
    };
    let asked_about = answer.into_iter().filter(|(user, _)| users.contains(user));
    let mut seen: BTreeMap<_, _> = asked_about.collect();
    // That nothing is said of a user is no evidence that they left.
    let unsaid: Vec<_> = users
        .iter()
        .copied()
        .filter(|user| !seen.contains_key(user))
        .collect();
    seen.extend(get(shared, guild, &unsaid).await?);
    Ok(seen.into_iter().collect())
}

/// Reads members one by one.
async fn get(shared: &Shared, guild: GuildId, users: &[UserId]) -> Result<Members, Failure> {
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
    match shared.rest.get::<MemberBody>(route).await {
        Ok(member) => Ok(Some(member.into())),
        Err(failure) if failure.reason() == Some(Reason::Member) => Ok(None),
        Err(failure) => Err(failure),
    }
}
