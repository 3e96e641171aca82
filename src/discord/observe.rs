//! Reads a server as it is: who is in it and who holds the roles that matter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serenity::http::{LightMethod, Request, Route};

use super::error::{Failure, Reason};
use super::outbox::delay;
use super::shared::{Shared, snowflake};
use crate::domain::{GuildId, RoleAction, RoleChange, RoleId, UserId};
use crate::text;

/// Members per request; Discord allows no more.
const PAGE: usize = 1000;
/// Tries of one request that fails for a passing reason; with the pauses between them about half a minute.
const TRIES: u32 = 6;

/// A server at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuildObservation {
    /// Its name.
    pub name: String,
    /// Members who hold wanted roles, with these roles alone; by user.
    pub members: Vec<(UserId, Vec<RoleId>)>,
    /// Everyone who is in the server, sorted.
    pub present: Vec<UserId>,
    /// All roles of the server by name.
    pub role_names: BTreeMap<RoleId, String>,
    /// The bot's highest role.
    pub highest_role: Option<RoleId>,
    /// The bot's permissions in the whole server, as Discord's bits.
    pub permissions: u64,
    /// What keeps the bot from changing a wanted role, each with one sentence on what to do.
    pub problems: BTreeMap<RoleId, String>,
}

/// What happened while a server was being read; it is newer than the pages.
#[derive(Debug, Default)]
pub(crate) struct Meanwhile {
    /// The last roles told by the gateway; `None` for a member who left.
    members: BTreeMap<UserId, Option<Vec<RoleId>>>,
    /// Our own changes of members that the gateway has told nothing about, in order.
    changes: Vec<(UserId, RoleId, RoleAction)>,
}

impl Meanwhile {
    pub(crate) fn seen(&mut self, user: UserId, roles: &[RoleId]) {
        self.members.insert(user, Some(roles.to_vec()));
    }

    pub(crate) fn left(&mut self, user: UserId) {
        self.members.insert(user, None);
    }

    pub(crate) fn changed(&mut self, change: &RoleChange) {
        match self.members.get_mut(&change.user) {
            Some(Some(roles)) => apply(roles, change.role, change.action),
            Some(None) => {}
            None => self.changes.push((change.user, change.role, change.action)),
        }
    }

    /// Brings what was read up to date.
    fn amend(
        self,
        holders: &mut BTreeMap<UserId, Vec<RoleId>>,
        present: &mut BTreeSet<UserId>,
        wanted: &BTreeSet<RoleId>,
    ) {
        for (user, role, action) in self.changes {
            if wanted.contains(&role) && present.contains(&user) {
                apply(holders.entry(user).or_default(), role, action);
            }
        }
        for (user, roles) in self.members {
            holders.remove(&user);
            match roles {
                Some(roles) => {
                    present.insert(user);
                    holders.insert(
                        user,
                        roles
                            .into_iter()
                            .filter(|role| wanted.contains(role))
                            .collect(),
                    );
                }
                None => {
                    present.remove(&user);
                }
            }
        }
        holders.retain(|_, roles| !roles.is_empty());
    }
}

fn apply(roles: &mut Vec<RoleId>, role: RoleId, action: RoleAction) {
    roles.retain(|held| *held != role);
    if action == RoleAction::Grant {
        roles.push(role);
    }
}

/// A server that has been read. Until it is finished, what the gateway tells and what is changed still becomes part of
/// it: whoever learns of the same events by another way must not find an older picture in it.
#[derive(Debug)]
pub struct Reading {
    observation: GuildObservation,
    recording: Recording,
}

impl Reading {
    /// The server as it is known now.
    pub fn finish(self) -> GuildObservation {
        let mut observation = self.observation;
        let mut holders: BTreeMap<_, _> = observation.members.into_iter().collect();
        let mut present: BTreeSet<_> = observation.present.into_iter().collect();
        let meanwhile = self.recording.finish();
        meanwhile.amend(&mut holders, &mut present, &self.recording.wanted);
        observation.members = holders.into_iter().collect();
        observation.present = present.into_iter().collect();
        observation
    }
}

/// Collects what happens from its making until it is finished or dropped.
#[derive(Debug)]
struct Recording {
    shared: Arc<Shared>,
    guild: GuildId,
    wanted: BTreeSet<RoleId>,
    number: u64,
}

impl Recording {
    fn start(shared: Arc<Shared>, guild: GuildId, wanted: BTreeSet<RoleId>) -> Self {
        let number = shared.number_a_reading();
        shared.change(guild, |state| {
            state.watch(&wanted);
            state.meanwhile.insert(number, Meanwhile::default());
        });
        Self {
            shared,
            guild,
            wanted,
            number,
        }
    }

    fn finish(&self) -> Meanwhile {
        self.shared
            .with(self.guild, |state| state.meanwhile.remove(&self.number))
            .unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _forgotten = self.finish();
    }
}

