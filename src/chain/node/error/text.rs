//! From a refusal's words to its kind; `tests.rs` holds refusals verbatim.
//!
//! Codes say little: -32005 is a result limit at Infura, a rate limit at others, a block-range limit at cdk-erigon;
//! -32602 is any of them. So the words decide, and the code only where they say nothing. The order matters: the words of a
//! later list also occur in sentences of an earlier kind.

use std::time::Duration;

use reqwest::StatusCode;

use super::RpcError;
use super::wait::wait_in;
use super::words::{
    BATCHES, BEYOND_HEAD, CONTRACT, LIMITS, PRUNED, QUOTAS, RANGES, RATES, REFUSED, RESULTS,
    TIMEOUTS,
};

/// A refusal as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusal<'a> {
    /// JSON-RPC or provider-specific code; 0 where there is none.
    pub(super) code: i64,
    /// The HTTP status, where it was not 200.
    pub(super) status: Option<StatusCode>,
    pub(super) message: &'a str,
    /// JSON text; may be empty.
    pub(super) data: &'a str,
    /// The HTTP header's.
    pub(super) retry_after: Option<Duration>,
}

/// Classifies a refusal. What is in unknown words stays [`RpcError::Other`].
pub(super) fn classify(refusal: Refusal<'_>) -> RpcError {
    let Refusal { code, message, .. } = refusal;
    // Tenderly and some proxies say "invalid params" and put the reason into `data`.
    let text = format!("{message} {}", refusal.data).to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let message = message.to_owned();
    let rate_limited = |message| RpcError::RateLimited {
        retry_after: refusal.retry_after.or_else(|| wait_in(&text)),
        message,
    };

    // Before everything else: what follows may be the contract's own words, which can be any.
    if code == REVERTED || text.starts_with("execution reverted") || says(CONTRACT) {
        RpcError::Refused { message }
    } else if says(BATCHES) {
        RpcError::BatchRefused { message }
    } else if says(RESULTS) || (text.contains("more than") && text.contains(" results")) {
        RpcError::TooManyResults {
            suggested: range_in(&text),
            message,
        }
    } else if refusal.is_about_rate() || says(RATES) || has_rate(&text) {
        rate_limited(message)
    } else if says(TIMEOUTS) {
        RpcError::Timeout { message }
    } else if says(BEYOND_HEAD) {
        RpcError::Unavailable { message }
    } else if code == EXPIRED || says(PRUNED) || is_about_missing_state(&text) {
        RpcError::Pruned { message }
    } else if says(REFUSED) {
        RpcError::Unavailable {
            message: format!("{REFUSES_CLIENT}: {message}"),
        }
    } else if says(RANGES) {
        let max = range_in(&text)
            .and_then(|(from, to)| to.checked_sub(from)?.checked_add(1))
            .or_else(|| {
                LIMITS
                    .iter()
                    .find_map(|phrase| number_after(&text, phrase))
                    .filter(|max| *max > 0)
            });
        RpcError::RangeTooWide { max, message }
    } else if says(QUOTAS) {
        rate_limited(message)
    } else {
        RpcError::Other { code, message }
    }
}

impl Refusal<'_> {
    /// Whether the code or the status alone says so. EIP-1474's "limit exceeded" (-32005) does not: it is sent for results
    /// and ranges too.
    fn is_about_rate(&self) -> bool {
        let is_status = |status| self.status == Some(status);
        matches!(self.code, 429 | TOO_MANY_REQUESTS)
            || is_status(StatusCode::TOO_MANY_REQUESTS)
            || is_status(StatusCode::PAYMENT_REQUIRED)
    }
}

/// A number per time: `6000/sec`, `100/second`.
fn has_rate(text: &str) -> bool {
    text.match_indices('/').any(|(at, _)| {
        let unit = &text[at + 1..];
        text[..at].ends_with(|c: char| c.is_ascii_digit())
            && ["sec", "min", "hour", "day"]
                .iter()
                .any(|time| unit.starts_with(time))
    })
}

/// Geth: `state 0x5e1b… is not available`.
fn is_about_missing_state(text: &str) -> bool {
    text.split_once("state 0x")
        .is_some_and(|(_, tail)| tail.contains("not available"))
}

/// What to do about a node that refuses this client.
pub(super) const REFUSES_CLIENT: &str = "it refuses this client (check the URL's API key)";

/// dRPC's code for too many requests.
const TOO_MANY_REQUESTS: i64 = 15;

/// Code for history that a node has dropped (EIP-4444).
const EXPIRED: i64 = 4444;

/// Geth's code for a revert, which others have taken over.
const REVERTED: i64 = 3;

/// A number, with thousands separators or a `k` suffix, directly after a phrase.
fn number_after(text: &str, phrase: &str) -> Option<u64> {
    text.match_indices(phrase).find_map(|(at, _)| {
        let tail = &text[at + phrase.len()..];
        let end = tail
            .find(|c: char| !c.is_ascii_digit() && c != ',')
            .unwrap_or(tail.len());
        let number: u64 = tail[..end].replace(',', "").parse().ok()?;
        let thousands = tail[end..].starts_with('k');
        number.checked_mul(if thousands { 1000 } else { 1 })
    })
}

/// A suggested range: `[0x1, 0x2]`, `range 1-2`, or `"from":"0x1"` and `"to":"0x2"` in the data.
fn range_in(text: &str) -> Option<(u64, u64)> {
    let pair = |inside: &str, separator: &str| {
        let (from, to) = inside.split_once(separator)?;
        Some((block(from)?, block(to)?))
    };
    let bracketed = text
        .match_indices("[0x")
        .find_map(|(at, _)| pair(text[at + 1..].split(']').next()?, ","));
    let dashed = || {
        text.match_indices("range ").find_map(|(at, phrase)| {
            let tail = &text[at + phrase.len()..];
            let end = tail
                .find(|c: char| !c.is_ascii_digit() && c != '-')
                .unwrap_or(tail.len());
            pair(&tail[..end], "-")
        })
    };
    let members = || Some((member(text, "\"from\"")?, member(text, "\"to\"")?));
    bracketed
        .or_else(dashed)
        .or_else(members)
        .filter(|(from, to)| from <= to)
}

fn member(text: &str, key: &str) -> Option<u64> {
    let (_, tail) = text.split_once(key)?;
    let tail = tail.trim_start().strip_prefix(':')?.trim_start();
    block(
        tail.strip_prefix('"')
            .unwrap_or(tail)
            .split(['"', ',', '}'])
            .next()?,
    )
}

fn block(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
