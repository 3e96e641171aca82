//! The API's side: sends the next question when its turn has come, and makes of the reply what it is.

use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use tracing::{info, warn};

use super::breaker::{Breaker, Leave};
use super::compare::expected;
use super::pace::{AT_ONCE, Pace};
use super::queue::Queue;
use super::{Done, Poller};
use crate::amser_api::{Limits, Reply, ReplyKind};
use crate::clock::machine_time;
use crate::domain::{ActiveQuestion, ApiAnswer, Checked, DriftMode, SourceStatus};

/// How long a round over all questions takes, where the API allows so much.
const ROUND: Duration = Duration::from_secs(600);
/// The same while the chain cannot be followed.
const ROUND_FALLBACK: Duration = Duration::from_secs(60);
/// Requests a second while something is urgent, at least, where the API allows so much.
const URGENT: f64 = 2.0;
/// So long after a change amser's indexer may not have seen it.
const SETTLES: Duration = Duration::from_secs(60);
/// When it is asked again then.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// A pause that the API asks for is trouble from this length on.
const TROUBLE: Duration = Duration::from_secs(30);
/// That the API contradicts the chain is said this often.
const SAY_AGAIN: Duration = Duration::from_secs(3_600);

/// What is known of the API.
#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) status: SourceStatus,
    /// How often it contradicted the chain.
    pub(super) disagreements: u64,
    pace: Pace,
    breaker: Breaker,
    under_way: usize,
    jitter: f64,
    /// Whether it has ever answered.
    has_answered: bool,
    /// Why the last reply was none; one sentence.
    why: Option<String>,
    is_trouble_said: bool,
    /// The tags of answers that have one.
    tags: FxHashMap<ActiveQuestion, Box<str>>,
    /// Answers that contradicted what had changed a moment before: the next one counts as a new one.
    unsettled: FxHashSet<ActiveQuestion>,
    /// Contradictions that were not said, and when some were.
    unsaid: u64,
    said_at: Option<Instant>,
}

impl Api {
    /// Why it is not asked, or does not answer; one sentence.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let is_open = !matches!(self.breaker, Breaker::Closed { .. });
        let paused = self.pace.paused_until(now);
        let is_paused = paused.is_some_and(|until| until - now >= TROUBLE);
        (is_open || is_paused).then(|| self.why.clone()).flatten()
    }

    /// Forgets what is not asked any more.
    pub(super) fn keep_only(&mut self, queue: &Queue) {
        self.tags
            .retain(|question, _| queue.known(question).is_some());
        self.unsettled
            .retain(|question| queue.known(question).is_some());
    }

    fn say_trouble(&mut self, now: Instant) {
        let trouble = self.trouble(now);
        match &trouble {
            Some(why) if !self.is_trouble_said => warn!(
                why,
                "amser's API cannot be asked; nothing changes by that, the chain decides"
            ),
            None if self.is_trouble_said => info!("amser's API answers again"),
            _ => {}
        }
        self.is_trouble_said = trouble.is_some();
    }

    /// The API contradicts the chain, of one more question.
    pub(super) fn disagrees(&mut self, now: Instant) {
        self.disagreements += 1;
        self.unsaid += 1;
        if self
            .said_at
            .is_none_or(|at| now.duration_since(at) >= SAY_AGAIN)
        {
            warn!(
                subscriptions = self.unsaid,
                total = self.disagreements,
                "amser's API contradicts the chain; the chain decides"
            );
            (self.unsaid, self.said_at) = (0, Some(now));
        }
    }
}

