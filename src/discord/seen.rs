//! What was read of servers and members for those who manage a server: kept for a minute at most, and forgotten as soon as
//! the gateway tells of a change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::requests::shard_of;
use super::server::hierarchy::GuildRoles;
use crate::cache::Cache;
use crate::domain::{GuildId, RoleId, UserId};

/// How long an answer is kept: events about members come only with the privileged intent.
const KEPT: Duration = Duration::from_secs(60);
/// How long a name is kept, which nothing is decided by.
const NAMES_KEPT: Duration = Duration::from_secs(86_400);
/// Members that are remembered.
const MOST_MEMBERS: usize = 20_000;
/// Servers that are remembered.
const MOST_SERVERS: usize = 5_000;
/// Readings at the same time: pages must not take the requests that role changes need.
const AT_ONCE: usize = 8;

/// A server as it was read; `None`: the bot is not in it.
pub(crate) type Server = Option<Arc<GuildRoles>>;
/// The roles of a member, without `@everyone`; `None`: not in the server.
pub(crate) type Held = Option<Arc<[RoleId]>>;

/// What was read.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The servers that the bot is in, as the gateway tells, and how many members each had when it told.
    present: Mutex<BTreeMap<GuildId, u64>>,
    pub(super) servers: Cache<GuildId, Server>,
    pub(super) members: Cache<(GuildId, UserId), Held>,
    /// What those members are called.
    pub(super) names: Cache<(GuildId, UserId), Arc<str>>,
    pub(super) readings: Semaphore,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            present: Mutex::default(),
            servers: Cache::new(MOST_SERVERS, |_| KEPT),
            members: Cache::new(MOST_MEMBERS, |_| KEPT),
            names: Cache::new(MOST_MEMBERS, |_| NAMES_KEPT),
            readings: Semaphore::new(AT_ONCE),
        }
    }
}

impl Seen {
    pub(super) fn present(&self) -> MutexGuard<'_, BTreeMap<GuildId, u64>> {
        self.present.lock().expect("no holder of this lock panics")
    }

    /// A session of this shard begins, with these servers. What happened before it was not told.
    pub(crate) fn begin(&self, shard: u32, total: u32, guilds: impl Iterator<Item = GuildId>) {
        let is_of_shard = |guild: GuildId| shard_of(guild, total) == shard;
        let mut present = self.present();
        present.retain(|guild, _| !is_of_shard(*guild));
        present.extend(guilds.map(|guild| (guild, 0)));
        drop(present);
        self.servers.forget_where(|guild| is_of_shard(*guild));
        self.members.forget_where(|(guild, _)| is_of_shard(*guild));
    }

    /// The bot is in this server, which has so many members; how many all of its servers have.
    pub(crate) fn arrived(&self, guild: GuildId, members: u64) -> u64 {
        let mut present = self.present();
        present.insert(guild, members);
        present.values().sum()
    }

    /// The bot is not in this server any more.
    pub(crate) fn gone(&self, guild: GuildId) {
        self.present().remove(&guild);
        self.changed(guild);
    }

    /// Something about the server or its roles changed.
    pub(crate) fn changed(&self, guild: GuildId) {
        self.servers.forget_where(|known| *known == guild);
        self.members.forget_where(|(known, _)| *known == guild);
    }

    /// A member joined, left or changed.
    pub(crate) fn member_changed(&self, guild: GuildId, user: UserId) {
        self.members.forget_where(|known| *known == (guild, user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers of shards 0 and 1 of two.
    const EVEN: GuildId = GuildId(2 << 22);
    const ODD: GuildId = GuildId(3 << 22);

    fn present(seen: &Seen) -> Vec<GuildId> {
        seen.present().keys().copied().collect()
    }

    #[test]
    fn a_session_tells_the_servers_of_its_own_shard() {
        let seen = Seen::default();
        seen.begin(0, 2, [EVEN].into_iter());
        seen.begin(1, 2, [ODD].into_iter());
        assert_eq!(present(&seen), [EVEN, ODD]);
        seen.begin(0, 2, std::iter::empty());
        assert_eq!(present(&seen), [ODD], "the bot left it while nobody told");
        seen.gone(ODD);
        assert_eq!(seen.arrived(EVEN, 5), 5);
        assert_eq!(present(&seen), [EVEN]);
    }

    #[test]
    fn a_change_of_the_server_forgets_its_members_and_no_others() {
        let seen = Seen::default();
        let (user, other) = (UserId(1), UserId(2));
        for (guild, user) in [(EVEN, user), (EVEN, other), (ODD, user)] {
            seen.servers.put(guild, None);
            seen.members.put((guild, user), None);
        }
        seen.member_changed(EVEN, other);
        assert!(seen.members.kept(&(EVEN, other)).is_none());
        assert!(seen.members.kept(&(EVEN, user)).is_some());
        seen.changed(EVEN);
        assert!(seen.members.kept(&(EVEN, user)).is_none());
        assert!(seen.servers.kept(&EVEN).is_none());
        assert!(seen.members.kept(&(ODD, user)).is_some());
        assert!(seen.servers.kept(&ODD).is_some());
    }
}
