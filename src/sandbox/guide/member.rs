//! The way of a member: from `/verify` to a role that goes with the subscription.

use super::{Member, Status, offer, step, until_due};
use crate::sandbox::discord::{Does, Offer, Step};

/// What a member has been through; it stays when the state moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    linked: bool,
    paid: bool,
    got_role: bool,
    asked_why: bool,
    failed: bool,
    recovered: bool,
    lapsed: bool,
}

impl Progress {
    /// Takes in how a member stands now.
    pub(crate) fn note(&mut self, member: &Member, asked_why: bool) {
        self.linked |= member.wallet.is_some();
        self.asked_why |= asked_why;
        let Some(one) = &member.subscription else {
            return;
        };
        self.paid |= one.last_paid > 0;
        self.got_role |= member.has_role;
        self.failed |= one.failed.is_some() && !member.has_role;
        self.recovered |= self.failed && one.failed.is_none() && member.has_role;
        self.lapsed |= self.recovered && one.status == Status::Lapsed && !member.has_role;
    }
}

/// The steps, in order.
pub(crate) fn steps(member: &Member, progress: Progress, now: u64, checkout: &str) -> Vec<Step> {
    let Member { name, role, .. } = member;
    let subscription = member.subscription.as_ref();
    let due = subscription.is_none_or(|one| one.is_due(now));
    let when_due = |then: Offer| match subscription {
        Some(one) if !due => vec![until_due(member, one, now)],
        _ => vec![then],
    };
    vec![
        step(
            "Link your wallet",
            "Type `/verify` as every member does. The bot answers, to you alone, with a link to the wallet page: sign in there as \
             yourself and sign a message. It costs nothing and moves nothing; it proves that the wallet is yours. The sandbox's \
             browser wallet signs for you."
                .to_owned(),
            progress.linked,
            vec![typed("Type /verify", "/verify")],
        ),
        step(
            "Subscribe and pay",
            "The checkout is the merchant's. Subscribing allows the payments; the first one is made at once. Both are \
             transactions: the time line shows them, and how many blocks stand on top."
                .to_owned(),
            progress.paid,
            vec![Offer {
                label: "Open the checkout".to_owned(),
                says: String::new(),
                what: Does::Open(checkout.to_owned()),
            }],
        ),
        step(
            &format!("Get the role {role}"),
            format!(
                "Nothing to do: when the payment has two blocks on top, the bot gives {name} the role, about six seconds \
                 later."
            ),
            progress.got_role,
            Vec::new(),
        ),
        step(
            "Ask why you have it",
            "Every role change has a receipt: the payment, the transaction, and until when it counts.".to_owned(),
            progress.asked_why,
            vec![typed("Type /why", &format!("/why role:\"{role}\""))],
        ),
        step(
            "See a payment fail",
            "A day later the next payment is due. The wallet no longer allows it, so the payment fails, and this server \
             takes the role at once. (A merchant can also let members keep it until the paid time ends.)"
                .to_owned(),
            progress.failed,
            when_due(offer(member, "Fail payment", "fail_payment", "")),
        ),
        step(
            "Pay again",
            "The next payment that succeeds brings the role back; nobody has to ask.".to_owned(),
            progress.recovered,
            when_due(offer(member, "Pay", "pay", "")),
        ),
        step(
            "Let it lapse",
            "If nobody pays, nothing happens on the chain at all: no event, no transaction. The paid time and its grace simply \
             end, by the chain's clock, and the role goes."
                .to_owned(),
            progress.lapsed,
            vec![offer(
                member,
                "Let time pass until it lapses",
                "pass_until_lapsed",
                "Moves the chain's clock, for everyone",
            )],
        ),
    ]
}

/// A command that the button types.
fn typed(label: &str, line: &str) -> Offer {
    Offer {
        label: label.to_owned(),
        says: String::new(),
        what: Does::Type(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;
    use crate::domain::FailureReason;

    fn next(member: &Member, progress: Progress, now: u64) -> String {
        let steps = steps(member, progress, now, "/checkout");
        let next = steps.into_iter().find(|step| !step.done);
        next.map_or("over".into(), |step| step.title)
    }

    #[test]
    fn a_life_goes_through_the_steps_one_by_one() {
        let mut progress = Progress::default();
        let mut who = Member {
            wallet: None,
            ..member(None)
        };
        assert_eq!(next(&who, progress, 0), "Link your wallet");
        who.wallet = member(None).wallet;
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 0), "Subscribe and pay");
        who.subscription = member(Some(Status::Active)).subscription;
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 1_000), "Get the role Subscriber");
        who.has_role = true;
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 1_000), "Ask why you have it");
        progress.note(&who, true);
        assert_eq!(next(&who, progress, 1_000), "See a payment fail");
        who.has_role = false;
        who.subscription.as_mut().unwrap().failed = Some(FailureReason(7));
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 87_400), "Pay again");
        who.has_role = true;
        who.subscription.as_mut().unwrap().failed = None;
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 87_400), "Let it lapse");
        who.has_role = false;
        who.subscription.as_mut().unwrap().status = Status::Lapsed;
        progress.note(&who, false);
        assert_eq!(next(&who, progress, 999_999), "over");
    }

    #[test]
    fn a_payment_that_is_not_due_is_waited_for_by_a_button_that_says_so() {
        let who = member(Some(Status::Active));
        let steps = steps(&who, Progress::default(), 1_000, "/checkout");
        assert_eq!(
            steps[4].offers[0].label,
            "Let 1 day pass, until a payment is due"
        );
        let steps = super::steps(&who, Progress::default(), 87_400, "/checkout");
        assert_eq!(steps[4].offers[0].label, "Fail payment");
    }
}