impl Poller {
    /// How many requests a second are wanted.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number of questions as a rate"
    )]
    fn wanted(&self) -> f64 {
        let is_fallback = self.inputs.status.borrow().mode != DriftMode::Chain;
        let round = if is_fallback { ROUND_FALLBACK } else { ROUND };
        let wanted = self.queue.len() as f64 / round.as_secs_f64();
        match is_fallback || self.queue.is_urgent() {
            true => wanted.max(URGENT),
            false => wanted,
        }
    }

    /// When the next question is sent; `None`: not before something else happens.
    pub(super) fn send_at(&mut self, now: Instant) -> Option<Instant> {
        self.queue.wake(now);
        let later = self.queue.next_later();
        if self.api.under_way >= AT_ONCE || self.queue.is_idle() {
            return later;
        }
        let at = self.api.pace.next_at(self.wanted(), self.api.jitter, now);
        let at = match self.api.breaker.leave(now) {
            Leave::Now => Some(at),
            Leave::At(until) => Some(at.max(until)),
            Leave::Later => None,
        };
        match (at, later) {
            (Some(at), Some(later)) => Some(at.min(later)),
            (at, later) => at.or(later),
        }
    }

    /// Sends the next question, if its turn has come.
    pub(super) fn send(&mut self, now: Instant) {
        self.queue.wake(now);
        let is_due = self.api.pace.next_at(self.wanted(), self.api.jitter, now) <= now;
        if !is_due || self.api.under_way >= AT_ONCE || self.api.breaker.leave(now) != Leave::Now {
            return;
        }
        let Some(question) = self.queue.take() else {
            return;
        };
        self.api.jitter = rand::random();
        self.api.pace.sent(now);
        self.api.breaker.sent();
        self.api.under_way += 1;
        let check = self.inputs.check.clone();
        let tag = self.api.tags.get(&question).cloned();
        let newest = self.inputs.answers.newest(&question);
        let known = tag.zip(newest.map(|newest| newest.api_active));
        self.tasks.spawn(async move {
            let known = known.as_ref().map(|(tag, active)| (tag.as_ref(), *active));
            Done::Reply(question, check.ask(&question, known).await)
        });
    }

    pub(super) fn take_reply(&mut self, question: ActiveQuestion, reply: Reply) {
        let (now, wanted) = (Instant::now(), self.wanted());
        let Reply {
            answer,
            kind,
            limits,
            tag,
            took,
        } = reply;
        self.api.under_way -= 1;
        self.queue.put_back(question, machine_time());
        self.pace_by(kind, limits, took, wanted, now);
        let active = match answer {
            ApiAnswer::Active => true,
            ApiAnswer::Inactive => false,
            ApiAnswer::Unknown(why) => {
                self.api.status.unknown += 1;
                self.api.why = Some(why);
                self.api.say_trouble(now);
                if kind == ReplyKind::TooMany {
                    self.queue.hurry(&question);
                }
                return;
            }
        };
        self.api.status.checks += 1;
        self.api.has_answered = true;
        self.api.say_trouble(now);
        match tag {
            Some(tag) => drop(self.api.tags.insert(question, tag)),
            None => drop(self.api.tags.remove(&question)),
        }
        self.compare(question, active, now);
    }

    fn pace_by(
        &mut self,
        kind: ReplyKind,
        limits: Limits,
        took: Duration,
        wanted: f64,
        now: Instant,
    ) {
        let api = &mut self.api;
        match kind {
            ReplyKind::TooMany => api.pace.too_many(limits, now),
            _ => api.pace.answered(wanted, took, limits, now),
        }
        match kind {
            ReplyKind::Answered => _ = api.breaker.succeeded(),
            ReplyKind::Failed => _ = api.breaker.failed(now),
            // Where nothing else ever comes, it is the path that is refused and not the question.
            ReplyKind::Refused if !api.has_answered => _ = api.breaker.failed(now),
            // It answers, and wants to be asked later.
            ReplyKind::TooMany | ReplyKind::Refused => _ = api.breaker.succeeded(),
        }
    }

    /// Keeps an answer. What contradicts the events is asked of the contracts.
    fn compare(&mut self, question: ActiveQuestion, active: bool, now: Instant) {
        let Some(known) = self.queue.known(&question).copied() else {
            return;
        };
        let checked = Checked {
            at: machine_time(),
            api_active: active,
            chain_active: known.is_open,
        };
        let before = self.inputs.answers.answered(question, checked);
        let was_unsettled = self.api.unsettled.remove(&question);
        let contradicts = expected(&known, self.now).is_some_and(|expected| expected != active);
        if !contradicts {
            self.contracts.withdraw(&question);
        }
        if !self.at_tip || !contradicts {
            return;
        }
        if self.queue.is_fresh(&question, SETTLES, now) {
            self.api.unsettled.insert(question);
            self.queue.ask_at(question, now + ASK_AGAIN);
            return;
        }
        let is_known = before.is_some_and(|before| {
            (before.api_active, before.chain_active) == (active, known.is_open)
        });
        if was_unsettled || !is_known {
            self.contracts.suspect(question, active);
        }
    }
}
