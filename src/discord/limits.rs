//! Discord's rate limits as a state machine: may this request leave now, and if not, when may it be asked again?
//!
//! Pure: `now` is a parameter. The thin asynchronous shell is `rest.rs`. Documented at
//! <https://discord.com/developers/docs/topics/rate-limits>.

mod answer;
mod bucket;
mod global;
mod invalid;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub(crate) use answer::{Allowance, Answer, Scope};
use bucket::Bucket;
use global::Global;
use invalid::InvalidRequests;
pub(crate) use lane::Lane;

/// Discord counts in milliseconds and rounds; this much is added to every waiting time, so that rounding never makes
/// a request early.
const MARGIN: Duration = Duration::from_millis(5);

/// From this many remembered buckets on, those that say nothing any more are forgotten.
const PRUNE_ABOVE: usize = 1024;

/// Why a request may not leave yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Ask again at this moment.
    Until(Instant),
    /// Ask again after an answer to another request; only that tells how many more may leave.
    ForAnswer,
}

/// Whether a request may leave that may not before this moment, if there is one.
fn not_before(until: Option<Instant>) -> Result<(), Wait> {
    until.map_or(Ok(()), |until| Err(Wait::Until(until)))
}

/// Which bucket a request counts against: the name Discord gave it (or the route, until it did) and the major
/// parameter.
type BucketKey = (Box<str>, Box<str>);

/// What is known of a route's bucket.
#[derive(Debug)]
enum Known {
    /// Discord's name for the bucket.
    Bucket(Box<str>),
    /// Discord answered without naming one: only the global limit applies.
    Unlimited,
}

/// The right to send one request. It must come back through [`Limits::answered`], [`Limits::lost`] or
/// [`Limits::unused`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    lane: Lane,
    bucket: Option<BucketKey>,
}

impl Ticket {
    /// The request's route, without any id or token.
    pub(crate) fn route(&self) -> &str {
        &self.lane.route
    }
}

/// Everything known of the limits that apply to one bot token.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    routes: HashMap<Box<str>, Known>,
    buckets: HashMap<BucketKey, Bucket>,
    global: Global,
    invalid: InvalidRequests,
    /// After a ban by Cloudflare nothing at all may leave before this moment.
    banned_until: Option<Instant>,
}

impl Limits {
    /// Takes the right to send one request now.
    ///
    /// # Errors
    /// When to ask again.
    pub(crate) fn ask(&mut self, lane: &Lane, now: Instant) -> Result<Ticket, Wait> {
        not_before(self.banned_until.filter(|until| now < *until))?;
        // Whoever waits for the answer to a command has seconds, and Discord refuses none of these answers that is sent once.
        if lane.is_global {
            self.invalid.ask(now).map_err(Wait::Until)?;
            self.global.ask(lane.is_patient, now)?;
        }
        let guessed = guessed_key(lane);
        if let Some(bucket) = self.buckets.get(&guessed) {
            // A 429 that came before the bucket had a name, or without one, was noted under the route.
            not_before(bucket.blocked(now))?;
            // So was a request that is still under way, and the named bucket does not count it.
            if bucket.is_busy() {
                return Err(Wait::ForAnswer);
            }
        }
        let bucket = match self.routes.get(lane.route.as_str()) {
            Some(Known::Unlimited) => None,
            Some(Known::Bucket(name)) => Some((name.clone(), lane.major.as_str().into())),
            None => Some(guessed),
        };
        if let Some(key) = &bucket {
            self.prune(now);
            let bucket = self.buckets.entry(key.clone()).or_default();
            not_before(bucket.kept_until(now).filter(|_| lane.is_patient))?;
            bucket.take(now)?;
        }
        if lane.is_global {
            self.global.take();
            self.invalid.sent(now);
        }
        Ok(Ticket {
            lane: lane.clone(),
            bucket,
        })
    }

    /// Notes the answer to a request.
    pub(crate) fn answered(&mut self, ticket: Ticket, answer: &Answer, now: Instant) {
        let Ticket { lane, bucket } = ticket;
        if lane.is_global {
            self.global.release(now);
        }
        if let Some(bucket) = bucket.as_ref().and_then(|key| self.buckets.get_mut(key)) {
            bucket.release();
        }
        let key = match &answer.bucket {
            Some(name) => {
                self.routes
                    .insert(lane.route.as_str().into(), Known::Bucket(name.clone()));
                (name.clone(), lane.major.as_str().into())
            }
            None => {
                if (200..300).contains(&answer.status) && answer.allowance.is_none() {
                    self.routes
                        .entry(lane.route.as_str().into())
                        .or_insert(Known::Unlimited);
                }
                bucket.unwrap_or_else(|| guessed_key(&lane))
            }
        };
        if let Some(allowance) = &answer.allowance {
            self.buckets
                .entry(key.clone())
                .or_default()
                .learn(allowance, now);
        }
        if let Some(too_many) = &answer.too_many {
            let until = now + too_many.retry_after + MARGIN;
            match too_many.scope {
                Scope::Cloudflare => self.banned_until = self.banned_until.max(Some(until)),
                Scope::Global => self.global.block(until),
                Scope::User | Scope::Shared => self.buckets.entry(key).or_default().block(until),
            }
        }
        if answer.is_invalid() {
            self.invalid.count(now);
        }
    }

    /// Notes that no answer came (timeout, reset): the request may have counted all the same.
    pub(crate) fn lost(&mut self, ticket: Ticket, now: Instant) {
        if ticket.lane.is_global {
            self.global.release(now);
        }
        if let Some(bucket) = ticket.bucket.and_then(|key| self.buckets.get_mut(&key)) {
            bucket.lost(now);
        }
    }

    /// Gives back a right that was not used.
    pub(crate) fn unused(&mut self, ticket: Ticket) {
        if ticket.lane.is_global {
            self.global.unused();
        }
        if let Some(bucket) = ticket.bucket.and_then(|key| self.buckets.get_mut(&key)) {
            bucket.unused();
        }
    }

    fn prune(&mut self, now: Instant) {
        if self.buckets.len() > PRUNE_ABOVE {
            self.buckets.retain(|_, bucket| bucket.is_telling(now));
        }
    }
}

/// Until Discord names a route's bucket, the route stands for it.
fn guessed_key(lane: &Lane) -> BucketKey {
    (lane.route.as_str().into(), lane.major.as_str().into())
}
