//! What is known of a member, put into words: how the subscription stands, what can be done now, and the steps of the two
//! guided ways. Pure.
mod member;
mod merchant;

pub(crate) use member::{Progress, steps as member_steps};
pub(crate) use merchant::{Merchant, steps as merchant_steps};

use crate::domain::{FailureReason, Plan, UserId};
use crate::sandbox::discord::{Offer, Step};
use crate::sandbox::words::{amount, failure, moment, span};

/// How the contract calls a subscription's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Active,
    Paused,
    Exhausted,
    Lapsed,
    Cancelled,
    Blocked,
}

impl Status {
    /// By the contract's number.
    pub(crate) fn from_contract(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Pending,
            2 => Self::Active,
            3 => Self::Paused,
            4 => Self::Exhausted,
            5 => Self::Lapsed,
            6 => Self::Cancelled,
            7 => Self::Blocked,
            _ => return None,
        })
    }
}

/// A member's newest subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) id: String,
    pub(crate) plan_id: String,
    pub(crate) plan: Plan,
    pub(crate) status: Status,
    /// Seconds of the chain's clock; 0 before the first payment.
    pub(crate) last_paid: u64,
    pub(crate) next_charge: u64,
    /// Why the last payment failed, when no payment followed.
    pub(crate) failed: Option<FailureReason>,
}

impl Subscribed {
    /// When access ends unless something is paid before, if it is open.
    pub(crate) fn ends(&self, now: u64) -> Option<u64> {
        let open =
            matches!(self.status, Status::Active | Status::Exhausted) && self.failed.is_none();
        let end = self.last_paid + self.plan.interval + self.plan.grace_period;
        (open && now <= end).then_some(end)
    }

    fn is_due(&self, now: u64) -> bool {
        now >= self.next_charge
    }
}

/// A member, as far as the sandbox can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// The linked wallet.
    pub(crate) wallet: Option<String>,
    pub(crate) subscription: Option<Subscribed>,
    /// They hold the role that the plan opens.
    pub(crate) has_role: bool,
    /// The role's name.
    pub(crate) role: String,
}

/// "Plan 1: $5.00 every day, with 2 hours of grace".
pub(crate) fn terms(plan_id: &str, plan: &Plan) -> String {
    let price = amount(plan.price.try_into().unwrap_or(u128::MAX));
    format!(
        "Plan {plan_id}: {price} every {}, with {} of grace",
        span(plan.interval).trim_start_matches("1 "),
        span(plan.grace_period)
    )
}

/// The lines under a member's name.
pub(crate) fn lines(member: &Member, now: u64) -> Vec<String> {
    let mut lines = vec![match &member.wallet {
        Some(wallet) => format!(
            "Wallet `{}…{}` is linked.",
            &wallet[..6],
            &wallet[wallet.len() - 4..]
        ),
        None => "No wallet is linked.".to_owned(),
    }];
    let Some(one) = &member.subscription else {
        lines.push("No subscription.".to_owned());
        return lines;
    };
    lines.push(format!(
        "{}. Subscription {}: {}",
        terms(&one.plan_id, &one.plan),
        one.id,
        state(one, now)
    ));
    lines
}

fn state(one: &Subscribed, now: u64) -> String {
    let paid_until = one.last_paid + one.plan.interval;
    let end = paid_until + one.plan.grace_period;
    match one.status {
        Status::Pending => "**not paid yet**; the first payment is due.".to_owned(),
        Status::Paused => "**paused** by the subscriber.".to_owned(),
        Status::Cancelled => "**cancelled**.".to_owned(),
        Status::Blocked => "**blocked** by the merchant.".to_owned(),
        _ if one.failed.is_some() => {
            let why = one.failed.map(failure).unwrap_or_default();
            format!("**payment failed**: {why}.")
        }
        Status::Lapsed => format!("**lapsed**: paid time and grace ended {}.", moment(end)),
        _ if now > paid_until => format!(
            "**in grace** until {}: the payment is overdue.",
            moment(end)
        ),
        Status::Active | Status::Exhausted => {
            let last = if one.status == Status::Exhausted {
                " This was the last payment of its budget."
            } else {
                ""
            };
            format!(
                "**paid** until {}, then grace until {}.{last}",
                moment(paid_until),
                moment(end)
            )
        }
    }
}

/// An action of this member's as a button.
pub(crate) fn offer(member: &Member, label: &str, action: &str, says: &str) -> Offer {
    let user = member.user;
    Offer {
        label: label.to_owned(),
        says: says.to_owned(),
        what: crate::sandbox::discord::Does::Act(
            serde_json::json!({ "action": action, "user_id": user }).to_string(),
        ),
    }
}

