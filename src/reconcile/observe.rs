//! What is seen on Discord: whole servers at the start and after a lost session, single members from the gateway.

use std::time::{Duration, Instant};

use std::collections::BTreeSet;
use tracing::{info, warn};

use super::{Reconcile, Underway};
use crate::discord::{Observation, Reading};
use crate::domain::{GuildId, RoleId, UserId};

/// How long a member event may contradict an acknowledged change before it is believed: events of the change's own
/// making can arrive after later acknowledgements.
pub(super) const DOUBT: Duration = Duration::from_secs(2);
/// Pause before a server that could not be read is read again.
const RETRY: Duration = Duration::from_secs(10);
/// The longest pause between two such tries.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

impl Reconcile {
    /// Takes an observation, and all others that are waiting.
    pub(super) fn take_observations(&mut self, first: Observation) {
        self.take_observation(first);
        while let Ok(next) = self.observations.try_recv() {
            self.take_observation(next);
        }
    }

    fn take_observation(&mut self, observation: Observation) {
        match observation {
            Observation::Connected => {
                let guilds: Vec<_> = self.roster.guilds().map(|(guild, _)| guild).collect();
                for guild in guilds {
                    self.observe_anew(guild);
                }
            }
            Observation::GuildAvailable(guild)
            | Observation::RolesChanged(guild)
            | Observation::RoleDeleted { guild, .. } => {
                self.observe_anew(guild);
            }
            Observation::GuildGone(guild) => self.roster.guild_gone(guild),
            Observation::MemberSeen {
                guild, user, roles, ..
            } => self.see_member(guild, user, roles),
            Observation::MemberLeft { guild, user } => {
                self.doubtful.remove(&(guild, user));
                self.roster.member_left(guild, user);
                self.roster.touch(user);
            }
        }
    }

    fn see_member(&mut self, guild: GuildId, user: UserId, roles: Vec<RoleId>) {
        let member = (guild, user);
        self.doubtful.remove(&member);
        let now = Instant::now();
        match self.fresh.get(&member) {
            Some(at) if now < *at + DOUBT => {
                self.doubtful.insert(member, (*at + DOUBT, roles));
            }
            _ => self.roster.observe_member(guild, user, &roles),
        }
    }

    /// When the next doubtful observation is to be believed, or a member with an unsettled intent to be looked at again.
    pub(super) fn next_settling(&self) -> Option<Instant> {
        let doubtful = self.doubtful.values().map(|(due, _)| *due);
        doubtful.chain(self.unsettled.values().copied()).min()
    }

    /// Believes the observations that nothing newer has replaced, and looks again at what was not settled.
    pub(super) fn settle_doubts(&mut self) {
        let now = Instant::now();
        for (user, _) in self.unsettled.extract_if(.., |_, due| *due <= now) {
            self.roster.touch(user);
        }
        let due: Vec<_> = self
            .doubtful
            .iter()
            .filter(|(_, (due, _))| *due <= now)
            .map(|(member, _)| *member)
            .collect();
        for (guild, user) in due {
            if let Some((_, roles)) = self.doubtful.remove(&(guild, user)) {
                self.roster.observe_member(guild, user, &roles);
            }
        }
        self.fresh.retain(|_, at| now < *at + DOUBT);
    }

    /// Reads every server that matters.
    pub(super) fn observe_all(&mut self) {
        let guilds: Vec<_> = self.roster.guilds().map(|(guild, _)| guild).collect();
        for guild in guilds {
            self.observe(guild, Duration::ZERO);
        }
    }

    /// Reads a server after what a reading under way may have missed: then it is read once more afterwards.
    fn observe_anew(&mut self, guild: GuildId) {
        match self.under_observation.get_mut(&guild) {
            Some(underway) => underway.again |= underway.begins <= Instant::now(),
            None => self.observe(guild, Duration::ZERO),
        }
    }

    /// Reads a server, unless that is under way.
    pub(super) fn observe(&mut self, guild: GuildId, pause: Duration) {
        let interest = self.roster.roles_of_interest(guild);
        if interest.is_empty() || self.under_observation.contains_key(&guild) {
            return;
        }
        let underway = Underway {
            begins: Instant::now() + pause,
            again: false,
        };
        self.under_observation.insert(guild, underway);
        let discord = self.discord.clone();
        self.observing.spawn(async move {
            tokio::time::sleep(pause).await;
            let observed = discord.read_guild(guild, &interest).await;
            (guild, interest, observed)
        });
    }

    /// Takes what was read of a server.
    pub(super) fn take_observed(
        &mut self,
        (guild, interest, observed): (GuildId, BTreeSet<RoleId>, anyhow::Result<Reading>),
    ) {
        let underway = self.under_observation.remove(&guild);
        let again = underway.is_some_and(|underway| underway.again);
        match observed {
            Ok(reading) => {
                // Not before now: what was acknowledged or seen since the last page would be undone by the older picture,
                // and a role that seems not to be held is forgotten instead of taken away.
                let observation = reading.finish();
                self.unreadable.remove(&guild);
                info!(%guild, members = observation.present.len(), "server read");
                self.roster.observe_guild(
                    guild,
                    interest.clone(),
                    observation.present,
                    observation.members,
                );
                self.roster.set_role_names(guild, observation.role_names);
                if again || !self.roster.roles_of_interest(guild).is_subset(&interest) {
                    self.observe(guild, Duration::ZERO);
                }
                if self.syncing.contains_key(&guild) {
                    self.synced.insert(guild);
                    self.touch_everyone();
                }
            }
            Err(error) => {
                // Whoever waits is told that it failed.
                self.syncing.remove(&guild);
                let sentence = format!("{error:#}");
                let (tries, said) = self.unreadable.entry(guild).or_default();
                // A server that stays away is told of once and asked ever more rarely.
                if *said != sentence {
                    warn!(%guild, error = sentence, "the server could not be read");
                    *said = sentence;
                }
                let pause = (RETRY * 2_u32.saturating_pow(*tries)).min(LONGEST_RETRY);
                *tries = (*tries + 1).min(16);
                self.observe(guild, pause);
            }
        }
        self.note_trouble();
    }

    /// Passes Discord's standing errors on to where members' standings are told.
    pub(super) fn note_trouble(&mut self) {
        let failing = self.discord_status.borrow_and_update().failing.clone();
        self.roster.set_trouble(failing);
    }
}
