//! Discord's rate limits: fixed windows per bucket and major parameter, a global one, and the count of invalid requests.
//!
//! Pure: `now` is a parameter. Documented at <https://discord.com/developers/docs/topics/rate-limits>.
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// So many requests in so long a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests that a window admits.
    pub requests: u32,
    /// How long a window lasts, from its first request.
    pub window: Duration,
}

impl Allowance {
    /// `requests` in `seconds`.
    pub const fn new(requests: u32, seconds: u64) -> Self {
        Self {
            requests,
            window: Duration::from_secs(seconds),
        }
    }
}

/// Which routes share an allowance (together with their guild, channel or webhook).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Adding and removing one role of one member: one bucket for both methods.
    MemberRoles,
    /// Changing a member.
    EditMember,
    /// Reading one member.
    ReadMember,
    /// Listing or searching members.
    ListMembers,
    /// Writing messages and opening direct-message channels.
    Messages,
    /// Registering commands.
    Commands,
    /// Making, changing and moving roles.
    Roles,
    /// Making and deleting invites.
    Invites,
    /// No limit but the global one; Discord sends no bucket headers for these.
    GlobalOnly,
    /// Interaction answers: not even the global limit applies.
    Unlimited,
}

impl Bucket {
    /// The opaque name in `X-RateLimit-Bucket`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemberRoles => "a1f5c2e87b90d3344c16d2f0member-roles",
            Self::EditMember => "b2e6d1f98ca1e4455d27e3a1edit-member",
            Self::ReadMember => "c3d7e0aa9db2f5566e38f4b2read-member",
            Self::ListMembers => "d4c8ffbbaec306677f49a5c3list-members",
            Self::Messages => "e5b90accbfd41778805ab6d4messages",
            Self::Commands => "f6aa1bddc0e52889916bc7e5commands",
            Self::Roles => "07cb2cced1f63990a27cd8f6roles",
            Self::Invites => "18dc3ddfe2a74aa1b38de9a7invites",
            Self::GlobalOnly | Self::Unlimited => "",
        }
    }
}

/// The limits in force. They can be changed while running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// The limit over all routes.
    pub global: Allowance,
    /// The limit of each bucket, for each guild, channel or webhook apart.
    pub buckets: BTreeMap<Bucket, Allowance>,
    /// Invalid answers (401, 403, 429) in ten minutes after which Cloudflare blocks the address. Discord says 10,000.
    pub invalid_requests: u32,
    /// After a 429 was answered, requests that were already under way are forgiven for this long, and for half of the wait
    /// that the 429 asked for: on a busy machine they are under way that long. Zero forgives none.
    pub in_flight_grace: Duration,
}

impl RateLimits {
    /// Limits that no test reaches by accident; headers are sent and enforced all the same.
    pub fn generous() -> Self {
        let wide = Allowance::new(5_000, 1);
        Self {
            global: Allowance::new(10_000, 1),
            buckets: [
                Bucket::MemberRoles,
                Bucket::EditMember,
                Bucket::ReadMember,
                Bucket::ListMembers,
                Bucket::Messages,
                Bucket::Commands,
                Bucket::Roles,
                Bucket::Invites,
            ]
            .into_iter()
            .map(|bucket| (bucket, wide))
            .collect(),
            invalid_requests: 10_000,
            in_flight_grace: Duration::from_millis(200),
        }
    }

    /// What bots measure on the real one: 10 role changes in 10 s for each guild, 50 requests in 1 s over all.
    pub fn realistic() -> Self {
        Self {
            global: Allowance::new(50, 1),
            buckets: BTreeMap::from([
                (Bucket::MemberRoles, Allowance::new(10, 10)),
                (Bucket::EditMember, Allowance::new(10, 10)),
                (Bucket::ReadMember, Allowance::new(5, 1)),
                (Bucket::ListMembers, Allowance::new(10, 10)),
                (Bucket::Messages, Allowance::new(5, 5)),
                (Bucket::Commands, Allowance::new(5, 20)),
                (Bucket::Roles, Allowance::new(5, 10)),
                (Bucket::Invites, Allowance::new(5, 15)),
            ]),
            ..Self::generous()
        }
    }
}

/// How a bucket stands after a request; what the headers say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) bucket: Bucket,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_after: Duration,
}

/// What one limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    pub(crate) bucket: Bucket,
    /// The guild, channel or webhook; 0 when the route has none.
    pub(crate) major: u64,
    /// Tells routes apart that share no bucket.
    pub(crate) route: u16,
}

/// To what a 429 applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The bot's own bucket.
    User,
    /// The resource, whoever uses it.
    Shared,
    /// Everything the bot does.
    Global,
}

