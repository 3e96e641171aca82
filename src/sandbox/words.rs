//! What the sandbox says in words: amounts, spans of time, and why something did not work. Pure.
use crate::domain::FailureReason;

/// "1 block", "2 blocks".
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Millionths of a dollar as dollars.
pub(crate) fn amount(units: u128) -> String {
    format!("${}.{:02}", units / 1_000_000, units % 1_000_000 / 10_000)
}

/// A length of time by its two largest units: "1 day and 2 hours".
pub(crate) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, name) in UNITS {
        if left >= length {
            parts.push(count(left / length, name));
            left %= length;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        count(0, "second")
    } else {
        parts.join(" and ")
    }
}

/// A moment, as Discord's clients write it in the reader's own time zone.
pub(crate) fn moment(seconds: u64) -> String {
    format!("<t:{seconds}:f>")
}

/// Names in a sentence: "ada, grace and linus".
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Why a payment was not made.
pub(crate) fn failure(reason: FailureReason) -> String {
    match reason.0 {
        1 => "there is no such subscription",
        2 => "nothing is due yet",
        3 => "the subscription is paused",
        4 => "the subscription has expired",
        5 => "the budget of payments is used up",
        6 => "the merchant blocked the subscriber",
        7 => "the wallet no longer allows the payment (its allowance is too small)",
        8 => "the wallet has too few tokens",
        9 => "the token refused the transfer",
        10 => "this payment was made already",
        11 => "the time for this payment was missed",
        other => return format!("reason {other}"),
    }
    .to_owned()
}

/// What a contract's error means for somebody, by the error's name.
pub(crate) fn reverted(error: &str, who: &str) -> String {
    match error {
        "SubscriptionAlreadyExistsForPlan" => {
            format!("{who} is subscribed to this plan already: one subscription a plan and wallet.")
        }
        "SubscriptionIsPaused" => format!("{who}'s subscription is paused: resume it first."),
        "SubscriptionNotPaused" => format!("{who}'s subscription is not paused."),
        "SubscriptionNotFound" => format!("{who} has no such subscription."),
        "SubscriptionNotMissed" => format!("{who} has missed no payment."),
        "PlanInactive" => "The plan takes no new subscribers.".to_owned(),
        "PlanNotFound" => "There is no such plan.".to_owned(),
        "IsBlocked" => format!("The merchant has blocked {who}."),
        "ExpiryInThePast" => "The new end would be in the past.".to_owned(),
        "AllowanceTooLow" => format!("{who}'s wallet allows too few tokens."),
        other => format!("The contract refused this for {who}: {other}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_said_in_the_singular() {
        assert_eq!(count(1, "block"), "1 block");
        assert_eq!(count(5, "block"), "5 blocks");
        assert_eq!(span(93_600), "1 day and 2 hours");
        assert_eq!(span(3_600), "1 hour");
        assert_eq!(span(31 * 86_400), "31 days");
        assert_eq!(span(0), "0 seconds");
    }

    #[test]
    fn amounts_and_names_read_as_people_write_them() {
        assert_eq!(amount(5_000_000), "$5.00");
        assert_eq!(amount(12_345_678), "$12.34");
        let names = ["ada", "grace", "linus"].map(str::to_owned);
        assert_eq!(list(&names), "ada, grace and linus");
        assert_eq!(list(&names[..1]), "ada");
    }

    #[test]
    fn reverts_and_failures_name_the_member_and_no_selector() {
        let twice = reverted("SubscriptionAlreadyExistsForPlan", "ada");
        assert!(twice.starts_with("ada is subscribed"));
        assert!(reverted("Odd", "ada").contains("Odd"));
        assert!(failure(FailureReason(7)).contains("allowance"));
        assert_eq!(failure(FailureReason(99)), "reason 99");
    }
}
