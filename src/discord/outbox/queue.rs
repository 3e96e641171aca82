//! One server's outstanding role changes: what to send next, what waits, what is held back.
//!
//! Pure: `now` and the jitter are parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::schedule;
use super::standing::{Scope, Standing};
use crate::domain::{RoleAction, RoleChange, RoleId, UserId};

/// A change that was done just now and is wished for again waits for so long: either its report settles the matter, or
/// someone undid it.
const ECHO: Duration = Duration::from_secs(1);

/// The outstanding changes of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: BTreeMap<(UserId, RoleId), Item>,
    /// What may be sent, by role, so that a role that is held back costs nothing; grants first, then the oldest.
    ready: BTreeMap<RoleId, BTreeSet<(RoleAction, u64, UserId)>>,
    /// What waits for its next try.
    waiting: BTreeSet<(Instant, UserId, RoleId)>,
    /// What is on its way. There is one worker, so it is at most one.
    sending: Option<RoleChange>,
    /// What was done just now. The one who asked may not know it yet and ask again.
    done: BTreeMap<(UserId, RoleId), (RoleAction, Instant)>,
    /// Grants that got no answer, until someone asks: they may have been made nonetheless.
    unanswered: BTreeSet<(UserId, RoleId)>,
    /// What cannot work at the moment.
    pub(crate) standing: Standing,
    next_order: u64,
}

#[derive(Debug)]
struct Item {
    change: RoleChange,
    order: u64,
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
    /// For its next try; `away` when the member's return is what can help.
    Waiting {
        until: Instant,
        away: bool,
    },
}

/// How a change that was taken ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Discord acknowledged it.
    Done,
    /// It was not Discord's last word (429); it stays first in line.
    Postponed,
    /// A failure that may pass by itself.
    Passing { message: String },
    /// The member is not in the server.
    Away { code: u32, message: String },
    /// A refusal of this one change that nothing is known about.
    Odd { code: u32, message: String },
    /// It cannot work until a person repairs something; `seen` as in [`Standing`].
    Stuck {
        scope: Scope,
        code: u32,
        sentence: String,
        seen: bool,
    },
    /// Nothing can be sent at all (the token is refused); someone else decides when to go on.
    Held { code: u32, message: String },
}

/// What to tell the one who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    Failed { code: u32, message: String },
}

impl Queue {
    /// How many changes are decided and not yet acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Replaces a member's outstanding changes. A change that is already there keeps its place and its schedule.
    pub(crate) fn set(&mut self, user: UserId, changes: Vec<RoleChange>, now: Instant) {
        self.done.retain(|_, (_, at)| now < *at + ECHO);
        let wanted: BTreeMap<RoleId, RoleChange> = changes
            .into_iter()
            .map(|change| (change.role, change))
            .collect();
        let moot = self.keys(user, |role, item| {
            wanted
                .get(&role)
                .is_none_or(|change| change.action != item.change.action)
        });
        for key in moot {
            self.remove(key);
        }
        for (role, change) in wanted {
            let key = (user, role);
            if let Some(item) = self.items.get_mut(&key) {
                item.change = change;
                continue;
            }
            let on_its_way = self.sending.as_ref().is_some_and(|sending| {
                (sending.user, sending.role, sending.action) == (user, role, change.action)
            });
            let echo = self
                .done
                .get(&key)
                .filter(|(action, _)| *action == change.action);
            let echo = echo.map(|(_, at)| *at + ECHO);
            let order = self.next_order;
            self.next_order += 1;
            let item = Item {
                change,
                order,
                state: State::Sending,
                failures: 0,
                reported: None,
            };
            self.items.insert(key, item);
            match echo {
                _ if on_its_way => {}
                Some(until) => self.wait(key, until, false),
                None => self.make_ready(key),
            }
        }
    }

    /// Whether a change of this role is on its way, or ended so recently that it may not be heard of yet. Such a change may
    /// have been dropped from the outstanding ones.
    pub(crate) fn may_arrive(&self, user: UserId, role: RoleId, now: Instant) -> bool {
        let under_way = self.sending.as_ref();
        under_way.is_some_and(|sending| (sending.user, sending.role) == (user, role))
            || self
                .done
                .get(&(user, role))
                .is_some_and(|(_, at)| now < *at + ECHO)
            || self.unanswered.contains(&(user, role))
    }

    /// Takes the grants that got no answer since the last call, wished for or dropped by now.
    pub(crate) fn take_unanswered(&mut self) -> BTreeSet<(UserId, RoleId)> {
        std::mem::take(&mut self.unanswered)
    }

    /// The action of what is to be sent now.
    pub(crate) fn peek(&mut self, now: Instant) -> Option<RoleAction> {
        self.wake(now);
        self.first(now).map(|(action, ..)| action)
    }

    /// Takes what is to be sent now, if it has this action. [`Queue::finish`] must follow.
    pub(crate) fn take(&mut self, action: RoleAction, now: Instant) -> Option<RoleChange> {
        self.wake(now);
        let (_, _, user, role) = self.first(now).filter(|first| first.0 == action)?;
        let key = (user, role);
        self.leave(key);
        let item = self.items.get_mut(&key)?;
        item.state = State::Sending;
        self.sending = Some(item.change.clone());
        self.sending.clone()
    }

