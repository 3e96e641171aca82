//! PURE. Stops removals that are concluded from absence where they are too many of one role within an hour, until the reason
//! is gone or a person approves. What a member did and what an event on the chain says always passes.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Evidence, GuildId, HeldBack, Policy, RoleAction, RoleChange, RoleId, Timestamp, UserId,
};

/// Removals are counted over this time, in seconds of the machine's clock.
pub(super) const WINDOW: u64 = 3_600;

/// A role of one server.
type Key = (GuildId, RoleId);

/// A person let the stopped removals of a role through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Approval {
    /// When (machine clock).
    pub(super) at: Timestamp,
    pub(super) of: (GuildId, RoleId),
    /// How many members lost the role by it.
    pub(super) removals: u64,
}

/// What was removed of each role lately, and what is stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Brake {
    roles: BTreeMap<Key, Watched>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Watched {
    /// Removals of the last hour that were let through: when, and how many members held the role then.
    passed: BTreeMap<UserId, (Timestamp, usize)>,
    /// Since when removals are stopped.
    stopped: Option<Timestamp>,
    held: BTreeSet<UserId>,
    /// Removals that a person let through. They do not count.
    released: BTreeSet<UserId>,
    /// How many members held the role when it was looked at last.
    holders: usize,
}

/// What was planned for in one pass.
pub(super) struct Pass<'a> {
    /// Whether the member was looked at: a removal of theirs that was stopped before and is not among the changes now is
    /// not wanted any more. A member whose removal waits for the chain's answer was not looked at.
    pub(super) is_looked_at: &'a dyn Fn(GuildId, UserId) -> bool,
    /// Whether everyone in the server was, as to this role: if it is stopped, it is free again if no removal is wanted.
    pub(super) is_whole: &'a dyn Fn(GuildId, RoleId) -> bool,
    /// How many members hold a role now.
    pub(super) holders: &'a dyn Fn(GuildId, RoleId) -> usize,
    pub(super) policy: &'a Policy,
    /// The machine's clock.
    pub(super) now: Timestamp,
}

impl Brake {
    /// A brake that holds what was stopped before a restart ([`Brake::stopped`] then).
    pub(super) fn holding(stopped: impl IntoIterator<Item = (Key, Timestamp)>) -> Self {
        let mut brake = Self::default();
        for (role, since) in stopped {
            brake.roles.entry(role).or_default().stopped = Some(since);
        }
        brake
    }

    /// Counts the removals of the last hour that were let through before a restart, oldest first: those of the journal, and
    /// intents that are not acknowledged yet. Only what is concluded from absence counts, and not what an approval of the
    /// same hour let through: as many of its role as the newest one was for, from then on.
    pub(super) fn count(
        &mut self,
        removals: impl IntoIterator<Item = (Timestamp, RoleChange)>,
        approvals: impl IntoIterator<Item = Approval>,
    ) {
        let mut approved: BTreeMap<Key, Approval> = BTreeMap::new();
        for approval in approvals {
            let newest = approved.entry(approval.of).or_insert(approval);
            if newest.at < approval.at {
                *newest = approval;
            }
        }
        for (at, change) in removals.into_iter().filter(|(_, one)| counts(one)) {
            let key = (change.guild, change.role);
            match approved.get_mut(&key) {
                Some(approval) if at < approval.at => {}
                Some(approval) if approval.removals > 0 => approval.removals -= 1,
                _ => {
                    let watched = self.roles.entry(key).or_default();
                    watched.passed.insert(change.user, (at, 0));
                }
            }
        }
    }

    /// Takes the removals out of `changes` that are not to be made now. The same removal may come again, pass after pass,
    /// until it is made: it counts once.
    pub(super) fn hold_back(&mut self, changes: &mut Vec<RoleChange>, pass: &Pass<'_>) {
        let mut wanted: BTreeMap<Key, BTreeSet<UserId>> = BTreeMap::new();
        for change in changes.iter().filter(|change| counts(change)) {
            let of_role = wanted.entry((change.guild, change.role)).or_default();
            of_role.insert(change.user);
        }
        for key in wanted.keys() {
            self.roles.entry(*key).or_default();
        }
        for (key, watched) in &mut self.roles {
            watched.look(*key, wanted.remove(key).unwrap_or_default(), pass);
        }
        self.roles.retain(|_, watched| !watched.is_idle());
        changes.retain(|change| !(counts(change) && self.is_held(change)));
    }

