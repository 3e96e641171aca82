//! What clients asked of the local Discord, and where they broke its rules.
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use axum::http::Method;

use super::route::Route;

/// One request, in the order of arrival.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// Counts from 1.
    pub number: u64,
    /// When it arrived.
    pub at: Instant,
    /// Its method.
    pub method: Method,
    /// Its path with the query.
    pub path: String,
    /// The route that it met; `None` for an unknown one.
    pub route: Option<Route>,
    /// The status it was answered with; `None` while it waits, or when the connection was reset.
    pub status: Option<u16>,
    /// `X-Audit-Log-Reason`, decoded.
    pub reason: Option<String>,
    /// The body as text.
    pub body: String,
}

/// Which rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// There is no such route (or not with this method).
    UnknownRoute,
    /// The body, the query or a path parameter is not what the route takes.
    Malformed,
    /// `Authorization` is missing or wrong.
    Authorization,
    /// A request came before the `retry_after` of an earlier 429 had passed.
    TooEarly,
    /// The gateway was sent something that it does not understand.
    Gateway,
}

/// A rule that a client broke. Tests assert that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was done, in a sentence; never a token.
    pub what: String,
}

/// Requests kept; older ones only stay in the counters.
const KEPT_REQUESTS: usize = 50_000;
/// Violations kept, oldest first.
const KEPT_VIOLATIONS: usize = 1_000;

/// The requests, their counters and the violations.
#[derive(Debug, Default)]
pub(crate) struct Log {
    next: u64,
    requests: VecDeque<RequestRecord>,
    counts: BTreeMap<Route, u64>,
    violations: Vec<Violation>,
}

impl Log {
    /// Notes a request and returns its number.
    pub(crate) fn open(&mut self, mut record: RequestRecord) -> u64 {
        self.next += 1;
        record.number = self.next;
        if let Some(route) = record.route {
            *self.counts.entry(route).or_default() += 1;
        }
        if self.requests.len() == KEPT_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(record);
        self.next
    }

    /// Notes the status that request `number` was answered with.
    pub(crate) fn close(&mut self, number: u64, status: u16) {
        let Some(first) = self.requests.front().map(|record| record.number) else {
            return;
        };
        let Some(at) = number
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok())
        else {
            return;
        };
        if let Some(record) = self.requests.get_mut(at) {
            record.status = Some(status);
        }
    }

    pub(crate) fn violate(&mut self, rule: Rule, what: impl Into<String>) {
        let what = what.into();
        tracing::warn!(?rule, %what, "a client broke a rule of the local Discord");
        if self.violations.len() < KEPT_VIOLATIONS {
            self.violations.push(Violation { rule, what });
        }
    }

    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.violations.clone()
    }

    pub(crate) fn count(&self, route: Route) -> u64 {
        self.counts.get(&route).copied().unwrap_or_default()
    }

    pub(crate) fn counts(&self) -> BTreeMap<Route, u64> {
        self.counts.clone()
    }

    /// Forgets requests, counters and violations; numbers go on.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.counts.clear();
        self.violations.clear();
    }
}