/// One member of a page; everything else in it is skipped.
#[derive(Deserialize)]
struct PageMember {
    user: PageUser,
    roles: Vec<RoleId>,
}

#[derive(Deserialize)]
struct PageUser {
    id: UserId,
}

pub(crate) async fn read(
    shared: Arc<Shared>,
    guild: GuildId,
    wanted: BTreeSet<RoleId>,
) -> anyhow::Result<Reading> {
    let recording = Recording::start(shared, guild, wanted);
    let (shared, wanted) = (&recording.shared, &recording.wanted);
    let mut patience = Patience::default();
    let roles = loop {
        match shared.read_roles(guild).await {
            Ok(roles) => break roles,
            Err(failure) => patience
                .wait(failure)
                .await
                .with_context(|| format!("cannot read the roles of the Discord server {guild}"))?,
        }
    };
    let mut holders = BTreeMap::new();
    let mut present = BTreeSet::new();
    let mut after = UserId(0);
    loop {
        let page = match page(shared, guild, after).await {
            Ok(page) => page,
            // The bot is in the server, or its roles could not have been read.
            Err(failure) if failure.reason() == Some(Reason::Guild) => {
                shared.refuse_members_intent();
                bail!(text::intent_refused())
            }
            Err(failure) => {
                patience.wait(failure).await.with_context(|| {
                    format!("cannot read the members of the Discord server {guild}")
                })?;
                continue;
            }
        };
        patience = Patience::default();
        let full = page.len() >= PAGE;
        for PageMember { user, roles } in page {
            after = after.max(user.id);
            present.insert(user.id);
            let held: Vec<_> = roles
                .into_iter()
                .filter(|role| wanted.contains(role))
                .collect();
            if !held.is_empty() {
                holders.insert(user.id, held);
            }
        }
        if !full {
            break;
        }
    }
    shared.change(guild, |state| state.queue.present(&present));
    let problem = |role: &RoleId| {
        let obstacle = roles.obstacle(guild, *role)?;
        Some((*role, text::obstacle(&roles.name, *role, &obstacle)))
    };
    let observation = GuildObservation {
        name: roles.name.clone(),
        members: holders.into_iter().collect(),
        present: present.into_iter().collect(),
        role_names: roles
            .roles
            .iter()
            .map(|(id, role)| (*id, role.name.clone()))
            .collect(),
        highest_role: roles.highest().map(|(id, _)| id),
        permissions: roles.permissions(guild),
        problems: wanted.iter().filter_map(problem).collect(),
    };
    Ok(Reading {
        observation,
        recording,
    })
}

async fn page(shared: &Shared, guild: GuildId, after: UserId) -> Result<Vec<PageMember>, Failure> {
    let route = Route::GuildMembers {
        guild_id: snowflake(guild.0).into(),
    };
    let params = vec![("limit", PAGE.to_string()), ("after", after.to_string())];
    shared
        .rest
        .call(Request::new(route, LightMethod::Get).params(Some(params)))
        .await
}

/// Waits before another try of what fails for a passing reason.
#[derive(Default)]
struct Patience {
    failures: u32,
}

impl Patience {
    /// Returns when it is time for another try, or with the failure when none would help.
    async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        if !matches!(failure, Failure::Transient(_)) || self.failures + 1 >= TRIES {
            return Err(failure);
        }
        tokio::time::sleep(delay(self.failures, rand::random())).await;
        self.failures += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Cause;

    #[test]
    fn what_happens_while_a_server_is_read_wins_over_what_was_read() {
        let (paid, other) = (RoleId(1), RoleId(2));
        let wanted = BTreeSet::from([paid]);
        let user = UserId;
        let change = |id, action| RoleChange {
            action,
            guild: GuildId(9),
            user: user(id),
            role: paid,
            cause: Cause::Drift,
        };
        let mut holders = BTreeMap::from([
            (user(1), vec![paid]),
            (user(2), vec![paid]),
            (user(3), vec![paid]),
        ]);
        let mut present: BTreeSet<_> = (1..=5).map(user).collect();
        let mut meanwhile = Meanwhile::default();
        meanwhile.left(user(1));
        meanwhile.changed(&change(2, RoleAction::Revoke));
        meanwhile.seen(user(3), &[other]);
        meanwhile.changed(&change(4, RoleAction::Grant));
        meanwhile.seen(user(5), &[other]);
        meanwhile.changed(&change(5, RoleAction::Grant));
        meanwhile.seen(user(6), &[paid, other]);
        meanwhile.amend(&mut holders, &mut present, &wanted);
        let held = |id| (user(id), vec![paid]);
        assert_eq!(
            holders.into_iter().collect::<Vec<_>>(),
            [held(4), held(5), held(6)]
        );
        assert_eq!(
            present.into_iter().collect::<Vec<_>>(),
            [2, 3, 4, 5, 6].map(user)
        );
    }
}