    pub(super) fn is_held(&self, change: &RoleChange) -> bool {
        let watched = self.roles.get(&(change.guild, change.role));
        watched.is_some_and(|watched| watched.held.contains(&change.user))
    }

    /// Lets through exactly what is stopped of this role, once: whose removal that is. They pass from the next pass on that
    /// wants them.
    pub(super) fn approve(&mut self, guild: GuildId, role: RoleId) -> BTreeSet<UserId> {
        let Some(watched) = self.roles.get_mut(&(guild, role)) else {
            return BTreeSet::new();
        };
        let released = std::mem::take(&mut watched.held);
        if !released.is_empty() {
            watched.stopped = None;
            watched.passed.clear();
            watched.released.extend(released.iter().copied());
        }
        released
    }

    /// What is stopped, for people to see.
    pub(super) fn held_back(&self) -> BTreeMap<Key, HeldBack> {
        let held = self.roles.iter().filter_map(|(key, watched)| {
            let since = watched.stopped?;
            let held_back = HeldBack {
                removals: watched.held.len(),
                holders: watched.holders,
                since,
            };
            (!watched.held.is_empty()).then_some((*key, held_back))
        });
        held.collect()
    }

    /// The roles of which removals are stopped and since when: all that has to be stored.
    pub(super) fn stopped(&self) -> BTreeMap<Key, Timestamp> {
        let stopped = self.roles.iter();
        stopped
            .filter_map(|(key, watched)| Some((*key, watched.stopped?)))
            .collect()
    }
}

impl Watched {
    fn look(&mut self, (guild, role): Key, wanted: BTreeSet<UserId>, pass: &Pass<'_>) {
        let still = |user: &UserId| wanted.contains(user) || !(pass.is_looked_at)(guild, *user);
        self.held.retain(still);
        self.released.retain(still);
        let oldest = pass.now.0.saturating_sub(WINDOW);
        self.passed.retain(|_, (at, _)| at.0 > oldest);
        self.holders = (pass.holders)(guild, role);
        let may_pass =
            |user: &UserId| self.released.contains(user) || self.passed.contains_key(user);
        let new: BTreeSet<_> = wanted.into_iter().filter(|user| !may_pass(user)).collect();
        if self.stopped.is_none() && self.is_outsized(&new, pass.policy) {
            self.stopped = Some(pass.now);
        }
        if self.stopped.is_some() {
            self.held.extend(new);
            if self.held.is_empty() && (pass.is_whole)(guild, role) {
                self.stopped = None;
            }
        } else {
            let passed = (pass.now, self.holders);
            self.passed
                .extend(new.into_iter().map(|user| (user, passed)));
        }
    }

    /// Whether these removals, with those of the last hour, are more of the role than the policy allows without a question.
    fn is_outsized(&self, new: &BTreeSet<UserId>, policy: &Policy) -> bool {
        let removals = self.passed.len() + new.len();
        // Those who held it when the hour began: fewer do after each removal.
        let first = self.passed.values().min_by_key(|(at, _)| *at);
        let holders = first.map_or(0, |(_, holders)| *holders).max(self.holders);
        !new.is_empty()
            && removals >= policy.max_revoke_floor as usize
            && removals as f64 > policy.max_revoke_share * holders as f64
    }

    fn is_idle(&self) -> bool {
        self.stopped.is_none() && self.passed.is_empty() && self.released.is_empty()
    }
}

/// Whether the brake counts it.
fn counts(change: &RoleChange) -> bool {
    change.action == RoleAction::Revoke && change.cause.evidence() == Evidence::Absence
}

#[cfg(test)]
mod tests;
