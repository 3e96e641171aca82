//! What an answer's status, headers and body say about limits.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

/// How long to keep still after a 429 that does not say.
const UNSAID: Duration = Duration::from_secs(5);
/// How long to keep still after Cloudflare's ban page that does not say; such bans last minutes.
const UNSAID_BAN: Duration = Duration::from_secs(60);
/// A nonsensical `retry_after` does not stop the bot for longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The part of an answer that matters to the limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `X-RateLimit-Bucket`.
    pub(crate) bucket: Option<Box<str>>,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset-After`, when all three are there.
    pub(crate) allowance: Option<Allowance>,
    /// Present for a 429.
    pub(crate) too_many: Option<TooMany>,
}

/// The state of a bucket after a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TooMany {
    pub(crate) scope: Scope,
    pub(crate) retry_after: Duration,
}

/// To what a 429 applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This bot's bucket.
    User,
    /// The resource, whoever uses it; does not count as an invalid request.
    Shared,
    /// All of this bot's requests.
    Global,
    /// All requests of this address: an HTML page instead of Discord's JSON.
    Cloudflare,
}

impl Answer {
    /// Reads an answer. `body` is only looked at for a 429.
    pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse().ok());
        let allowance = || {
            Some(Allowance {
                limit: number("x-ratelimit-limit")?,
                remaining: number("x-ratelimit-remaining")?,
                reset_after: seconds(text("x-ratelimit-reset-after")?.parse().ok()?)?,
            })
        };
        Self {
            status,
            bucket: text("x-ratelimit-bucket").map(Into::into),
            allowance: allowance(),
            too_many: (status == 429).then(|| too_many(headers, body)),
        }
    }

    /// Whether Discord counts it towards the ban of the address.
    pub(super) fn is_invalid(&self) -> bool {
        match self.status {
            401 | 403 => true,
            429 => self
                .too_many
                .is_none_or(|too_many| too_many.scope != Scope::Shared),
            _ => false,
        }
    }
}

/// The JSON body of Discord's own 429.
#[derive(Deserialize)]
struct Body {
    retry_after: f64,
    #[serde(default)]
    global: bool,
}

fn too_many(headers: &HeaderMap, body: &[u8]) -> TooMany {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let in_header = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .and_then(seconds);
    let Ok(body) = serde_json::from_slice::<Body>(body) else {
        let retry_after = in_header.unwrap_or(UNSAID_BAN);
        return TooMany {
            scope: Scope::Cloudflare,
            retry_after,
        };
    };
    let scope = match text("x-ratelimit-scope") {
        Some("global") => Scope::Global,
        _ if body.global || text("x-ratelimit-global").is_some_and(|value| value == "true") => {
            Scope::Global
        }
        Some("shared") => Scope::Shared,
        _ => Scope::User,
    };
    // The header is the body's figure rounded up; where they differ the longer one is safe.
    let retry_after = seconds(body.retry_after).max(in_header).unwrap_or(UNSAID);
    TooMany { scope, retry_after }
}

fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value)
        .ok()
        .map(|duration| duration.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_usual_answer_tells_its_bucket_and_what_is_left() {
        let headers = headers(&[
            ("X-RateLimit-Bucket", "abcd"),
            ("X-RateLimit-Limit", "10"),
            ("X-RateLimit-Remaining", "9"),
            ("X-RateLimit-Reset-After", "9.25"),
        ]);
        let answer = Answer::read(204, &headers, b"");
        assert_eq!(answer.bucket.as_deref(), Some("abcd"));
        let reset_after = Duration::from_millis(9250);
        assert_eq!(
            answer.allowance,
            Some(Allowance {
                limit: 10,
                remaining: 9,
                reset_after
            })
        );
        assert_eq!(answer.too_many, None);
    }

    #[test]
    fn a_429_tells_its_scope() {
        let json =
            br#"{"message":"You are being rate limited.","retry_after":1.337,"global":false}"#;
        let of = |pairs: &[_]| Answer::read(429, &headers(pairs), json).too_many.unwrap();
        let retry_after = Duration::from_millis(1337);
        assert_eq!(
            of(&[]),
            TooMany {
                scope: Scope::User,
                retry_after
            }
        );
        assert_eq!(
            of(&[("x-ratelimit-scope", "shared")]),
            TooMany {
                scope: Scope::Shared,
                retry_after
            }
        );
        assert_eq!(
            of(&[("x-ratelimit-scope", "global")]),
            TooMany {
                scope: Scope::Global,
                retry_after
            }
        );
        assert_eq!(
            of(&[("x-ratelimit-global", "true")]),
            TooMany {
                scope: Scope::Global,
                retry_after
            }
        );
        assert_eq!(
            of(&[("retry-after", "2")]).retry_after,
            Duration::from_secs(2)
        );
        let global = Answer::read(
            429,
            &HeaderMap::new(),
            br#"{"retry_after":3,"global":true}"#,
        );
        assert_eq!(global.too_many.unwrap().scope, Scope::Global);
    }

    #[test]
    fn an_html_429_is_cloudflares_and_stops_everything() {
        let page = b"<html>Error 1015</html>";
        let answer = Answer::read(429, &headers(&[("retry-after", "17")]), page);
        let retry_after = Duration::from_secs(17);
        assert_eq!(
            answer.too_many,
            Some(TooMany {
                scope: Scope::Cloudflare,
                retry_after
            })
        );
        let silent = Answer::read(429, &HeaderMap::new(), page);
        assert_eq!(silent.too_many.unwrap().retry_after, UNSAID_BAN);
    }

    #[test]
    fn nonsense_figures_do_not_panic() {
        for figure in ["-1", "NaN", "inf", "1e300", "x"] {
            let headers = headers(&[("retry-after", figure), ("x-ratelimit-reset-after", figure)]);
            let _answer = Answer::read(429, &headers, b"{\"retry_after\":1e300}");
        }
    }

    #[test]
    fn shared_limits_do_not_count_as_invalid_requests() {
        let invalid = |status, scope| {
            let headers = headers(&[("x-ratelimit-scope", scope)]);
            Answer::read(status, &headers, br#"{"retry_after":1}"#).is_invalid()
        };
        assert!(invalid(429, "user") && invalid(401, "") && invalid(403, ""));
        assert!(
            !invalid(429, "shared") && !invalid(404, "") && !invalid(204, "") && !invalid(500, "")
        );
    }
}
