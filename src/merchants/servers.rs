//! Which servers are connected, and which of them a user manages.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use super::{Manager, Merchants, Refusal};
use crate::domain::{GuildId, Question, UserId};
use crate::store::ServerRecord;

/// Servers of one user that are looked at at the same time.
const AT_ONCE: usize = 8;
/// Where the bot is in no more servers than this, all of them are looked at: also for who became a manager since the sign-in, and
/// for whoever signed in without naming theirs.
const FEW: usize = 10;

/// A server that a user manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Whether it is connected by `/connect` or has a gate.
    pub connected: bool,
}

/// Why a connected server is not there any more, as far as it is this user's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The bot was removed from a server that the user manages.
    BotRemoved,
    /// Neither the bot nor the user, who connected it, is shown it: it was deleted, or the user left it.
    Deleted,
}

/// What the store says of all servers.
pub(super) struct Known {
    connected: BTreeMap<GuildId, ServerRecord>,
    gated: BTreeSet<GuildId>,
}

impl Known {
    pub(super) fn is_connected(&self, guild: GuildId) -> bool {
        self.connected.contains_key(&guild) || self.gated.contains(&guild)
    }
}

impl Merchants {
    /// The servers that the user manages and the bot is in, by name: of these candidates, which Discord named at the sign-in, and
    /// of those that the user connected. Where the bot is in many, no other server is read: one merchant's first page must not cost
    /// requests for the servers of all others. There, who became a manager since the sign-in signs in again, and Discord names the
    /// server.
    ///
    /// # Errors
    /// When the store cannot be read. A server that Discord does not show now is left out.
    pub async fn servers(
        &self,
        user: UserId,
        candidates: &[GuildId],
    ) -> Result<Vec<Server>, Refusal> {
        let known = self.known_servers().await?;
        Ok(self.servers_of(&known, user, candidates).await)
    }

    /// As [`Merchants::servers`], by what the store said.
    pub(super) async fn servers_of(
        &self,
        known: &Known,
        user: UserId,
        candidates: &[GuildId],
    ) -> Vec<Server> {
        let discord = &self.inputs().discord;
        let by_user = known
            .connected
            .iter()
            .filter(|(_, record)| record.by == user);
        let mut wanted: BTreeSet<GuildId> = by_user.map(|(guild, _)| *guild).collect();
        wanted.extend(candidates);
        let present = discord.present();
        if present.len() <= FEW {
            wanted.extend(present);
        }
        // While the gateway does not tell, the bot may be anywhere; where a server is connected, it most likely is.
        wanted.retain(|guild| discord.is_in(*guild).unwrap_or(known.is_connected(*guild)));
        let seen = stream::iter(wanted)
            .map(async |guild| (guild, self.managed_name(guild, user).await))
            .buffer_unordered(AT_ONCE);
        let mut servers: Vec<Server> = seen
            .filter_map(async |(guild, name)| {
                Some(Server {
                    guild,
                    name: name?,
                    connected: known.is_connected(guild),
                })
            })
            .collect()
            .await;
        servers.sort_by(|one, other| (&one.name, one.guild).cmp(&(&other.name, other.guild)));
        servers
    }

    /// Why a server is not there, where that is the user's to know: they manage it, as Discord said at the sign-in
    /// (`candidates`), or they connected it. Discord itself answers the bot the same for a server that was deleted and for one
    /// that the bot was removed from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn gone(
        &self,
        guild: GuildId,
        user: UserId,
        candidates: &[GuildId],
    ) -> Result<Option<Gone>, Refusal> {
        let known = self.known_servers().await?;
        if !known.is_connected(guild) || self.inputs().discord.is_in(guild) != Some(false) {
            return Ok(None);
        }
        let record = known.connected.get(&guild);
        Ok(if candidates.contains(&guild) {
            Some(Gone::BotRemoved)
        } else if !candidates.is_empty() && record.is_some_and(|record| record.by == user) {
            Some(Gone::Deleted)
        } else {
            None
        })
    }

    /// The connected servers of these candidates that the bot was removed from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn removed_from(&self, candidates: &[GuildId]) -> Result<Vec<GuildId>, Refusal> {
        let known = self.known_servers().await?;
        let is_gone = |guild: &GuildId| {
            known.is_connected(*guild) && self.inputs().discord.is_in(*guild) == Some(false)
        };
        Ok(candidates.iter().copied().filter(is_gone).collect())
    }

    /// The name of a server that the user manages; `None` where they do not, or Discord does not say.
    async fn managed_name(&self, guild: GuildId, user: UserId) -> Option<String> {
        self.manager(guild, user).await.ok()?;
        let server = self.inputs().discord.server(guild).await.ok()??;
        Some(server.name.clone())
    }

    pub(super) async fn known_servers(&self) -> Result<Known, Refusal> {
        self.with_store(|store| {
            let gates = store.gates()?;
            Ok(Known {
                connected: store.connected_servers()?,
                gated: gates.iter().map(|gate| gate.guild).collect(),
            })
        })
        .await
    }

    /// A server's name, for one of its managers.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where the bot is not in it, [`Refusal::DiscordUnavailable`] where it cannot be read.
    pub async fn server_name(&self, manager: &Manager) -> Result<String, Refusal> {
        let server = self.inputs().discord.server(manager.guild).await?;
        Ok(server.ok_or(Refusal::NotFound)?.name.clone())
    }

    /// Whether a server is connected by `/connect` or has a gate.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_connected(&self, guild: GuildId) -> Result<bool, Refusal> {
        Ok(self.known_servers().await?.is_connected(guild))
    }

    /// Connects a server to which Discord says that the bot was added: it is shown to its managers. Connecting again changes
    /// nothing. Noted in the server's journal. Returns whether it was not connected before, by them or by another manager.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where the bot is not in it or the user does not manage it; [`Refusal::DiscordUnavailable`].
    pub async fn connect(&self, guild: GuildId, by: UserId) -> Result<bool, Refusal> {
        // The gateway may tell of it a moment later.
        self.inputs().discord.arrived(guild);
        let manager = self.manager(guild, by).await?;
        let at = self.now();
        self.with_store(move |store| {
            let by = manager.user;
            store.connect_server(manager.guild, ServerRecord { by, at })
        })
        .await
    }

    /// Disconnects a server: its dashboard gates go. With `remove_roles` the roles that were given go too, and the brake does
    /// not stop that; else they stay and are forgotten. Connecting again starts empty.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn disconnect(&self, manager: &Manager, remove_roles: bool) -> Result<(), Refusal> {
        let (guild, by) = (manager.guild, manager.user);
        self.ask(|answer| Question::Disconnect {
            guild,
            by,
            remove_roles,
            answer,
        })
        .await
    }
}
