//! PURE. What an answer says of when and how often to ask again: `Retry-After` in both its forms, and the headers that name a
//! rate limit, by the IETF's drafts and as `X-RateLimit-…`.

use std::time::{Duration, SystemTime};

use crate::http::{LONGEST_WAIT, asked_wait};

/// What one answer said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Not to be asked again before so long.
    pub retry_after: Option<Duration>,
    /// How many more requests it takes within what time.
    pub window: Option<Window>,
}

/// What is left of a rate limit's window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Requests that are left.
    pub remaining: u64,
    /// How long until there are more.
    pub resets_in: Duration,
}

/// Reads the headers of an answer; `header` gives one by its lower-case name. `now`: the machine's clock.
pub(super) fn limits<'a>(header: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Limits {
    // Where the answer tells its own time, that is the one its dates are meant by.
    let now = header("date")
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    let first = |names: &[&str]| names.iter().find_map(|name| header(name));
    let plain = || {
        let remaining = first(&["ratelimit-remaining", "x-ratelimit-remaining"])?;
        let reset = first(&[
            "x-ratelimit-reset-after",
            "ratelimit-reset",
            "x-ratelimit-reset",
        ])?;
        Some(Window {
            remaining: remaining.trim().parse().ok()?,
            resets_in: asked_wait(reset, now)?,
        })
    };
    Limits {
        retry_after: header("retry-after").and_then(|value| asked_wait(value, now)),
        window: header("ratelimit").and_then(window).or_else(plain),
    }
}

/// `"default";r=50;t=30`, or as an older draft has it, `limit=100, remaining=50, reset=30`.
fn window(value: &str) -> Option<Window> {
    let field = |names: [&str; 2]| {
        let mut fields = value.split([';', ',']).map(str::trim);
        let found = fields.find_map(|field| {
            let (name, value) = field.split_once('=')?;
            names.contains(&name).then_some(value)
        });
        found?.parse::<u64>().ok()
    };
    Some(Window {
        remaining: field(["r", "remaining"])?,
        resets_in: Duration::from_secs(field(["t", "reset"])?).min(LONGEST_WAIT),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn read(headers: &[(&str, &str)]) -> Limits {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let found = |name: &str| {
            let mut all = headers.iter().filter(|(known, _)| *known == name);
            all.next().map(|(_, value)| *value)
        };
        limits(found, at)
    }

    fn retry_after(value: &str) -> Option<u64> {
        read(&[("retry-after", value)])
            .retry_after
            .map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after("120"), Some(120));
        assert_eq!(retry_after("0"), Some(0));
        assert_eq!(retry_after("2.5"), Some(2));
        assert_eq!(retry_after("1800000030"), Some(30));
        // 2027-01-15T08:00:00Z is the second 1,800,000,000.
        assert_eq!(retry_after("Fri, 15 Jan 2027 08:01:00 GMT"), Some(60));
        assert_eq!(retry_after("Fri, 15 Jan 2027 07:00:00 GMT"), Some(0));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
        assert_eq!(retry_after("999999999"), Some(LONGEST_WAIT.as_secs()));
    }

    #[test]
    fn a_date_is_meant_by_the_clock_of_the_one_who_answers() {
        let limits = read(&[
            ("retry-after", "Fri, 15 Jan 2027 09:00:10 GMT"),
            ("date", "Fri, 15 Jan 2027 09:00:00 GMT"),
        ]);
        assert_eq!(limits.retry_after, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_rate_limit_is_read_in_each_of_its_forms() {
        let left = |headers: &[(&str, &str)]| {
            let window = read(headers).window.unwrap();
            (window.remaining, window.resets_in.as_secs())
        };
        assert_eq!(left(&[("ratelimit", "\"default\";r=50;t=30")]), (50, 30));
        assert_eq!(
            left(&[("ratelimit", "limit=100, remaining=7, reset=3")]),
            (7, 3)
        );
        let plain = [("ratelimit-remaining", "4"), ("ratelimit-reset", "9")];
        assert_eq!(left(&plain), (4, 9));
        let moment = [
            ("x-ratelimit-remaining", "4"),
            ("x-ratelimit-reset", "1800000009"),
        ];
        assert_eq!(left(&moment), (4, 9));
        assert_eq!(read(&[("ratelimit-remaining", "4")]).window, None);
        assert_eq!(read(&[]), Limits::default());
    }

    proptest! {
        #[test]
        fn whatever_a_header_says_is_no_panic_and_no_wait_beyond_a_day(value in ".{0,40}") {
            let limits = limits(|_| Some(value.as_str()), NOW);
            prop_assert!(limits.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
        }
    }
}
