//! Servers and members as those who manage a server are judged by: read when asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Discord;
use super::error::{Failure, Reason};
use super::people::get_one;
use super::seen::{Held, Server};
use crate::domain::{GuildId, UserId};

/// How long a page waits for Discord.
const TIME_TO_READ: Duration = Duration::from_secs(10);

impl Discord {
    /// Whether the bot is in the server, as the gateway tells. `None` while it is not connected: then only a request tells.
    pub fn is_in(&self, guild: GuildId) -> Option<bool> {
        let is_told = self.shared.requests.is_whole();
        is_told.then(|| self.shared.seen.present().contains_key(&guild))
    }

    /// The servers that the bot is in, as far as the gateway has told.
    pub fn present(&self) -> BTreeSet<GuildId> {
        self.shared.seen.present().keys().copied().collect()
    }

    /// The bot was just added to this server, which the gateway may tell a moment later.
    pub fn arrived(&self, guild: GuildId) {
        self.shared.seen.present().entry(guild).or_default();
        self.shared.seen.changed(guild);
    }

    /// This server's roles are read again when they are asked for next: something of ours changed them.
    pub fn look_again(&self, guild: GuildId) {
        self.shared.seen.changed(guild);
    }

    /// The server with its roles, at most a minute old; `None` where the bot is not in it.
    ///
    /// # Errors
    /// When Discord refuses, or does not answer within ten seconds.
    pub async fn server(&self, guild: GuildId) -> Result<Server, Failure> {
        let shared = &self.shared;
        if self.is_in(guild) == Some(false) {
            return Ok(None);
        }
        let read = Box::pin(async {
            let fetched = in_time(&shared.seen.readings, shared.fetch_roles(guild)).await;
            match fetched {
                Ok(roles) => Ok(Some(Arc::new(roles))),
                // That the bot itself is no member: it left between the two requests of a reading.
                Err(failure) if is_absence(&failure) => {
                    shared.seen.present().remove(&guild);
                    Ok(None)
                }
                Err(failure) => Err(failure),
            }
        });
        shared.seen.servers.get(guild, read).await
    }

    /// The roles of a member of a server that the bot is in, without `@everyone`, at most a minute old; `None` for who is
    /// not in it.
    ///
    /// # Errors
    /// When Discord refuses, or does not answer within ten seconds.
    pub async fn held_by(&self, guild: GuildId, user: UserId) -> Result<Held, Failure> {
        let shared = &self.shared;
        let read = Box::pin(async {
            let member = in_time(&shared.seen.readings, get_one(shared, guild, user)).await?;
            if let Some(member) = member.as_ref().filter(|member| !member.name.is_empty()) {
                let name = member.name.as_str().into();
                shared.seen.names.put((guild, user), name);
            }
            Ok(member.map(|member| member.roles.into()))
        });
        shared.seen.members.get((guild, user), read).await
    }

    /// What somebody is called in a server, as it was read within the last day by [`Discord::held_by`].
    pub fn known_name(&self, guild: GuildId, user: UserId) -> Option<Arc<str>> {
        self.shared.seen.names.kept(&(guild, user))
    }
}

/// Whether Discord says that the bot is not in the server.
fn is_absence(failure: &Failure) -> bool {
    matches!(failure.reason(), Some(Reason::Guild | Reason::Member))
}

/// Reads within the time that a page waits, when it is its turn.
async fn in_time<T>(
    turns: &Semaphore,
    reading: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let reading = async {
        let _turn = turns.acquire().await;
        reading.await
    };
    let too_late = || Failure::Transient("Discord did not answer in time".to_owned());
    let timed = tokio::time::timeout(TIME_TO_READ, reading).await;
    timed.unwrap_or_else(|_| Err(too_late()))
}
