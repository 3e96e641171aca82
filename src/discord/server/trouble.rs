//! Standing errors of one server: what cannot work until a person repairs it, and when it is tried all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::hierarchy::{GuildRoles, Obstacle};
use crate::discord::backoff::rare_delay;
use crate::domain::{GuildId, RoleId};
use crate::text;

/// What is stuck: one role (`Some`) or the whole server (`None`).
pub(crate) type Scope = Option<RoleId>;

#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<Scope, Trouble>);

#[derive(Debug)]
struct Trouble {
    sentence: String,
    /// Then it is looked after, even if no event told of a repair.
    try_at: Instant,
    /// How often that was in vain.
    tries: u32,
    origin: Origin,
}

/// How it is known that something cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Discord refused, for a reason that the roles do not show.
    Refusal,
    /// The server's state shows it, so a fresh look can clear it.
    Seen,
    /// The same: the role is not there. It cannot be given; Discord answers to its removal that nobody holds it.
    Gone,
}

impl Origin {
    /// How this obstacle is known.
    pub(crate) fn of(obstacle: &Obstacle) -> Self {
        match obstacle {
            Obstacle::Gone => Self::Gone,
            _ => Self::Seen,
        }
    }
}

impl Troubles {
    /// Notes what cannot work; answers whether the error is new.
    pub(crate) fn note(
        &mut self,
        scope: Scope,
        sentence: String,
        origin: Origin,
        now: Instant,
    ) -> bool {
        let known = self.0.remove(&scope);
        let is_new = known.is_none();
        let error = match known {
            Some(known) if now < known.try_at => Trouble {
                sentence,
                origin,
                ..known
            },
            known => {
                let tries = known.map_or(0, |known| known.tries.saturating_add(1));
                Trouble {
                    sentence,
                    try_at: now + rare_delay(tries),
                    tries,
                    origin,
                }
            }
        };
        self.0.insert(scope, error);
        is_new
    }

    /// What works disproves its errors; but that a role is gone, its removal does not.
    pub(crate) fn worked(&mut self, role: RoleId) {
        if !self.0.is_empty() {
            self.0.remove(&None);
            if !self.is_gone(role) {
                self.0.remove(&Some(role));
            }
        }
    }

    /// Until when changes of this role are held back.
    pub(crate) fn held_until(&self, role: RoleId) -> Option<Instant> {
        let of = |scope: Scope| self.0.get(&scope).map(|error| error.try_at);
        of(None).max(of(Some(role)))
    }

    /// Whether the role is known not to be there, and nothing else is wrong: then it may be taken all the same.
    pub(crate) fn is_gone(&self, role: RoleId) -> bool {
        let of_role = self.0.get(&Some(role));
        of_role.is_some_and(|error| error.origin == Origin::Gone) && !self.0.contains_key(&None)
    }

    /// When to read the roles again, given the last time.
    pub(crate) fn next_check(&self, last: Instant) -> Option<Instant> {
        self.0
            .values()
            .map(|error| error.try_at)
            .filter(|at| last < *at)
            .min()
    }

    /// All of them with what to do about each.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = (Scope, &str)> {
        self.0
            .iter()
            .map(|(scope, error)| (*scope, error.sentence.as_str()))
    }

    /// Compares the errors with the server's roles as just read. `repaired` says that something has changed there, so
    /// that refusals which the roles did not explain deserve another try; `wanted` are the roles that matter.
    pub(crate) fn review(
        &mut self,
        guild: GuildId,
        roles: &GuildRoles,
        wanted: &BTreeSet<RoleId>,
        repaired: bool,
        now: Instant,
    ) {
        let mut found: BTreeMap<Scope, (String, Origin)> = BTreeMap::new();
        for role in wanted {
            let Some(obstacle) = roles.obstacle(guild, *role) else {
                continue;
            };
            let scope = scope(*role, &obstacle);
            let sentence = text::obstacle(&roles.name, *role, &obstacle);
            found.insert(scope, (sentence, Origin::of(&obstacle)));
        }
        self.0.retain(|scope, error| {
            let matters = scope.is_none_or(|role| wanted.contains(&role));
            let is_refusal = error.origin == Origin::Refusal;
            found.contains_key(scope) || (matters && is_refusal && !repaired)
        });
        for (scope, (sentence, origin)) in found {
            self.note(scope, sentence, origin, now);
        }
    }
}

/// What an obstacle in the way of `role` stops.
pub(crate) fn scope(role: RoleId, obstacle: &Obstacle) -> Scope {
    (*obstacle != Obstacle::NoManageRoles).then_some(role)
}
