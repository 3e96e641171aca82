//! Reads all members of a server, page by page. Needs the privileged intent, and a large server is hundreds of requests:
//! only for gates that claim their roles from whoever holds them.

use anyhow::{Context as _, bail};
use serenity::http::{LightMethod, Request, Route};

use super::backoff::retry;
use super::error::Reason;
use super::member::{MemberBody, SeenMember};
use super::shared::snowflake;
use super::{Discord, READ_TRIES};
use crate::domain::{GuildId, UserId};
use crate::text;

/// Members per request; Discord allows no more.
const PAGE: usize = 1000;

impl Discord {
    /// The members after this one, in the order of their ids; whether there may be more.
    ///
    /// # Errors
    /// When Discord refuses, or cannot be reached for about half a minute.
    pub async fn page_of_members(
        &self,
        guild: GuildId,
        after: UserId,
    ) -> anyhow::Result<(Vec<SeenMember>, bool)> {
        let route = Route::GuildMembers {
            guild_id: snowflake(guild.0).into(),
        };
        let params = vec![("limit", PAGE.to_string()), ("after", after.to_string())];
        let request = Request::new(route, LightMethod::Get).params(Some(params));
        let page = retry(READ_TRIES, || self.call::<Vec<MemberBody>>(request.clone()));
        match page.await {
            Ok(page) => {
                let is_full = page.len() >= PAGE;
                Ok((page.into_iter().map(SeenMember::from).collect(), is_full))
            }
            // The bot is in the server, or its roles could not be read.
            Err(failure) if failure.reason() == Some(Reason::Guild) => {
                self.shared.refuse_members_intent();
                bail!(text::intent_refused())
            }
            Err(failure) => Err(failure)
                .with_context(|| format!("cannot read the members of the Discord server {guild}")),
        }
    }
}
