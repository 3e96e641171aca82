//! A server's own rules: what happens when a member stops paying, and to roles that were given by hand.

use crate::domain::{ManualRoles, OnLapse, Policy};

/// What happens when a member stops paying in one way or another.
pub(crate) fn on_lapse(policy: &Policy) -> String {
    let told = |rule: OnLapse| match rule {
        OnLapse::Revoke => "loses the role at once",
        OnLapse::KeepUntilExpiry => "keeps the role until the paid time and its grace end",
    };
    let [cancels, pauses, fails] = [policy.cancelled, policy.paused, policy.payment_failed];
    if cancels == pauses && pauses == fails {
        let told = told(cancels);
        return format!("A member who cancels, who pauses or whose payment fails {told}.");
    }
    format!(
        "A member who cancels {}, one who pauses {}, and one whose payment fails {}.",
        told(cancels),
        told(pauses),
        told(fails),
    )
}

/// What becomes of a role that was given by hand; above this, the rule's name is enough.
pub(crate) fn by_hand(rule: ManualRoles) -> &'static str {
    match rule {
        ManualRoles::Adopt => {
            "Who pays keeps it, and loses it with the subscription. Others keep it."
        }
        ManualRoles::Leave => "A role that was given by hand is never taken.",
        ManualRoles::Claim => "Only who pays may hold it. It is taken from everyone else.",
    }
}

/// The rule's name.
pub(crate) fn by_hand_name(rule: ManualRoles) -> &'static str {
    match rule {
        ManualRoles::Adopt => "Adopt",
        ManualRoles::Leave => "Leave",
        ManualRoles::Claim => "Claim",
    }
}

/// Above the choice of when a role outlives the payments, in `/amser setup`, and beneath it.
pub(crate) fn keep_label() -> &'static str {
    "Keep the role until the paid time ends if"
}

/// Beneath that choice.
pub(crate) fn keep_hint() -> &'static str {
    "For the whole server. Where nothing is chosen, the role is taken at once."
}

/// One of its options, and what others do.
pub(crate) fn keep_cancelled() -> (&'static str, &'static str) {
    ("the member cancels", "Most services do this.")
}

/// One of its options, and what is behind it.
pub(crate) fn keep_paused() -> (&'static str, &'static str) {
    ("the member pauses", "What was paid before is paid.")
}

/// One of its options, and what others do.
pub(crate) fn keep_failed() -> (&'static str, &'static str) {
    (
        "a payment fails",
        "Services differ here. A wallet may be empty for a day.",
    )
}

/// Above the choice of what becomes of roles that were given by hand.
pub(crate) fn by_hand_label() -> &'static str {
    "Roles that were given by hand"
}

/// Beneath that choice.
pub(crate) fn by_hand_hint() -> &'static str {
    "For the whole server. Most servers adopt."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_for_each_way_to_stop_paying() {
        let policy = Policy {
            cancelled: OnLapse::KeepUntilExpiry,
            paused: OnLapse::Revoke,
            payment_failed: OnLapse::Revoke,
            ..Policy::default()
        };
        let told = on_lapse(&policy);
        let expected = "A member who cancels keeps the role until the paid time and its grace end, one who pauses loses";
        assert!(told.starts_with(expected), "{told}");
        let same = on_lapse(&Policy::default());
        let expected =
            "A member who cancels, who pauses or whose payment fails loses the role at once.";
        assert_eq!(same, expected);
    }

    #[test]
    fn what_stands_around_a_choice_is_no_longer_than_discord_allows() {
        assert!(keep_label().len() <= 45 && by_hand_label().len() <= 45);
        assert!(keep_hint().len() <= 100 && by_hand_hint().len() <= 100);
    }
}
