//! Reads a server's roles and what the bot holds of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::backoff::rare_delay;
use super::error::{Failure, Reason};
use super::member::{Object, SeenMember};
use super::server::hierarchy::{Giver, GuildRoles, Role};
use super::shared::{Guild, Shared};
use crate::domain::{GuildId, RoleId, UserId};

/// After the roles could not be read; role changes go on meanwhile without them.
const READ_AGAIN: Duration = Duration::from_secs(10);

impl Shared {
    pub(super) async fn bot(&self) -> Result<UserId, Failure> {
        let read = async || Ok(self.rest.get::<Object<_>>("users/@me").await?.id);
        self.bot.get_or_try_init(read).await.copied()
    }

    /// Reads a server's roles and compares them with the standing errors.
    pub(crate) async fn read_roles(&self, id: GuildId) -> Result<Arc<GuildRoles>, Failure> {
        let asked = Instant::now();
        // If this is dropped half-way, they are read again.
        let mark = self.with(id, |guild| {
            let changed = guild.read_next.is_some_and(|(_, changed)| changed);
            *guild.read_next.insert((asked + READ_AGAIN, changed))
        });
        let result = self.fetch_roles(id).await.map(Arc::new);
        let reason = result.as_ref().err().and_then(Failure::reason);
        if result.is_ok() || reason == Some(Reason::Token) {
            self.token(result.is_ok());
        }
        self.change(id, |guild| {
            // Another reading, which began later, has ended before.
            if guild.read_at <= Some(asked) {
                guild.take_roles(id, asked, mark, &result);
            }
        });
        result
    }

    /// Reads a server's roles and what the bot holds of them.
    pub(super) async fn fetch_roles(&self, id: GuildId) -> Result<GuildRoles, Failure> {
        let bot = self.bot().await?;
        let guild: GuildBody = self.rest.get(format!("guilds/{id}")).await?;
        let path = format!("guilds/{id}/members/{bot}");
        let member: SeenMember = self.rest.get(path).await?;
        let roles = guild
            .roles
            .into_iter()
            .map(|role| (role.id, Role::from(role)))
            .collect();
        Ok(GuildRoles {
            name: guild.name,
            roles,
            held: member.roles,
            owner: guild.owner_id,
            owned: guild.owner_id == bot,
        })
    }
}

impl Guild {
    /// Takes what came of a reading of the roles. `mark`: the next reading, as it was set when this one began.
    fn take_roles(
        &mut self,
        id: GuildId,
        asked: Instant,
        mark: (Instant, bool),
        result: &Result<Arc<GuildRoles>, Failure>,
    ) {
        let (now, changed) = (Instant::now(), mark.1);
        // An event that came meanwhile has put another moment here.
        self.read_next.take_if(|next| *next == mark);
        let reason = match result {
            Ok(roles) => {
                let moved = self.roles.as_ref().is_some_and(|known| known != roles);
                self.roles = Some(Arc::clone(roles));
                self.read_at = Some(asked);
                self.read_refusals = 0;
                self.is_unreadable = false;
                let wanted = self.watched.union(&self.queue.roles()).copied().collect();
                let troubles = &mut self.queue.troubles;
                troubles.review(id, roles, &wanted, changed || moved, now);
                return;
            }
            Err(failure) => failure.reason(),
        };
        if reason == Some(Reason::Guild) {
            self.gone(id);
        }
        self.is_unreadable = reason.is_none();
        let mut pause = READ_AGAIN;
        if reason.is_some() {
            pause = rare_delay(self.read_refusals);
            self.read_refusals = self.read_refusals.saturating_add(1);
        }
        // Counted from now: a request that hangs may take longer than the pause.
        self.read_next.get_or_insert((now + pause, changed));
    }
}

#[derive(Deserialize)]
struct GuildBody {
    name: String,
    owner_id: UserId,
    roles: Vec<RoleBody>,
}

#[derive(Deserialize)]
struct RoleBody {
    id: RoleId,
    name: String,
    position: i64,
    permissions: String,
    managed: bool,
    #[serde(default)]
    color: u32,
    #[serde(default)]
    tags: Tags,
}

/// A role's tags. Those without a value of their own are `null` where the role has them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    #[serde(deserialize_with = "is_there")]
    premium_subscriber: bool,
    #[serde(deserialize_with = "is_there")]
    subscription_listing_id: bool,
    #[serde(deserialize_with = "is_there")]
    available_for_purchase: bool,
    #[serde(deserialize_with = "is_there")]
    guild_connections: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl From<RoleBody> for Role {
    fn from(
        RoleBody {
            name,
            position,
            permissions,
            managed,
            color,
            tags,
            ..
        }: RoleBody,
    ) -> Self {
        let given_by = if tags.premium_subscriber {
            Some(Giver::Boosts)
        } else if tags.subscription_listing_id || tags.available_for_purchase {
            Some(Giver::Shop)
        } else if tags.guild_connections {
            Some(Giver::Connections)
        } else {
            managed.then_some(Giver::Integration)
        };
        // Discord writes the bits as a decimal string; what is no number gives no permission.
        Self {
            name,
            color,
            position,
            permissions: permissions.parse().unwrap_or(0),
            given_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_roles_tags_say_who_alone_gives_it() {
        for (managed, tags, expected) in [
            (false, json!({}), None),
            (true, json!({ "bot_id": "7" }), Some(Giver::Integration)),
            (
                true,
                json!({ "premium_subscriber": null }),
                Some(Giver::Boosts),
            ),
            (
                true,
                json!({ "subscription_listing_id": "7", "integration_id": "8" }),
                Some(Giver::Shop),
            ),
            (
                true,
                json!({ "available_for_purchase": null }),
                Some(Giver::Shop),
            ),
            (
                false,
                json!({ "guild_connections": null }),
                Some(Giver::Connections),
            ),
        ] {
            let shown = json!({
                "id": "5", "name": "r", "position": 1, "permissions": "0", "managed": managed, "tags": tags,
            });
            let body: RoleBody = serde_json::from_value(shown).unwrap();
            assert_eq!(Role::from(body).given_by, expected, "{tags}");
        }
    }
}
