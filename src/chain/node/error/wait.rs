//! How long a refusal asks to wait, in any of the ways in which providers write it.

use std::time::Duration;

/// Words that a wait follows, in a sentence or as a member of the error's data.
const BEFORE: &[&str] = &[
    "again in",
    "again after",
    "again_in",
    "retry in",
    "retry after",
    "retry_after",
    "retry-after",
    "retryafter",
    "backoff_seconds",
    "resets in",
    "reset in",
    "reset after",
    "please wait",
    "wait for",
];

/// The wait that stands in the text, which must be in lower case: `try again in 560.27ms`, `retry in 1m0s`,
/// `"backoff_seconds":30`. A number without a unit is one of seconds.
pub(super) fn wait_in(text: &str) -> Option<Duration> {
    BEFORE.iter().find_map(|phrase| {
        text.match_indices(phrase).find_map(|(at, _)| {
            let tail = &text[at + phrase.len()..];
            let (unit, tail) = match tail.strip_prefix("_ms") {
                Some(tail) => (0.001, tail),
                None => (1.0, tail),
            };
            duration(tail.trim_start_matches([' ', '"', ':', '=', '(']), unit)
        })
    })
}

/// A duration at the start of the text: one number, or several with a unit each (`1m0s`, `2 minutes 5 seconds`).
fn duration(text: &str, unit_of_bare: f64) -> Option<Duration> {
    let mut rest = text;
    let mut total: Option<f64> = None;
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(number) = rest[..end].trim_end_matches('.').parse::<f64>() else {
            break;
        };
        rest = rest[end..].trim_start();
        let end = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        let unit = seconds(&rest[..end]);
        // A later number without a unit belongs to another clause.
        let is_bare = unit.is_none();
        if is_bare && total.is_some() {
            break;
        }
        *total.get_or_insert(0.0) += number * unit.unwrap_or(unit_of_bare);
        if is_bare {
            break;
        }
        rest = rest[end..].trim_start();
    }
    Duration::try_from_secs_f64(total?).ok()
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_with_their_units() {
        for (text, milliseconds) in [
            ("rate limited, try again in 4ms", 4),
            (r#"{"try_again_in":"560.27ms"}"#, 560),
            ("please retry in 20s.", 20_000),
            ("retry in 1m0s", 60_000),
            ("retry in 1m30.5s", 90_500),
            ("try again in 2 minutes", 120_000),
            ("try again in 1 minute 30 seconds, 5 times", 90_000),
            ("try again in 1 hour", 3_600_000),
            (r#"{"rate":{"backoff_seconds":30,"allowed_rps":1}}"#, 30_000),
            (r#"{"retry_after": 1.5}"#, 1_500),
            (r#"{"retry_after_ms":"250"}"#, 250),
            ("please wait 10 seconds", 10_000),
            ("retry after 5", 5_000),
            ("try again in a moment; retry after 7 s", 7_000),
        ] {
            let wait = wait_in(text).map(|wait| wait.as_millis());
            assert_eq!(wait, Some(milliseconds), "{text}");
        }
        for text in ["try again later", "try again in a while", "12 s"] {
            assert_eq!(wait_in(text), None, "{text}");
        }
    }
}
