//! One server's outstanding role changes: what to send next, what waits, what is held back.
//!
//! Pure: `now` and the jitter are parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::trouble::{Scope, Troubles};
use crate::discord::Answered;
use crate::discord::backoff;
use crate::domain::{Intent, RoleAction, RoleId, UserId};

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

/// A place in the line, which is sent from its beginning.
type Place = (Next, u64, UserId, RoleId);

/// The outstanding changes of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: BTreeMap<(UserId, RoleId), Item>,
    line: BTreeSet<Place>,
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
    /// When it may be tried again.
    not_before: Option<Instant>,
    /// Tries that failed in a row.
    failures: u32,
    /// The code of the failure that was reported last; the same one is not reported again.
    reported: Option<u32>,
}

impl Item {
    fn place(&self) -> Place {
        let change = &self.intent.change;
        (Next::of(&self.intent), self.order, change.user, change.role)
    }
}

/// How a change that was taken ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Discord acknowledged it.
    Done,
    /// The member is not in the server.
    NotThere,
    /// It was not Discord's last word (429); it stays first in line.
    Postponed,
    /// A failure that may pass by itself.
    Passing { message: String },
    /// An error code that we do not handle.
    Unclassified { code: u32, message: String },
    /// It cannot work until a person repairs something; `seen` as in [`Troubles`].
    Stuck {
        scope: Scope,
        code: u32,
        sentence: String,
        seen: bool,
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
        self.line.insert(item.place());
        self.items.insert(key, item);
    }

    /// Drops a change that is not wanted any more; it may have been sent.
    pub(crate) fn withdraw(&mut self, user: UserId, role: RoleId) {
        self.remove((user, role));
    }

    /// What is to be sent now.
    pub(crate) fn peek(&self, now: Instant) -> Option<Next> {
        self.first(now).map(|(kind, ..)| *kind)
    }

    /// Takes what is to be sent now, if it is of this kind. [`Queue::finish`] must follow.
    pub(crate) fn take(&mut self, next: Next, now: Instant) -> Option<Intent> {
        let (_, _, user, role) = self.first(now).filter(|(kind, ..)| *kind == next)?;
        self.sending = Some(self.items.get(&(*user, *role))?.intent.clone());
        self.sending.clone()
    }

    /// When something may be sent that may not be now.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let held = self.line.iter().filter_map(|place| self.held_until(place));
        held.min()
    }

    /// Notes how the taken change ended; answers what to tell about it.
    pub(crate) fn finish(
        &mut self,
        end: End,
        now: Instant,
        jitter: f64,
    ) -> Option<(Intent, Answered)> {
        let sent = self.sending.take()?;
        let key = (sent.change.user, sent.change.role);
        // Replaced by its opposite or dropped while it was on its way: what became of it no longer matters here.
        let is_wanted = |item: &&mut Item| item.intent.change.action == sent.change.action;
        let item = self.items.get_mut(&key).filter(is_wanted);
        let failures = item.as_ref().map_or(0, |item| item.failures);
        let (code, message, is_new, pause) = match end {
            End::Done | End::NotThere => {
                if item.is_some() {
                    self.remove(key);
                }
                if end == End::NotThere {
                    return Some((sent, Answered::NotThere));
                }
                self.troubles.worked(sent.change.role);
                return Some((sent, Answered::Done));
            }
            End::Postponed => return None,
            End::Passing { message } => (0, message, true, Some(backoff::delay(failures, jitter))),
            End::Unclassified { code, message } => {
                let pause = backoff::rare_delay(failures).mul_f64(0.8 + 0.4 * jitter);
                (code, message, true, Some(pause))
            }
            End::Stuck {
                scope,
                code,
                sentence,
                seen,
            } => {
                let is_new = self.troubles.note(scope, sentence.clone(), seen, now);
                (code, sentence, is_new, None)
            }
            End::Held { code, message } => (code, message, true, None),
        };
        let item = item?;
        if let Some(pause) = pause {
            item.not_before = Some(now + pause);
            item.failures = failures.saturating_add(1);
        }
        let reported = item.reported.replace(code);
        let failed = Answered::Failed { code, message };
        (is_new && reported != Some(code)).then_some((sent, failed))
    }

    /// The roles that changes are outstanding for.
    pub(crate) fn roles(&self) -> BTreeSet<RoleId> {
        self.items.keys().map(|(_, role)| *role).collect()
    }

    /// The first that may be sent.
    fn first(&self, now: Instant) -> Option<&Place> {
        if self.sending.is_some() {
            return None;
        }
        let may_leave = |place: &&Place| self.held_until(place).is_none_or(|until| until <= now);
        let first = self.line.iter().find(may_leave)?;
        let mut revokes = self.line.range((Next::Revoke, 0, UserId(0), RoleId(0))..);
        let is_old = |(_, _, user, role): &&Place| {
            let item = self.items.get(&(*user, *role));
            item.is_some_and(|item| item.since + OLD <= now)
        };
        match first.0 {
            Next::JustNow => Some(first),
            Next::Grant | Next::Revoke => revokes.find(may_leave).filter(is_old).or(Some(first)),
        }
    }

    /// Until when a change waits for its next try, or for what is wrong with its role or the server to be repaired.
    fn held_until(&self, (_, _, user, role): &Place) -> Option<Instant> {
        let item = self.items.get(&(*user, *role));
        let not_before = item.and_then(|item| item.not_before);
        not_before.max(self.troubles.held_until(*role))
    }

    fn remove(&mut self, key: (UserId, RoleId)) {
        if let Some(item) = self.items.remove(&key) {
            self.line.remove(&item.place());
        }
    }
}