    /// When something becomes ready by itself.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let held = self
            .ready
            .keys()
            .filter_map(|role| self.standing.held_until(*role));
        held.chain(self.waiting.first().map(|(until, ..)| *until))
            .min()
    }

    /// Notes how the taken change ended; answers what to tell about it.
    pub(crate) fn finish(
        &mut self,
        end: End,
        now: Instant,
        jitter: f64,
    ) -> Option<(RoleChange, Told)> {
        let change = self.sending.take()?;
        let key = (change.user, change.role);
        // Replaced or dropped while it was on its way: what became of it no longer matters here.
        let wanted = self
            .items
            .get(&key)
            .is_some_and(|item| item.state == State::Sending);
        let failures = self.items.get(&key).map_or(0, |item| item.failures);
        let later = now + schedule::rare_delay(failures).mul_f64(0.8 + 0.4 * jitter);
        let (code, message, new) = match end {
            End::Done => {
                if wanted {
                    self.items.remove(&key);
                }
                self.unanswered.remove(&key);
                self.standing.worked(change.role);
                self.done.insert(key, (change.action, now));
                return Some((change, Told::Done));
            }
            End::Postponed => {
                self.make_ready(key);
                return None;
            }
            End::Passing { message } => {
                if change.action == RoleAction::Grant {
                    self.unanswered.insert(key);
                }
                self.wait(key, now + schedule::delay(failures, jitter), false);
                (0, message, true)
            }
            End::Away { code, message } => {
                self.wait(key, later, true);
                (code, message, true)
            }
            End::Odd { code, message } => {
                self.wait(key, later, false);
                (code, message, true)
            }
            End::Stuck {
                scope,
                code,
                sentence,
                seen,
            } => {
                self.make_ready(key);
                let new = if seen {
                    self.standing.seen(scope, sentence.clone(), now)
                } else {
                    self.standing.refused(scope, sentence.clone(), now)
                };
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
        (new && reported != Some(code)).then_some((change, Told::Failed { code, message }))
    }

    /// The roles that changes are outstanding for.
    pub(crate) fn roles(&self) -> BTreeSet<RoleId> {
        self.items.keys().map(|(_, role)| *role).collect()
    }

    /// The member was seen in the server: what waited for its return is tried now.
    pub(crate) fn member_seen(&mut self, user: UserId) {
        let away = self.keys(user, |_, item| {
            matches!(item.state, State::Waiting { away: true, .. })
        });
        for key in away {
            self.make_ready(key);
        }
    }

    /// These members are in the server: as [`Queue::member_seen`] for all of them.
    pub(crate) fn present(&mut self, present: &BTreeSet<UserId>) {
        let away = self.items.iter().filter(|((user, _), item)| {
            matches!(item.state, State::Waiting { away: true, .. }) && present.contains(user)
        });
        for key in away.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.make_ready(key);
        }
    }

    /// The first that may be sent: grants before revokes, then the oldest; held back ones when their time has come.
    fn first(&self, now: Instant) -> Option<(RoleAction, u64, UserId, RoleId)> {
        if self.sending.is_some() {
            return None;
        }
        self.ready
            .iter()
            .filter(|(role, _)| {
                self.standing
                    .held_until(**role)
                    .is_none_or(|until| until <= now)
            })
            .filter_map(|(role, ready)| {
                ready
                    .first()
                    .map(|(action, order, user)| (*action, *order, *user, *role))
            })
            .min()
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

    fn keys(&self, user: UserId, matches: impl Fn(RoleId, &Item) -> bool) -> Vec<(UserId, RoleId)> {
        let all = self
            .items
            .range((user, RoleId(0))..=(user, RoleId(u64::MAX)));
        all.filter(|((_, role), item)| matches(*role, item))
            .map(|(key, _)| *key)
            .collect()
    }

    fn make_ready(&mut self, key: (UserId, RoleId)) {
        self.leave(key);
        let Some(item) = self.items.get_mut(&key) else {
            return;
        };
        item.state = State::Ready;
        self.ready
            .entry(key.1)
            .or_default()
            .insert((item.change.action, item.order, key.0));
    }

    fn wait(&mut self, key: (UserId, RoleId), until: Instant, away: bool) {
        let Some(item) = self
            .items
            .get_mut(&key)
            .filter(|item| item.state == State::Sending)
        else {
            return;
        };
        item.state = State::Waiting { until, away };
        self.waiting.insert((until, key.0, key.1));
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
            State::Waiting { until, .. } => {
                self.waiting.remove(&(until, user, role));
            }
            State::Ready => {
                if let Some(ready) = self.ready.get_mut(&role) {
                    ready.remove(&(item.change.action, item.order, user));
                    if ready.is_empty() {
                        self.ready.remove(&role);
                    }
                }
            }
        }
    }
}
