//! The wordings. Each was seen in a provider's documentation, source or answers; `tests.rs` holds them verbatim.
//!
//! Codes say little: -32005 is a result limit at Infura, a rate limit at others, a block-range limit at cdk-erigon;
//! -32602 is any of them. So the words decide, and the code only where they say nothing.

use std::time::Duration;

use super::RpcError;

/// Classifies by code, message and `data` (JSON text, may be empty).
pub(super) fn classify(
    code: i64,
    message: &str,
    data: &str,
    retry_after: Option<Duration>,
) -> RpcError {
    // Tenderly and some proxies say "invalid params" and put the reason into `data`.
    let text = format!("{message} {data}").to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let message = message.to_owned();

    // Before everything else: what follows may be the contract's own words, which can be any.
    if code == REVERTED || text.starts_with("execution reverted") || says(CONTRACT) {
        RpcError::Refused { message }
    } else if says(BATCHES) {
        RpcError::BatchRefused { message }
    } else if says(BEYOND_HEAD) || says(REFUSED) {
        RpcError::Unavailable { message }
    } else if says(RESULTS) || (text.contains("more than") && text.contains(" results")) {
        RpcError::TooManyResults {
            suggested: range_in(&text),
            message,
        }
    } else if says(TIMEOUTS) {
        RpcError::Timeout { message }
    } else if code == 429 || says(RATES) {
        RpcError::RateLimited {
            retry_after: retry_after.or_else(|| wait_in(&text)),
            message,
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
    } else if code == -32005 {
        // EIP-1474's "limit exceeded" with nothing more said; splitting the range makes progress with either meaning.
        RpcError::TooManyResults {
            suggested: None,
            message,
        }
    } else {
        RpcError::Other { code, message }
    }
}

/// Geth's code for a revert, which others have taken over.
const REVERTED: i64 = 3;

/// How nodes say that the contract failed: a revert (Nethermind, Hardhat), and the EVM's other failures (go-ethereum,
/// core/vm/errors.go; revm's halt reasons as reth and anvil print them).
const CONTRACT: &[&str] = &[
    "vm execution error",
    "vm exception while processing",
    "out of gas",
    "outofgas",
    "gas uint64 overflow",
    "invalid opcode",
    "invalidfeopcode",
    "opcodenotfound",
    "invalid jump",
    "invalidjump",
    "stack underflow",
    "stackunderflow",
    "stack limit reached",
    "stackoverflow",
    "write protection",
    "return data out of bounds",
    "outofoffset",
];

/// The node takes no batches of calls, or only smaller ones (geth, Erigon, dRPC).
const BATCHES: &[&str] = &[
    "batch too large",
    "batch limit",
    "batch size",
    "batch request",
    "batch call",
    "batch of",
    "batches",
    "batching",
];

/// The node does not have the blocks (yet): a lagging member of a provider's fleet.
const BEYOND_HEAD: &[&str] = &[
    "beyond current head",
    "invalid block range params",
    "header not found",
    "block not found",
    "unknown block",
    "could not be found",
    "after last accepted block",
    "no backend is currently healthy",
];

/// The node does not serve this client.
const REFUSED: &[&str] = &[
    "unauthorized",
    "must authenticate",
    "invalid api key",
    "api key is not",
    "invalid project id",
    "project id settings",
    "forbidden",
];

const RESULTS: &[&str] = &[
    "response size",
    "response too large",
    "response is too big",
    "exceeds max results",
    "too many results",
    "too many logs",
    "logs matched by query exceeds",
    "length limit exceeded",
    "max logs per response",
];

const TIMEOUTS: &[&str] = &[
    "timeout",
    "timed out",
    "deadline exceeded",
    "took too long",
    "execution aborted",
];

const RATES: &[&str] = &[
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "too many requests",
    "too many concurrent requests",
    "unable to rent an instance",
    "request limit reached",
    "reached the request limit",
    "exceeded its compute units",
    "compute units per second",
    "requests per second",
    "request count exceeded",
    "capacity exceeded",
    "exceeded the quota",
    "try again in",
];

const RANGES: &[&str] = &[
    "block range",
    "blocks range",
    "block_range",
    "range limit",
    "range is too",
    "range too",
    " range",
    "ranges over",
    "too many blocks",
    "blocks distance",
    "number of requested blocks",
    "limit the query to",
    "smaller than size",
    "exceeds limit of",
    "maxblockrange",
    "block span",
];

/// Words that the limit's number follows, the more telling ones first.
const LIMITS: &[&str] = &[
    "maximum is set to ",
    "limited to a ",
    "limited to 0 - ",
    "limited to ",
    "up to a ",
    "max range: ",
    "max range ",
    "max is ",
    "maximum allowed number of requested blocks is ",
    "maximum allowed is ",
    "exceeds limit of ",
    "exceeds the limit ",
    "at most ",
    "maximum block range: ",
    "max block range ",
    "block range greater than ",
    "block range exceeds ",
    "(maximum ",
    "range limit ",
    "ranges over ",
    "smaller than size ",
    "blocks distance: ",
    "narrow your filter: ",
    " > ",
];

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

/// A wait that stands in the text: `try again in 4ms`, `retry in 20s`, or Infura's `"backoff_seconds":30`.
fn wait_in(text: &str) -> Option<Duration> {
    [
        "again in ",
        "retry in ",
        "retry after ",
        "\"backoff_seconds\":",
    ]
    .iter()
    .find_map(|phrase| {
        let (_, tail) = text.split_once(phrase)?;
        let tail = tail.trim_start();
        let end = tail
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(tail.len());
        let number: f64 = tail[..end].trim_end_matches('.').parse().ok()?;
        let unit = if tail[end..].trim_start().starts_with("ms") {
            0.001
        } else {
            1.0
        };
        Duration::try_from_secs_f64(number * unit).ok()
    })
}
