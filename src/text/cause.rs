//! Why a role came or went, in words for the member.

use super::command::moment;
use crate::domain::{Cause, FailureReason, Mark, UserId};

/// One sentence without a full stop. `whose`: "your" or "the".
pub(crate) fn cause(cause: &Cause, whose: &str) -> String {
    cause_with(cause, whose, &receipt)
}

/// The same with the transaction as `receipt` writes it.
pub(super) fn cause_with(cause: &Cause, whose: &str, receipt: &dyn Fn(&Mark) -> String) -> String {
    match cause {
        Cause::Paid {
            plan, until, mark, ..
        } => format!(
            "plan {plan} is paid, which gives access until {}; {}",
            moment(*until),
            receipt(mark)
        ),
        Cause::Resumed { until, mark, .. } => format!(
            "{whose} subscription was resumed, with access until {}; {}",
            moment(*until),
            receipt(mark)
        ),
        Cause::ExpiredAt { at, .. } => format!(
            "{whose} paid time and its grace ended {}, and no payment followed",
            moment(*at)
        ),
        Cause::PaymentFailed { mark, reason, .. } => format!(
            "a payment failed because {}; {}",
            failure(*reason, whose),
            receipt(mark)
        ),
        Cause::Paused { mark, .. } => {
            format!("{whose} subscription is paused; {}", receipt(mark))
        }
        Cause::Cancelled { mark, .. } => {
            format!("{whose} subscription is cancelled; {}", receipt(mark))
        }
        Cause::Blocked { mark, .. } => {
            format!("the merchant blocked {whose} wallet; {}", receipt(mark))
        }
        Cause::Reorganised { fork_block } => format!(
            "the payment is gone, because the chain replaced its blocks after block {fork_block}"
        ),
        Cause::NoSubscription => {
            format!("no linked wallet of {whose} account holds a subscription")
        }
        Cause::GateRemoved => "the server changed which subscription this role needs".to_owned(),
        Cause::ManualRole => {
            "it was given by hand, and this server keeps it for subscribers".to_owned()
        }
        Cause::Drift => "a check against the chain corrected it".to_owned(),
        Cause::ApiSays { plan, .. } => format!(
            "amser's API says that plan {plan} is paid; the chain, which I can't read at the moment, has the last word"
        ),
        Cause::ApiUnconfirmed => {
            "amser's API had said that it is paid, and the chain, which I can read again, does not confirm that".to_owned()
        }
        Cause::Unlinked => format!("the wallet of {whose} subscription was unlinked"),
        Cause::WalletMoved => {
            format!("the wallet of {whose} subscription was linked to another Discord account")
        }
        Cause::Forgotten => format!("{whose} data was deleted on request"),
        Cause::ManagerAct => {
            "a manager of the server removed the rule that gave this role".to_owned()
        }
        Cause::Granted { by, until } => {
            format!("{} gave it until {}", manager(*by), moment(*until))
        }
        Cause::GrantEnded { by, at } => format!(
            "the time for which {} gave it ended {}",
            manager(*by),
            moment(*at)
        ),
    }
}

/// A manager by name, unless they asked to be forgotten.
pub(super) fn manager(by: UserId) -> String {
    match by {
        UserId(0) => "a manager".to_owned(),
        UserId(by) => format!("<@{by}>"),
    }
}

/// Where it can be looked up.
pub(super) fn receipt(mark: &Mark) -> String {
    format!(
        "block {}, transaction `{}`",
        mark.position.block, mark.transaction
    )
}

/// After "because". `whose`: "your" or "the".
pub(crate) fn failure(reason: FailureReason, whose: &str) -> String {
    match reason.name() {
        Some("Expired") => format!("{whose} permission to charge has ended"),
        Some("Exhausted") => format!("{whose} permission to charge is used up"),
        Some("InsufficientAllowance") => format!("{whose} wallet's token allowance is too low"),
        Some("InsufficientBalance") => format!("{whose} wallet's balance is too low"),
        Some("TransferFailed") => "the token refused the transfer".to_owned(),
        Some("WindowMissed") => "the time for the charge was missed".to_owned(),
        Some(name) => format!("the protocol says {name}"),
        None => format!("of reason {}", reason.0),
    }
}
