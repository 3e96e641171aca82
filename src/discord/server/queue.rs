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

/// The outstanding changes of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: BTreeMap<(UserId, RoleId), Item>,
    /// What may be sent, by role, so that a role that is held back costs nothing.
    ready: BTreeMap<RoleId, BTreeSet<(Next, u64, UserId)>>,
    /// What waits for its next try.
    waiting: BTreeSet<(Instant, UserId, RoleId)>,
    /// What is on its way. There is one worker, so it is at most one.
    sending: Option<Intent>,
    /// What cannot work at the moment.
    pub(crate) troubles: Troubles,
    next_order: u64,
}

#[derive(Debug)]
struct Item {
    intent: Intent,
    kind: Next,
    order: u64,
    since: Instant,
    state: State,
    /// Tries that failed in a row.
    failures: u32,
    /// The code of the failure that was reported last; the same one is not reported again.
    reported: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Sending,
    /// For its next try.
    Waiting(Instant),
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
        let kind = Next::of(&intent);
        if let Some(item) = self.items.get_mut(&key)
            && item.intent.change.action == intent.change.action
            && item.kind <= kind
        {
            item.intent = intent;
            return;
        }
        self.remove(key);
        let is_on_its_way = self.sending.as_ref().is_some_and(|sending| {
            let change = &sending.change;
            (change.user, change.role, change.action) == (key.0, key.1, intent.change.action)
        });
        let item = Item {
            intent,
            kind,
            order: self.next_order,
            since: now,
            state: State::Sending,
            failures: 0,
            reported: None,
        };
        self.next_order += 1;
        self.items.insert(key, item);
        if !is_on_its_way {
            self.make_ready(key);
        }
    }

    /// Drops a change that is not wanted any more; it may have been sent.
    pub(crate) fn withdraw(&mut self, user: UserId, role: RoleId) {
        self.remove((user, role));
    }

    /// What is to be sent now.
    pub(crate) fn peek(&mut self, now: Instant) -> Option<Next> {
        self.wake(now);
        let key = self.first(now)?;
        Some(self.items.get(&key)?.kind)
    }

    /// Takes what is to be sent now, if it is of this kind. [`Queue::finish`] must follow.
    pub(crate) fn take(&mut self, next: Next, now: Instant) -> Option<Intent> {
        self.wake(now);
        let key = self.first(now)?;
        if self.items.get(&key)?.kind != next {
            return None;
        }
        self.leave(key);
        let item = self.items.get_mut(&key)?;
        item.state = State::Sending;
        self.sending = Some(item.intent.clone());
        self.sending.clone()
    }

    /// When something becomes ready by itself.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let held = self
            .ready
            .keys()
            .filter_map(|role| self.troubles.held_until(*role));
        held.chain(self.waiting.first().map(|(until, ..)| *until))
            .min()
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
        let item = self.items.get(&key);
        // Replaced by its opposite or dropped while it was on its way: what became of it no longer matters here.
        let wanted = item.is_some_and(|item| item.state == State::Sending);
        let failures = item.map_or(0, |item| item.failures);
        let later = now + backoff::rare_delay(failures).mul_f64(0.8 + 0.4 * jitter);
        if wanted && matches!(end, End::Done | End::NotThere) {
            self.items.remove(&key);
        }
        let (code, message, new) = match end {
            End::Done => {
                self.troubles.worked(sent.change.role);
                return Some((sent, Answered::Done));
            }
            End::NotThere => return Some((sent, Answered::NotThere)),
            End::Postponed => {
                self.make_ready(key);
                return None;
            }
            End::Passing { message } => {
                self.wait(key, now + backoff::delay(failures, jitter));
                (0, message, true)
            }
            End::Unclassified { code, message } => {
                self.wait(key, later);
                (code, message, true)
            }
            End::Stuck {
                scope,
                code,
                sentence,
                seen,
            } => {
                self.make_ready(key);
                let new = self.troubles.note(scope, sentence.clone(), seen, now);
                (code, sentence, new)
            }
            End::Held { code, message } => {
                self.make_ready(key);
                (code, message, true)
            }
        };
        let item = self.items.get_mut(&key).filter(|_| wanted)?;
        if matches!(item.state, State::Waiting { .. }) {
            item.failures = failures.saturating_add(1);
        }
        let reported = item.reported.replace(code);
        let failed = Answered::Failed { code, message };
        (new && reported != Some(code)).then_some((sent, failed))
    }

    /// The roles that changes are outstanding for.
    pub(crate) fn roles(&self) -> BTreeSet<RoleId> {
        self.items.keys().map(|(_, role)| *role).collect()
    }

    /// The first that may be sent; held back ones when their time has come.
    fn first(&self, now: Instant) -> Option<(UserId, RoleId)> {
        if self.sending.is_some() {
            return None;
        }
        let may_leave = self.ready.iter().filter(|(role, _)| {
            let held = self.troubles.held_until(**role);
            held.is_none_or(|until| until <= now)
        });
        let firsts = may_leave.flat_map(|(role, ready)| {
            let oldest_revoke = ready.range((Next::Revoke, 0, UserId(0))..).next();
            let firsts = ready.first().into_iter().chain(oldest_revoke);
            firsts.map(|(kind, order, user)| {
                let item = self.items.get(&(*user, *role));
                let is_old = item.is_some_and(|item| item.since + OLD <= now);
                let waits = *kind != Next::JustNow && !(*kind == Next::Revoke && is_old);
                (waits, *kind, *order, *user, *role)
            })
        });
        firsts.min().map(|(.., user, role)| (user, role))
    }

    fn wake(&mut self, now: Instant) {
        while let Some((_, user, role)) = self
            .waiting
            .first()
            .copied()
            .filter(|(until, ..)| *until <= now)
        {
            self.make_ready((user, role));
        }
    }

    fn make_ready(&mut self, key: (UserId, RoleId)) {
        self.leave(key);
        let Some(item) = self.items.get_mut(&key) else {
            return;
        };
        item.state = State::Ready;
        let ready = self.ready.entry(key.1).or_default();
        ready.insert((item.kind, item.order, key.0));
    }

    fn wait(&mut self, key: (UserId, RoleId), until: Instant) {
        let item = self.items.get_mut(&key);
        if let Some(item) = item.filter(|item| item.state == State::Sending) {
            item.state = State::Waiting(until);
            self.waiting.insert((until, key.0, key.1));
        }
    }

    fn remove(&mut self, key: (UserId, RoleId)) {
        self.leave(key);
        self.items.remove(&key);
    }

    /// Takes an item out of the set that its state says.
    fn leave(&mut self, (user, role): (UserId, RoleId)) {
        let Some(item) = self.items.get(&(user, role)) else {
            return;
        };
        match item.state {
            State::Sending => {}
            State::Waiting(until) => {
                self.waiting.remove(&(until, user, role));
            }
            State::Ready => {
                if let Some(ready) = self.ready.get_mut(&role) {
                    ready.remove(&(item.kind, item.order, user));
                    if ready.is_empty() {
                        self.ready.remove(&role);
                    }
                }
            }
        }
    }
}
