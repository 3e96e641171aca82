//! Direct messages to members: a role came or went, a payment failed, a renewal looks unlikely.

use super::cause::{cause, failure, receipt};
use super::command::{moment, plain};
use crate::domain::{AtRisk, Cause, Risk, RoleAction};

/// On the button that ends these messages.
pub(crate) fn stop_notices_button() -> String {
    "Stop these messages".to_owned()
}

/// On the button that begins them again.
pub(crate) fn start_notices_button() -> String {
    "Send me messages again".to_owned()
}

/// After the one or the other.
pub(crate) fn notices_switched(on: bool) -> String {
    match on {
        true => {
            "I'll send you direct messages again about your roles and payments, where a server wants that."
                .to_owned()
        }
        false => {
            "I won't send you direct messages about your roles and payments any more, in any server. I still tell you if \
             another account links your wallet. `/status` shows how you stand."
                .to_owned()
        }
    }
}

/// Whether the member gets direct messages, beneath the export of `/privacy`.
pub(crate) fn notices_state(opted_out: bool) -> &'static str {
    match opted_out {
        true => "You get no direct messages from me about your roles and payments.",
        false => {
            "Where a server wants that, I send you direct messages about your roles and payments."
        }
    }
}

/// Names that one message has room for, however long they are.
const MOST_NAMES: usize = 6;

/// Names as a list in a sentence.
fn listed(names: &[String]) -> String {
    let (shown, left) = names.split_at(names.len().min(MOST_NAMES));
    let shown = shown.iter().map(|name| format!("**{}**", plain(name)));
    let left = (!left.is_empty()).then(|| format!("{} more", left.len()));
    let names: Vec<_> = shown.chain(left).collect();
    match names.as_slice() {
        [] => "your role".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Roles of a server came or went.
pub(crate) fn role_notice(
    action: RoleAction,
    roles: &[String],
    guild: &str,
    why: &Cause,
) -> String {
    let (roles, guild) = (listed(roles), plain(guild));
    match (action, why) {
        (RoleAction::Grant, _) => {
            format!("You got {roles} in **{guild}**: {}.", cause(why, "your"))
        }
        (RoleAction::Revoke, Cause::PaymentFailed { mark, reason, .. }) => format!(
            "Your payment failed, so you lost {roles} in **{guild}**: {}; {}. The role comes back as soon as a payment \
             goes through. `/status` in the server shows how you stand.",
            failure(*reason, "your"),
            receipt(mark)
        ),
        (RoleAction::Revoke, _) => format!(
            "You lost {roles} in **{guild}**: {}. `/status` in the server shows how you stand, `/plans` where to subscribe.",
            cause(why, "your")
        ),
    }
}

/// A charge that will fail, or failed while the server keeps the role until the end of the grace.
pub(crate) fn renewal_notice(at_risk: &AtRisk, roles: &[String], guild: &str) -> String {
    let (roles, guild) = (listed(roles), plain(guild));
    let (plan, until) = (at_risk.plan, moment(at_risk.access_until));
    let advice = advice(at_risk.risk);
    match at_risk.has_failed {
        true => format!(
            "Your payment for plan {plan} failed: {}. You keep {roles} in **{guild}** until {until}. {advice}",
            reason(at_risk.risk)
        ),
        false => format!(
            "Your subscription to plan {plan} will probably not renew: {}. The next payment is due {}; without it you lose \
             {roles} in **{guild}** {until}. {advice}",
            reason(at_risk.risk),
            moment(at_risk.due_at)
        ),
    }
}

/// Why a charge fails, without a full stop.
fn reason(risk: Risk) -> String {
    match risk {
        Risk::BalanceTooLow => "your wallet's balance is too low".to_owned(),
        Risk::AllowanceTooLow => "your wallet's token allowance is too low".to_owned(),
        Risk::AllowanceEnds(at) => {
            format!("your wallet's token allowance ends {}", moment(at))
        }
        Risk::ExpiryEnds(at) => format!("your permission to charge ends {}", moment(at)),
        Risk::WindowMissed => "the time for the charge was missed".to_owned(),
        Risk::Exhausted => "your permission to charge is used up".to_owned(),
        Risk::TokenDisabled => "the token is not accepted any more".to_owned(),
    }
}

/// What the member can do about it.
fn advice(risk: Risk) -> &'static str {
    match risk {
        Risk::BalanceTooLow => "Add funds to your wallet before then.",
        Risk::AllowanceTooLow | Risk::AllowanceEnds(_) => {
            "Raise the allowance where you subscribed."
        }
        Risk::ExpiryEnds(_) | Risk::Exhausted => "Renew the subscription where you subscribed.",
        Risk::WindowMissed | Risk::TokenDisabled => "Ask the server's team what to do.",
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;
    use crate::domain::{ModuleAddress, PlanId, SubscriptionId, Timestamp, Wallet};

    fn at_risk(risk: Risk, has_failed: bool) -> AtRisk {
        AtRisk {
            module: ModuleAddress(Address::ZERO),
            plan: PlanId::from(1),
            subscription: SubscriptionId::from(77),
            wallet: Wallet(Address::ZERO),
            due_at: Timestamp(1_700_000_000),
            access_until: Timestamp(1_700_086_400),
            price: U256::from(5),
            token: Address::ZERO,
            risk,
            has_failed,
        }
    }

    #[test]
    fn a_warning_says_why_when_what_is_lost_and_what_to_do() {
        let roles = ["Gold".to_owned(), "*Star*".to_owned()];
        let text = renewal_notice(&at_risk(Risk::BalanceTooLow, false), &roles, "Café");
        assert_eq!(
            text,
            "Your subscription to plan 1 will probably not renew: your wallet's balance is too low. The next payment is due \
             <t:1700000000:f> (<t:1700000000:R>); without it you lose **Gold** and **\\*Star\\*** in **Café** \
             <t:1700086400:f> (<t:1700086400:R>). Add funds to your wallet before then."
        );
        let text = renewal_notice(&at_risk(Risk::AllowanceTooLow, true), &roles[..1], "Café");
        assert!(
            text.starts_with("Your payment for plan 1 failed: your wallet's token allowance is too low. You keep **Gold**"),
            "{text}"
        );
    }

    #[test]
    fn every_direct_message_fits_into_discords_limit() {
        let roles = vec!["*".repeat(100); 25];
        let until = Timestamp(u64::MAX);
        for risk in [Risk::AllowanceEnds(until), Risk::ExpiryEnds(until)] {
            let text = renewal_notice(&at_risk(risk, false), &roles, &"*".repeat(100));
            assert!(text.chars().count() <= 2_000, "{text}");
        }
    }
}
