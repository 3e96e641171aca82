//! What is made of the gateway's events: observations, the state of the connections, and commands.

use std::sync::{Arc, Mutex};

use serenity::model::application::Interaction;
use tokio::sync::mpsc;

use super::event::{Event, Ready};
use super::modal;
use crate::discord::requests::{Ask, Requests, shard_of};
use crate::discord::shared::Shared;
use crate::discord::{Observation, examine};
use crate::domain::DiscordStatus;

/// Takes events in; nothing here waits, so that those of one shard keep their order.
pub(super) struct Events {
    pub(super) shared: Arc<Shared>,
    observations: mpsc::UnboundedSender<Observation>,
    interactions: mpsc::UnboundedSender<Interaction>,
    /// Whether a session began that was not told yet. Locked while connections change, so that this is told in order; which are
    /// up, [`Requests`] knows.
    is_new: Mutex<bool>,
}

impl Events {
    pub(super) fn new(
        shared: Arc<Shared>,
        observations: mpsc::UnboundedSender<Observation>,
        interactions: mpsc::UnboundedSender<Interaction>,
    ) -> Self {
        Self {
            shared,
            observations,
            interactions,
            is_new: Mutex::default(),
        }
    }

    fn tell(&self, observation: Observation) {
        // At the stop nobody listens any more.
        let _unheard = self.observations.send(observation);
    }

    /// Changes the connections and tells when they became whole or broke. `begins`: by a new session.
    fn connections(&self, begins: bool, change: impl FnOnce(&Requests)) {
        let mut is_new = self.is_new.lock().expect("the connections do not panic");
        *is_new |= begins;
        let requests = &self.shared.requests;
        let was_whole = requests.is_whole();
        change(requests);
        let whole = requests.is_whole();
        if whole != was_whole {
            tracing::info!(connected = whole, "Discord gateway");
            self.shared.connected(whole);
        }
        if whole && std::mem::take(&mut *is_new) {
            self.tell(Observation::Connected);
        }
    }

    /// So many shards are to be connected from now on; none is yet.
    pub(super) fn begin(&self, shards: u32) {
        self.connections(false, |requests| requests.reset(shards));
    }

    /// A session was begun or resumed.
    pub(super) fn up(&self, shard: u32, is_new: bool, asks: mpsc::UnboundedSender<Ask>) {
        self.connections(is_new, |requests| requests.set(shard, Some(asks)));
    }

    pub(super) fn down(&self, shard: u32) {
        self.connections(false, |requests| requests.set(shard, None));
    }

    /// A session begins; [`Events::up`] follows.
    pub(super) fn ready(&self, shard: u32, total: u32, ready: &Ready) {
        // It may have been asked for already.
        let _known = self.shared.bot.set(ready.user.id);
        let is_unreviewed = examine::is_unreviewed(ready.application.flags);
        let show = |status: &mut DiscordStatus| status.intent_unreviewed = is_unreviewed;
        self.shared.status.send_modify(show);
        let present = ready.guilds.iter().map(|guild| guild.id);
        self.shared.seen.begin(shard, total, present);
        // The bot may have been removed while no session told of it.
        let known: Vec<_> = self.shared.look(|guilds| guilds.keys().copied().collect());
        for guild in known {
            if shard_of(guild, total) == shard && ready.guilds.iter().all(|one| one.id != guild) {
                self.seen(Observation::GuildGone(guild));
            }
        }
    }

    pub(super) fn see(&self, event: Event) {
        match event {
            Event::Arrived(guild, members) => {
                let all = self.shared.seen.arrived(guild, members);
                let show =
                    |status: &mut DiscordStatus| std::mem::replace(&mut status.members, all) != all;
                self.shared.status.send_if_modified(show);
                self.seen(Observation::GuildAvailable(guild));
            }
            Event::Seen(observation) => self.seen(observation),
            Event::Interaction(by, json) => {
                if let Some(seen) = by {
                    self.seen(seen);
                }
                match modal::read(&json) {
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

    /// Has read again what it changes, and tells of it. Managers are judged by what Discord shows now.
    fn seen(&self, observation: Observation) {
        let (shared, seen) = (&self.shared, &self.shared.seen);
        let read_again = |guild| {
            shared.change_known(guild, |state| state.read_again(true));
        };
        match observation {
            Observation::GuildAvailable(guild)
            | Observation::RolesChanged(guild)
            | Observation::RoleDeleted { guild, .. } => {
                seen.changed(guild);
                read_again(guild);
            }
            Observation::GuildGone(guild) => {
                seen.gone(guild);
                shared.change_known(guild, |state| state.gone(guild));
            }
            Observation::MemberSeen { guild, ref member } => {
                seen.member_changed(guild, member.user);
                if shared.bot.get() == Some(&member.user) {
                    self.seen(Observation::RolesChanged(guild));
                }
            }
            Observation::MemberLeft { guild, user } => seen.member_changed(guild, user),
            Observation::Connected => {}
        }
        self.tell(observation);
    }
}