/// What a member can do now; other actions would only be refused.
pub(crate) fn offers(member: &Member, now: u64) -> Vec<Offer> {
    let offer = |label: &str, action: &str, says: &str| offer(member, label, action, says);
    let mut offers = Vec::new();
    let subscribe = || {
        offer(
            "Subscribe",
            "subscribe",
            "Subscribes to the plan; the first payment is due at once",
        )
    };
    match &member.subscription {
        None => offers.push(subscribe()),
        Some(one) => match one.status {
            Status::Cancelled => offers.push(subscribe()),
            Status::Blocked => {}
            Status::Paused => {
                offers.push(offer(
                    "Resume",
                    "resume",
                    "The subscriber resumes the subscription",
                ));
                offers.push(offer(
                    "Cancel",
                    "cancel",
                    "The subscriber ends the subscription for good",
                ));
            }
            _ => {
                if one.is_due(now) {
                    offers.push(offer(
                        "Pay",
                        "pay",
                        "A keeper executes the payment that is due, and it succeeds",
                    ));
                    offers.push(offer(
                        "Fail payment",
                        "fail_payment",
                        "The wallet takes its allowance away, then a keeper tries the payment",
                    ));
                } else {
                    offers.push(until_due(member, one, now));
                }
                offers.push(offer(
                    "Pause",
                    "pause",
                    "The subscriber suspends the subscription",
                ));
                offers.push(offer(
                    "Cancel",
                    "cancel",
                    "The subscriber ends the subscription for good",
                ));
            }
        },
    }
    offers.push(if member.wallet.is_some() {
        offer(
            "Unlink wallet",
            "unlink_wallet",
            "Takes the wallet from the member",
        )
    } else {
        offer(
            "Link without signing",
            "link_wallet",
            "Links a wallet as only a sandbox may; /verify is the real way",
        )
    });
    offers
}

fn until_due(member: &Member, one: &Subscribed, now: u64) -> Offer {
    let wait = span(one.next_charge.saturating_sub(now));
    offer(
        member,
        &format!("Let {wait} pass, until a payment is due"),
        "pass_until_due",
        "Moves the chain's clock, for everyone",
    )
}

/// Whose access ends when so much time passes and nobody pays: a sentence, or nothing.
pub(crate) fn ends_by(members: &[Member], now: u64, seconds: u64) -> String {
    let ending: Vec<_> = members
        .iter()
        .filter(|member| {
            let end = member.subscription.as_ref().and_then(|one| one.ends(now));
            end.is_some_and(|end| end < now + seconds)
        })
        .map(|member| member.name.clone())
        .collect();
    if ending.is_empty() {
        "ends nobody's access".to_owned()
    } else {
        format!(
            "ends the access of {}",
            crate::sandbox::words::list(&ending)
        )
    }
}

/// A step that is not done yet and has one thing to press.
fn step(title: &str, why: String, done: bool, offers: Vec<Offer>) -> Step {
    Step {
        title: title.to_owned(),
        why,
        done,
        offers,
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};

    use super::*;

    pub(super) fn member(status: Option<Status>) -> Member {
        Member {
            user: UserId(7),
            name: "ada".into(),
            wallet: Some("0x00112233445566778899aabbccddeeff00112233".into()),
            subscription: status.map(|status| Subscribed {
                id: "1".into(),
                plan_id: "1".into(),
                plan: Plan {
                    token: Address::ZERO,
                    price: U256::from(5_000_000),
                    interval: 86_400,
                    grace_period: 7_200,
                    active: true,
                },
                status,
                last_paid: 1_000,
                next_charge: 87_400,
                failed: None,
            }),
            has_role: false,
            role: "Subscriber".into(),
        }
    }

    fn labels(member: &Member, now: u64) -> Vec<String> {
        offers(member, now)
            .into_iter()
            .map(|one| one.label)
            .collect()
    }

    #[test]
    fn the_card_tells_the_state_and_the_plans_facts() {
        let text = |status, now| lines(&member(Some(status)), now).join(" ");
        let paid = text(Status::Active, 2_000);
        assert!(
            paid.contains("$5.00 every day, with 2 hours of grace"),
            "{paid}"
        );
        assert!(paid.contains("**paid** until <t:87400:f>"), "{paid}");
        assert!(text(Status::Active, 90_000).contains("**in grace** until <t:94600:f>"));
        assert!(text(Status::Paused, 2_000).contains("**paused**"));
        assert!(text(Status::Cancelled, 2_000).contains("**cancelled**"));
        let mut failed = member(Some(Status::Active));
        failed.subscription.as_mut().unwrap().failed = Some(FailureReason(7));
        assert!(
            lines(&failed, 90_000)
                .join(" ")
                .contains("**payment failed**: the wallet")
        );
        assert_eq!(lines(&member(None), 0)[1], "No subscription.");
    }

    #[test]
    fn only_what_can_work_is_offered_and_waiting_says_how_long() {
        assert_eq!(labels(&member(None), 0), ["Subscribe", "Unlink wallet"]);
        let waiting = labels(&member(Some(Status::Active)), 1_000);
        assert_eq!(waiting[0], "Let 1 day pass, until a payment is due");
        assert!(!waiting.contains(&"Pay".to_owned()));
        assert_eq!(
            labels(&member(Some(Status::Active)), 87_400)[..2],
            ["Pay", "Fail payment"]
        );
        assert_eq!(labels(&member(Some(Status::Paused)), 1_000)[0], "Resume");
    }

    #[test]
    fn letting_time_pass_says_whose_access_it_ends() {
        let members = [member(Some(Status::Active)), member(None)];
        assert_eq!(ends_by(&members, 1_000, 3_600), "ends nobody's access");
        assert_eq!(
            ends_by(&members, 1_000, 86_400 + 7_200),
            "ends nobody's access"
        );
        assert_eq!(
            ends_by(&members, 1_000, 86_400 + 7_201),
            "ends the access of ada"
        );
        assert_eq!(ends_by(&members, 999_999, 86_400), "ends nobody's access");
    }
}
