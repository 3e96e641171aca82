//! Takes what Discord shows: the gateway's events, and the answers to what was asked.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::info;

use super::Roles;
use super::people::Presence;
use super::reading::{Answer, Read};
use crate::discord::Observation;
use crate::domain::{
    DriftMode, GuildId, ReadingState, RoleAction, ServerStatus, SyncOutcome, UserId,
};

/// A new session announces each server once, within this time.
const ANNOUNCING: Duration = Duration::from_secs(60);

impl Roles {
    pub(super) fn take_observation(&mut self, observation: Observation) {
        let now = Instant::now();
        match observation {
            Observation::Connected => {
                self.reading.begin_at = now;
                self.reading.unannounced = self.people.guilds();
                for guild in &self.reading.unannounced {
                    self.people.lose_sight(*guild);
                }
                self.reading.want_everyone(&self.people, now);
            }
            Observation::GuildAvailable(guild) => {
                let was_gone = self.reading.gone.remove(&guild)
                    | self.reading.unreadable.remove(&guild).is_some();
                let is_announced = self.reading.unannounced.remove(&guild)
                    && now < self.reading.round_at + ANNOUNCING;
                if was_gone || !is_announced {
                    self.people.lose_sight(guild);
                    self.reading.want_server(&self.people, guild);
                }
            }
            Observation::GuildGone(guild) => {
                self.reading.gone.insert(guild);
            }
            // The worker reads the roles again.
            Observation::RolesChanged(_) => {}
            Observation::RoleDeleted { guild, role } => self.people.strike_role(guild, role),
            Observation::MemberSeen { guild, member } => self.people.see_member(guild, &member),
            Observation::MemberLeft { guild, user } => self.people.left(guild, user),
        }
    }

    /// Wants who is new, and whoever is due again; sends the requests.
    pub(super) fn read_on(&mut self) {
        let now = Instant::now();
        for (guild, user) in self.people.take_unread() {
            self.reading.want(&self.people, guild, user);
        }
        let intent = self.inputs.discord_status.borrow().members_intent;
        if self.reading.is_round_over(intent, now) {
            self.reading.want_everyone(&self.people, now);
        }
        // While history is being read, each batch makes more people of interest: asked for piece by piece, one server after
        // another would use up the gateway's requests, and nothing is planned before its end anyway.
        if self.progress.reached_tip || self.mode() != DriftMode::Chain {
            self.reading.start(&self.people, &self.discord, intent, now);
        }
    }

    pub(super) fn take_answer(&mut self, Answer { guild, asked, read }: Answer) {
        if let Some(requests) = self.reading.under_way.get_mut(&guild) {
            *requests -= 1;
            if *requests == 0 {
                self.reading.under_way.remove(&guild);
            }
        }
        let failure = match read {
            Read::People(_, Ok(shown)) => {
                self.people.read_all(guild, &shown, asked);
                None
            }
            Read::People(users, Err(error)) => {
                for user in users {
                    self.reading.want(&self.people, guild, user);
                }
                Some(error)
            }
            Read::Page(after, Ok((page, is_full))) => {
                if after == UserId(0) {
                    self.people.forget_claimed(guild);
                }
                if let Some(last) = page.last().filter(|_| is_full) {
                    self.reading.want_page(guild, last.user);
                }
                for member in &page {
                    self.people.see_listed(guild, member, asked);
                }
                None
            }
            Read::Page(after, Err(error)) => {
                self.reading.want_page(guild, after);
                Some(error)
            }
        };
        match failure {
            Some(error) => {
                self.reading.failed(guild, &error, Instant::now());
                let failed = ReadingState::Failed(format!("{error:#}"));
                self.discord.show(guild, |status| status.reading = failed);
            }
            None => {
                self.reading.unreadable.remove(&guild);
                // Round after round, so that only the news is worth a line.
                let is_news = |status: &mut ServerStatus| {
                    std::mem::replace(&mut status.reading, ReadingState::Done) != ReadingState::Done
                };
                if self.reading.is_read(guild) && self.discord.show(guild, is_news) {
                    info!(%guild, "server read");
                }
            }
        }
    }

    /// Reads a server for whoever asked; the answer follows in [`Self::tell_synced`].
    pub(super) fn sync(&mut self, guild: GuildId, answer: oneshot::Sender<SyncOutcome>) {
        if self.people.roles_of(guild).is_empty() {
            let _gone = answer.send(SyncOutcome::default());
            return;
        }
        if self.reading.gone.contains(&guild) {
            // Dropped: the server cannot be read.
            return;
        }
        self.reading.syncing.entry(guild).or_default().push(answer);
        self.reading.unreadable.remove(&guild);
        self.reading.want_server(&self.people, guild);
        self.lift_contests(guild);
        self.people.touch_server(guild);
    }

    /// Answers those whose server was read, now that what came of it is decided.
    pub(super) fn tell_synced(&mut self) {
        let read = self.reading.syncing.keys().copied();
        let read: Vec<_> = read
            .filter(|guild| self.reading.is_read(*guild))
            .filter_map(|guild| Some((guild, self.confirming.unconfirmed(guild)?)))
            .collect();
        for (guild, unconfirmed) in read {
            let mut synced = SyncOutcome {
                unconfirmed,
                at_tip: self.inputs.chain.borrow().at_tip,
                ..SyncOutcome::default()
            };
            for (_, seat) in self.people.seated(guild) {
                synced.members += usize::from(seat.presence >= Presence::Pending);
                for ours in &seat.applied {
                    match ours.state.outstanding() {
                        Some(RoleAction::Grant) => synced.grants += 1,
                        Some(RoleAction::Revoke) => synced.revokes += 1,
                        None => {}
                    }
                }
            }
            let held = self.brake.held_back().into_iter();
            let here = held.filter(|((of, _), _)| *of == guild);
            synced.held_back = here.map(|(_, held)| held.removals).sum();
            for answer in self.reading.syncing.remove(&guild).into_iter().flatten() {
                // Whoever asked may have gone.
                let _gone = answer.send(synced);
            }
        }
    }
}
