//! What is made of the gateway's events: observations, the state of the connections, and commands.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serenity::model::application::Interaction;
use tokio::sync::mpsc;

use super::event::{Event, Ready};
use crate::discord::Observation;
use crate::discord::member::SeenMember;
use crate::discord::requests::{Ask, shard_of};
use crate::discord::shared::Shared;
use crate::domain::{GuildId, RoleId, UserId};

/// Takes events in; nothing here waits, so that those of one shard keep their order.
pub(super) struct Events {
    pub(super) shared: Arc<Shared>,
    seen: mpsc::UnboundedSender<Observation>,
    interactions: mpsc::UnboundedSender<Interaction>,
    connections: Mutex<Connections>,
}

/// The connections of all shards.
#[derive(Default)]
struct Connections {
    shards: u32,
    /// Those that are up.
    up: BTreeSet<u32>,
    /// A session began, and that was not told yet.
    is_new: bool,
    /// The bot itself.
    bot: Option<UserId>,
}

impl Events {
    pub(super) fn new(
        shared: Arc<Shared>,
        seen: mpsc::UnboundedSender<Observation>,
        interactions: mpsc::UnboundedSender<Interaction>,
    ) -> Self {
        Self {
            shared,
            seen,
            interactions,
            connections: Mutex::default(),
        }
    }

    fn tell(&self, observation: Observation) {
        // At the stop nobody listens any more.
        let _unheard = self.seen.send(observation);
    }

    /// Changes the connections and tells when they became whole or broke.
    fn connections(&self, change: impl FnOnce(&mut Connections)) {
        let mut connections = self
            .connections
            .lock()
            .expect("the connections do not panic");
        let was_whole = connections.is_whole();
        change(&mut connections);
        let whole = connections.is_whole();
        if whole != was_whole {
            tracing::info!(connected = whole, "Discord gateway");
            self.shared.connected(whole);
        }
        if whole && std::mem::take(&mut connections.is_new) {
            self.tell(Observation::Connected);
        }
    }

    /// So many shards are to be connected from now on; none is yet.
    pub(super) fn begin(&self, shards: u32) {
        self.shared.requests.reset(shards);
        self.connections(|connections| {
            connections.shards = shards;
            connections.up.clear();
        });
    }

    /// A session was begun or resumed.
    pub(super) fn up(&self, shard: u32, is_new: bool, asks: mpsc::UnboundedSender<Ask>) {
        self.shared.requests.set(shard, Some(asks));
        self.connections(|connections| {
            connections.up.insert(shard);
            connections.is_new |= is_new;
        });
    }

    pub(super) fn down(&self, shard: u32) {
        self.shared.requests.set(shard, None);
        self.connections(|connections| {
            connections.up.remove(&shard);
        });
    }

    /// A session begins; [`Events::up`] follows.
    pub(super) fn ready(&self, shard: u32, total: u32, ready: &Ready) {
        self.connections(|connections| connections.bot = Some(ready.bot));
        // The bot may have been removed while no session told of it.
        let known: Vec<_> = self.shared.look(|guilds| guilds.keys().copied().collect());
        for guild in known {
            if shard_of(guild, total) == shard && !ready.guilds.contains(&guild) {
                self.gone(guild);
            }
        }
    }

    fn gone(&self, guild: GuildId) {
        self.shared.change_known(guild, |state| state.gone(guild));
        self.tell(Observation::GuildGone(guild));
    }

    pub(super) fn see(&self, event: Event) {
        match event {
            Event::GuildAvailable(guild) => {
                self.read_roles_again(guild);
                self.tell(Observation::GuildAvailable(guild));
            }
            Event::GuildGone(guild) => self.gone(guild),
            Event::MemberSeen(guild, member) => self.member_seen(guild, member),
            Event::MemberLeft(guild, user) => {
                self.tell(Observation::MemberLeft { guild, user });
            }
            Event::RolesChanged(guild) => self.roles_changed(guild),
            Event::RoleDeleted(guild, role) => self.role_deleted(guild, role),
            Event::Interaction(by, json) => {
                if let Some((guild, member)) = by {
                    self.member_seen(guild, member);
                }
                match serde_json::from_str(&json) {
                    Ok(interaction) => {
                        let _unheard = self.interactions.send(interaction);
                    }
                    // Not the data: it names members and holds a token.
                    Err(error) => tracing::warn!(%error, "a command of a member cannot be read"),
                }
            }
            // The connection's own.
            Event::Ready(_)
            | Event::Resumed
            | Event::Members(_)
            | Event::RateLimited(_)
            | Event::Other => {}
        }
    }

    fn member_seen(&self, guild: GuildId, member: SeenMember) {
        let SeenMember {
            user,
            roles,
            pending,
        } = member;
        if self.is_bot(user) {
            self.roles_changed(guild);
        }
        self.tell(Observation::MemberSeen {
            guild,
            user,
            roles,
            pending,
        });
    }

    fn is_bot(&self, user: UserId) -> bool {
        let connections = self
            .connections
            .lock()
            .expect("the connections do not panic");
        connections.bot == Some(user)
    }

    fn read_roles_again(&self, guild: GuildId) {
        self.shared
            .change_known(guild, |state| state.read_again(true));
    }

    fn roles_changed(&self, guild: GuildId) {
        self.read_roles_again(guild);
        self.tell(Observation::RolesChanged(guild));
    }

    fn role_deleted(&self, guild: GuildId, role: RoleId) {
        self.read_roles_again(guild);
        self.tell(Observation::RoleDeleted { guild, role });
    }
}

impl Connections {
    fn is_whole(&self) -> bool {
        self.shards > 0 && self.up.len() == self.shards as usize
    }
}
