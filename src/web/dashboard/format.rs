//! Amounts, durations, moments and addresses as the dashboard shows them.

use std::fmt::Display;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::primitives::utils::format_units;
use maud::{Markup, html};

use crate::domain::Timestamp;

pub(super) use crate::text::{counted, number};

/// The most decimals of a token that are read as such; more are shown as base units.
const MOST_DECIMALS: u8 = 36;

/// A price for a person: whole tokens where the token's decimals are known, else base units.
pub(super) fn price(amount: U256, decimals: Option<u8>, symbol: Option<&str>) -> String {
    let known = decimals.filter(|decimals| *decimals <= MOST_DECIMALS);
    let whole = known.and_then(|decimals| format_units(amount, decimals).ok());
    let Some(whole) = whole else {
        return format!("{amount} base units");
    };
    let short = match whole.split_once('.') {
        // Two decimals at least, as prices are written; more only where they are not zero.
        Some((units, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            match fraction.len() {
                0 => units.to_owned(),
                _ => format!("{units}.{fraction:0<2}"),
            }
        }
        None => whole,
    };
    match symbol {
        Some(symbol) => format!("{short} {symbol}"),
        None => short,
    }
}

/// A length of time, rounded to its largest unit.
pub(super) fn about(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => counted(seconds, "second"),
        60..7_200 => counted((seconds + 30) / 60, "minute"),
        7_200..172_800 => counted((seconds + 1_800) / 3_600, "hour"),
        _ => counted((seconds + 43_200) / 86_400, "day"),
    }
}

/// A moment in UTC, and how long ago that is.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let text = at.to_string();
    let minutes = text.get(..16).unwrap_or(&text).replace('T', " ");
    html! {
        time datetime=(text) { (minutes) " UTC" }
        " " span.fine { "(" (ago(at, now)) ")" }
    }
}

/// `5 minutes ago`, `in 5 minutes`.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let apart = about(Duration::from_secs(at.0.abs_diff(now.0)));
    match at.0.cmp(&now.0) {
        std::cmp::Ordering::Less => format!("{apart} ago"),
        std::cmp::Ordering::Equal => "now".to_owned(),
        std::cmp::Ordering::Greater => format!("in {apart}"),
    }
}

/// An address or hash by its beginning and end.
pub(super) fn short(address: impl Display) -> String {
    let text = address.to_string();
    match (text.get(..6), text.len().checked_sub(4)) {
        (Some(start), Some(end)) if end > 6 => format!("{start}…{}", &text[end..]),
        _ => text,
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_told_in_whole_tokens_where_the_decimals_are_known() {
        let told = |amount: u64, decimals| price(U256::from(amount), decimals, Some("USDC"));
        assert_eq!(told(9_990_000, Some(6)), "9.99 USDC");
        assert_eq!(told(9_500_000, Some(6)), "9.50 USDC");
        assert_eq!(told(10_000_000, Some(6)), "10 USDC");
        assert_eq!(told(1, Some(6)), "0.000001 USDC");
        assert_eq!(told(7, Some(0)), "7 USDC");
        assert_eq!(told(7, None), "7 base units");
        assert_eq!(told(7, Some(255)), "7 base units");
        assert_eq!(price(U256::MAX, Some(18), None).split('.').count(), 2);
    }

    #[test]
    fn lengths_are_rounded() {
        assert_eq!(about(Duration::from_secs(59)), "59 seconds");
        assert_eq!(about(Duration::from_secs(100)), "2 minutes");
        assert_eq!(about(Duration::from_secs(7_200)), "2 hours");
        assert_eq!(about(Duration::from_secs(200_000)), "2 days");
    }

    #[test]
    fn lists_and_addresses_read_well() {
        assert_eq!(short("0x0123456789abcdef"), "0x0123…cdef");
        assert_eq!(short("0x01"), "0x01");
        let names = |names: &[&str]| {
            listed(
                &names
                    .iter()
                    .map(|&name| name.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(names(&["a"]), "a");
        assert_eq!(names(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn moments_say_how_long_ago_they_are() {
        let now = Timestamp(1_800_000_000);
        assert_eq!(ago(Timestamp(now.0 - 90), now), "2 minutes ago");
        assert_eq!(ago(now.plus(40), now), "in 40 seconds");
        assert_eq!(ago(now, now), "now");
        let shown = moment(Timestamp(now.0 - 90), now).into_string();
        assert!(shown.contains("2027-01-15 07:58 UTC"), "{shown}");
    }
}
