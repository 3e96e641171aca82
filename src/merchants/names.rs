//! The servers of a user for scripts: also those to which the bot can be added, by the names that Discord gave them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Merchants, Refusal, Server};
use crate::domain::{GuildId, UserId};

/// Names that are kept.
const MOST: usize = 20_000;

/// Names of servers by Discord's word to their managers at a sign-in: the bot itself cannot read those that it is not in. Not
/// stored; after a restart the next sign-in tells them again.
#[derive(Default)]
pub(super) struct ServerNames(Mutex<BTreeMap<GuildId, String>>);

impl ServerNames {
    fn learn(&self, names: &BTreeMap<GuildId, String>) {
        let mut known = self.0.lock().expect("no holder of this lock can panic");
        known.extend(names.iter().map(|(guild, name)| (*guild, name.clone())));
        while known.len() > MOST {
            known.pop_first();
        }
    }

    fn of(&self, guild: GuildId) -> Option<String> {
        let known = self.0.lock().expect("no holder of this lock can panic");
        known.get(&guild).cloned()
    }
}

impl Merchants {
    /// Keeps what Discord called the servers that somebody who signs in manages.
    pub fn learn_names(&self, names: &BTreeMap<GuildId, String>) {
        self.names().learn(names);
    }

    /// As [`Merchants::servers`], with those of the candidates that the bot is not in. There Discord's word at the sign-in
    /// decides who manages them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn servers_and_others(
        &self,
        user: UserId,
        candidates: &[GuildId],
    ) -> Result<Vec<Server>, Refusal> {
        let discord = &self.inputs().discord;
        let known = self.known_servers().await?;
        let mut servers = self.servers_of(&known, user, candidates).await;
        for guild in candidates {
            if discord.is_in(*guild) == Some(false)
                && let Some(name) = self.names().of(*guild)
            {
                servers.push(Server {
                    guild: *guild,
                    name,
                    connected: known.is_connected(*guild),
                });
            }
        }
        servers.sort_by(|one, other| (&one.name, one.guild).cmp(&(&other.name, other.guild)));
        Ok(servers)
    }
}
