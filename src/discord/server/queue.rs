//! One server's outstanding role changes: what to send next, what waits, what is held back.
//!
//! Pure: `now` and the jitter are parameters.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::trouble::{Origin, Scope, Troubles};
use crate::discord::backoff;
use crate::domain::{Intent, Outcome, RoleAction, RoleId, UserId};

/// A removal that is older goes before grants in bulk: under a load that never ends they would wait for ever.
const OLD: Duration = Duration::from_secs(600);
/// Discord allows ten role changes in ten seconds and server.
const PACE: Duration = Duration::from_secs(1);

/// What kind of request goes next: each has limits of its own. What comes first here is sent first, and within a kind the
/// oldest; but removals older than [`OLD`] go before grants that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    /// A grant to a member who paid or verified just now.
    JustNow,
    /// Another grant.
    Grant,
    /// A removal.
    Revoke,
}

impl Next {
    fn of(intent: &Intent) -> Self {
        match (intent.change.action, intent.just_now) {
            (RoleAction::Grant, true) => Self::JustNow,
            (RoleAction::Grant, false) => Self::Grant,
            (RoleAction::Revoke, _) => Self::Revoke,
        }
    }
}

/// A place in the line of a role: first what may be sent (`None`), in this order; then what waits, by its moment.
type Place = (Option<Instant>, Next, u64, UserId);

/// Everything that may be sent stands at or behind this.
const READY: Place = (None, Next::JustNow, 0, UserId(0));
/// Of that, the removals.
const REVOKES: Place = (None, Next::Revoke, 0, UserId(0));
/// Everything that waits stands behind this.
const WAITING: Place = (None, Next::Revoke, u64::MAX, UserId(u64::MAX));

/// The outstanding changes of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: BTreeMap<(UserId, RoleId), Item>,
    /// By role, because what is wrong holds a role or the whole server: so a look never walks what is stuck or waits. None
    /// is empty.
    lines: BTreeMap<RoleId, BTreeSet<Place>>,
    /// What is on its way. There is one worker, so it is at most one.
    sending: Option<Intent>,
    /// What cannot work at the moment.
    pub(crate) troubles: Troubles,
    next_order: u64,
}

#[derive(Debug)]
struct Item {
    intent: Intent,
    order: u64,
    since: Instant,
    /// Until when it waits for its next try.
    not_before: Option<Instant>,
    /// Tries that failed in a row.
    failures: u32,
    /// The code of the failure that was reported last; the same one is not reported again.
    reported: Option<u32>,
}

impl Item {
    fn place(&self) -> Place {
        let kind = Next::of(&self.intent);
        (self.not_before, kind, self.order, self.intent.change.user)
    }
}

/// How a change that was taken ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Discord acknowledged it.
    Done,
    /// Discord knows no such member of the server. It stays, and is tried again, until it is withdrawn.
    NotThere,
    /// It was not Discord's last word (429); it stays first in line.
    Postponed,
    /// A failure that may pass by itself.
    Passing { message: String },
    /// An error code that we do not handle.
    Unclassified { code: u32, message: String },
    /// It cannot work until a person repairs something.
    Stuck {
        scope: Scope,
        code: u32,
        sentence: String,
        origin: Origin,
    },
    /// Nothing can be sent at all (the token is refused); someone else decides when to go on.
    Held { code: u32, message: String },
}

impl Queue {
    /// How many changes are decided and not yet acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// How long the last in line will wait at Discord's pace.
    pub(crate) fn wait_time(&self) -> Duration {
        PACE.saturating_mul(self.len().try_into().unwrap_or(u32::MAX))
    }

    /// Adds a change, in place of an earlier one of the same role of the member. One that is there already keeps its place and
    /// its schedule, unless the member paid or verified just now.
    pub(crate) fn put(&mut self, intent: Intent, now: Instant) {
        let key = (intent.change.user, intent.change.role);
        if let Some(item) = self.items.get_mut(&key)
            && item.intent.change.action == intent.change.action
            && Next::of(&item.intent) <= Next::of(&intent)
        {
            let just_now = item.intent.just_now;
            item.intent = Intent { just_now, ..intent };
            return;
        }
        self.remove(key);
        let item = Item {
            intent,
            order: self.next_order,
            since: now,
            not_before: None,
            failures: 0,
            reported: None,
        };
        self.next_order += 1;
        self.insert(key, item);
    }

    /// Drops a change that is not wanted any more, but not its opposite, if that took its place; it may have been sent.
    pub(crate) fn withdraw(&mut self, user: UserId, role: RoleId, action: RoleAction) {
        let key = (user, role);
        let is_it = |item: &Item| item.intent.change.action == action;
        if self.items.get(&key).is_some_and(is_it) {
            self.remove(key);
        }
    }

    /// What is to be sent now.
    pub(crate) fn peek(&mut self, now: Instant) -> Option<Next> {
        self.first(now).map(|(kind, _)| kind)
    }

