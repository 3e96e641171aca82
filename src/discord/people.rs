//! Reads members: who is in a server, with which roles.
//!
//! By id, which needs no privileged intent: over the gateway a hundred cost one payload; over REST each costs a request of
//! a bucket that is narrow. Or all of them, page by page, which needs it, and a large server is hundreds of requests: only
//! for gates that claim their roles from whoever holds them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::backoff::retry;
use super::error::{Failure, Reason};
use super::member::SeenMember;
use super::requests::Members;
use super::shared::Shared;
use super::{Discord, READ_TRIES};
use crate::domain::{GuildId, UserId};
use crate::text;

/// Ids in one request over the gateway; Discord allows no more.
const AT_A_TIME: usize = 100;
/// `GET` requests under way at once; Discord's bucket for them is about this large.
const AT_ONCE: usize = 5;
/// Members of one page; Discord allows no more.
const PAGE: usize = 1000;

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

    /// The members after this one, in the order of their ids; whether there may be more.
    ///
    /// # Errors
    /// When Discord refuses, or cannot be reached for about half a minute.
    pub async fn page_of_members(
        &self,
        guild: GuildId,
        after: UserId,
    ) -> anyhow::Result<(Vec<SeenMember>, bool)> {
        let path = format!("guilds/{guild}/members?limit={PAGE}&after={after}");
        let page = || self.shared.rest.get::<Vec<SeenMember>>(&path);
        match retry(READ_TRIES, page).await {
            Ok(page) => {
                let is_full = page.len() >= PAGE;
                Ok((page, is_full))
            }
            // A bot that was removed from the server is answered the same.
            Err(failure)
                if failure.reason() == Some(Reason::Guild)
                    && self.shared.read_roles(guild).await.is_ok() =>
            {
                self.shared.refuse_members_intent();
                bail!(text::intent_refused())
            }
            Err(failure) => Err(failure)
                .with_context(|| format!("cannot read the members of the Discord server {guild}")),
        }
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

pub(super) async fn get_one(
    shared: &Shared,
    guild: GuildId,
    user: UserId,
) -> Result<Option<SeenMember>, Failure> {
    let path = format!("guilds/{guild}/members/{user}");
    match shared.rest.get(path).await {
        Ok(member) => Ok(Some(member)),
        Err(failure) if failure.reason() == Some(Reason::Member) => Ok(None),
        Err(failure) => Err(failure),
    }
}