impl Scope {
    /// As `X-RateLimit-Scope` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Shared => "shared",
            Self::Global => "global",
        }
    }
}

/// A request that came too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) retry_after: Duration,
    pub(crate) scope: Scope,
    /// How much too early the request was, when an earlier 429 had already said when to come back.
    pub(crate) early_by: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    started: Instant,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    scope: Scope,
    since: Instant,
    until: Instant,
}

impl Block {
    /// For how long after the 429 a request counts as sent before it.
    fn forgives(&self, grace: Duration) -> Duration {
        match grace.is_zero() {
            true => Duration::ZERO,
            false => grace.max((self.until - self.since) / 2),
        }
    }
}

/// The windows of one application.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    windows: BTreeMap<Lane, Window>,
    global: Option<Window>,
    /// By lane; `None` is everything.
    blocks: BTreeMap<Option<Lane>, Block>,
    invalid: VecDeque<Instant>,
}

/// How long invalid answers count.
const INVALID_WINDOW: Duration = Duration::from_secs(600);

impl RateLimiter {
    /// Admits or refuses a request.
    pub(crate) fn admit(
        &mut self,
        limits: &RateLimits,
        lane: Lane,
        now: Instant,
    ) -> (Option<Standing>, Result<(), Refusal>) {
        for key in [None, Some(lane)] {
            if key.is_none() && lane.bucket == Bucket::Unlimited {
                continue;
            }
            let Some(block) = self.blocks.get(&key).copied() else {
                continue;
            };
            if now >= block.until {
                self.blocks.remove(&key);
                continue;
            }
            let early = block.forgives(limits.in_flight_grace) < now.duration_since(block.since);
            let retry_after = block.until - now;
            let refusal = Refusal {
                retry_after,
                scope: block.scope,
                early_by: early.then_some(retry_after),
            };
            return (None, Err(refusal));
        }
        if lane.bucket == Bucket::Unlimited {
            return (None, Ok(()));
        }
        if let Err(retry_after) = take(&mut self.global, limits.global, now) {
            self.block(None, Scope::Global, retry_after, now);
            return (
                None,
                Err(Refusal {
                    retry_after,
                    scope: Scope::Global,
                    early_by: None,
                }),
            );
        }
        let Some(allowance) = limits.buckets.get(&lane.bucket).copied() else {
            return (None, Ok(()));
        };
        let mut window = self.windows.get(&lane).copied();
        let taken = take(&mut window, allowance, now);
        let window = window.unwrap_or(Window {
            started: now,
            used: 0,
        });
        self.windows.insert(lane, window);
        let standing = Standing {
            bucket: lane.bucket,
            limit: allowance.requests,
            remaining: allowance.requests.saturating_sub(window.used),
            reset_after: (window.started + allowance.window).saturating_duration_since(now),
        };
        let result = taken.map_err(|retry_after| {
            self.block(Some(lane), Scope::User, retry_after, now);
            Refusal {
                retry_after,
                scope: Scope::User,
                early_by: None,
            }
        });
        (Some(standing), result)
    }

    /// Remembers that a 429 told the client to stay away.
    pub(crate) fn block(
        &mut self,
        key: Option<Lane>,
        scope: Scope,
        retry_after: Duration,
        now: Instant,
    ) {
        self.blocks.insert(
            key,
            Block {
                scope,
                since: now,
                until: now + retry_after,
            },
        );
    }

    /// Counts an invalid answer (401, 403 or a 429 that was not shared).
    pub(crate) fn count_invalid(&mut self, now: Instant) {
        self.forget_old(now);
        self.invalid.push_back(now);
    }

    /// Invalid answers in the last ten minutes.
    pub(crate) fn invalid_requests(&mut self, now: Instant) -> u32 {
        self.forget_old(now);
        u32::try_from(self.invalid.len()).unwrap_or(u32::MAX)
    }

    fn forget_old(&mut self, now: Instant) {
        while self
            .invalid
            .front()
            .is_some_and(|at| now.duration_since(*at) > INVALID_WINDOW)
        {
            self.invalid.pop_front();
        }
    }
}

/// Takes one request from the window, or says when the next window begins.
fn take(window: &mut Option<Window>, allowance: Allowance, now: Instant) -> Result<(), Duration> {
    let current = match window {
        Some(open) if now < open.started + allowance.window => open,
        _ => window.insert(Window {
            started: now,
            used: 0,
        }),
    };
    if current.used >= allowance.requests {
        return Err(current.started + allowance.window - now);
    }
    current.used += 1;
    Ok(())
}

#[cfg(test)]
mod tests;