    /// Takes what is to be sent now, if it is of this kind. [`Queue::finish`] must follow.
    pub(crate) fn take(&mut self, next: Next, now: Instant) -> Option<Intent> {
        let (_, key) = self.first(now).filter(|(kind, _)| *kind == next)?;
        self.sending = Some(self.items.get(&key)?.intent.clone());
        self.sending.clone()
    }

    /// When something may be sent, where nothing may be now.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let first = |(role, line): (&RoleId, &BTreeSet<Place>)| {
            let (not_before, ..) = line.first()?;
            (*not_before).max(self.troubles.held_until(*role))
        };
        self.lines.iter().filter_map(first).min()
    }

    /// Notes how the taken change ended; answers what to tell about it, as a [`crate::discord::Report`] does.
    pub(crate) fn finish(
        &mut self,
        end: End,
        now: Instant,
        jitter: f64,
    ) -> Option<(Intent, Option<Outcome>)> {
        let sent = self.sending.take()?;
        let key = (sent.change.user, sent.change.role);
        // Replaced by its opposite or dropped while it was on its way: what became of it no longer matters here.
        let is_wanted = |item: &&Item| item.intent.change.action == sent.change.action;
        let wanted = self.items.get(&key).filter(is_wanted);
        let failures = wanted.map(|item| item.failures);
        let soon = backoff::delay(failures.unwrap_or_default(), jitter);
        let failed = |code, message| Some(Outcome::Failed { code, message });
        let (outcome, is_new, pause) = match end {
            End::Done => {
                if failures.is_some() {
                    self.remove(key);
                }
                self.troubles.worked(sent.change.role);
                return Some((sent, Some(Outcome::Done)));
            }
            End::Postponed => return None,
            End::NotThere => (None, true, Some(soon)),
            End::Passing { message } => (failed(0, message), true, Some(soon)),
            End::Unclassified { code, message } => {
                let pause = backoff::rare_delay(failures.unwrap_or_default());
                let pause = pause.mul_f64(0.8 + 0.4 * jitter);
                (failed(code, message), true, Some(pause))
            }
            End::Stuck {
                scope,
                code,
                sentence,
                origin,
            } => {
                let is_new = self.troubles.note(scope, sentence.clone(), origin, now);
                (failed(code, sentence), is_new, None)
            }
            End::Held { code, message } => (failed(code, message), true, None),
        };
        if failures.is_none() {
            return outcome.is_none().then_some((sent, None));
        }
        let mut item = self.remove(key)?;
        if let Some(pause) = pause {
            item.not_before = Some(now + pause);
            item.failures = item.failures.saturating_add(1);
        }
        let is_new = match &outcome {
            Some(Outcome::Failed { code, .. }) => {
                item.reported.replace(*code) != Some(*code) && is_new
            }
            Some(Outcome::Done) | None => true,
        };
        self.insert(key, item);
        is_new.then_some((sent, outcome))
    }

    /// The roles that changes are outstanding for.
    pub(crate) fn roles(&self) -> BTreeSet<RoleId> {
        self.lines.keys().copied().collect()
    }

    /// The first that may be sent.
    fn first(&mut self, now: Instant) -> Option<(Next, (UserId, RoleId))> {
        if self.sending.is_some() {
            return None;
        }
        self.end_waits(now);
        let is_held = |role| {
            self.troubles
                .held_until(role)
                .is_some_and(|until| until > now)
        };
        let lines = self.lines.iter();
        let free = lines.filter_map(|(role, line)| match is_held(*role) {
            false => Some((role, line, READY)),
            true => self
                .troubles
                .is_gone(*role)
                .then_some((role, line, REVOKES)),
        });
        let first = |from: Place| {
            let of_roles = free.clone().filter_map(|(role, line, least)| {
                let (_, kind, order, user) = line.range(from.max(least)..WAITING).next()?;
                Some((*kind, *order, (*user, *role)))
            });
            of_roles.min().map(|(kind, _, key)| (kind, key))
        };
        let is_old = |(_, key): &(Next, (UserId, RoleId))| {
            let item = self.items.get(key);
            item.is_some_and(|item| item.since + OLD <= now)
        };
        match first(READY)? {
            urgent @ (Next::JustNow, _) => Some(urgent),
            other => first(REVOKES).filter(is_old).or(Some(other)),
        }
    }

    /// What has waited until now may be sent.
    fn end_waits(&mut self, now: Instant) {
        for (role, line) in &mut self.lines {
            while let Some(place) = line.range(WAITING..).next().copied()
                && place.0 <= Some(now)
            {
                line.remove(&place);
                if let Some(item) = self.items.get_mut(&(place.3, *role)) {
                    item.not_before = None;
                    line.insert(item.place());
                }
            }
        }
    }

    fn insert(&mut self, key: (UserId, RoleId), item: Item) {
        self.lines.entry(key.1).or_default().insert(item.place());
        self.items.insert(key, item);
    }

    fn remove(&mut self, key: (UserId, RoleId)) -> Option<Item> {
        let item = self.items.remove(&key)?;
        if let Entry::Occupied(mut line) = self.lines.entry(key.1) {
            line.get_mut().remove(&item.place());
            if line.get().is_empty() {
                line.remove();
            }
        }
        Some(item)
    }
}
