//! What happened and why, in words for a server's manager.

use alloy::primitives::B256;
use maud::{Markup, html};

use super::format::{counted, listed, short};
use crate::domain::{Act, Cause, Gate, MemberState, RoleId, Timestamp, UserId};
use crate::text;

/// One sentence without a full stop.
pub(in crate::web) fn sentence(cause: &Cause) -> String {
    match cause {
        Cause::Paid { plan, until, .. } => format!("plan {plan} is paid until {}", day(*until)),
        Cause::Resumed { until, .. } => {
            format!(
                "the subscription was resumed and is paid until {}",
                day(*until)
            )
        }
        Cause::ExpiredAt { at, .. } => format!(
            "the paid time and its grace ended on {}, and no payment followed",
            day(*at)
        ),
        Cause::PaymentFailed { reason, .. } => {
            format!("a payment failed because {}", text::failure(*reason, "the"))
        }
        Cause::Paused { .. } => "the subscription is paused".to_owned(),
        Cause::Cancelled { .. } => "the subscription is cancelled".to_owned(),
        Cause::Blocked { .. } => "the merchant blocked the subscriber's wallet".to_owned(),
        Cause::Reorganised { fork_block } => format!(
            "the payment is gone, because the chain replaced its blocks after block {fork_block}"
        ),
        Cause::NoSubscription => "no linked wallet holds a subscription".to_owned(),
        Cause::ManualRole => {
            "it was given by hand, and this server keeps it for subscribers".to_owned()
        }
        Cause::Drift => "a check against the chain corrected it".to_owned(),
        Cause::ApiSays { plan, .. } => {
            format!("amser's API says that plan {plan} is paid, while the chain cannot be read")
        }
        Cause::ApiUnconfirmed => {
            "amser's API had said that it is paid, which the chain does not confirm".to_owned()
        }
        Cause::Unlinked => "the member unlinked the wallet".to_owned(),
        Cause::WalletMoved => "the wallet was linked to another Discord account".to_owned(),
        Cause::Forgotten => "the member asked to be forgotten".to_owned(),
        Cause::ManagerAct => "a manager removed or took back the mapping of this role".to_owned(),
        Cause::Granted { until, .. } => format!("a manager gave it until {}", day(*until)),
        Cause::GrantEnded { at, .. } => {
            format!("the time for which a manager gave it ended on {}", day(*at))
        }
        Cause::GateRemoved => "the mapping of this role was changed or removed".to_owned(),
    }
}

/// The transaction that a cause stands on, if it stands on one.
pub(in crate::web) fn transaction(cause: &Cause) -> Option<B256> {
    cause.mark().map(|mark| mark.transaction)
}

fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..10).unwrap_or(&text).to_owned()
}

/// What a manager did, after their name.
pub(in crate::web) fn act_sentence(act: &Act, role_name: &dyn Fn(RoleId) -> String) -> String {
    let gate = |gate: &Gate| {
        let plans: Vec<_> = gate.plans.iter().map(ToString::to_string).collect();
        let roles: Vec<_> = gate.roles.iter().map(|role| role_name(*role)).collect();
        let noun = if plans.len() == 1 { "plan" } else { "plans" };
        format!("{noun} {} to {}", listed(&plans), listed(&roles))
    };
    match act {
        Act::Connected => "connected the server".to_owned(),
        Act::Disconnected { remove_roles: true } => {
            "disconnected the server and had the roles taken".to_owned()
        }
        Act::Disconnected {
            remove_roles: false,
        } => "disconnected the server and left the roles".to_owned(),
        Act::Gate {
            before,
            after,
            is_undo,
        } => {
            let undone = if *is_undo {
                "took the last change back: "
            } else {
                ""
            };
            let what = match (before, after) {
                (None, Some(after)) => format!("mapped {}", gate(after)),
                (Some(before), None) => format!("removed the mapping of {}", gate(before)),
                (Some(before), Some(after)) => {
                    format!(
                        "changed the mapping of {} into {}",
                        gate(before),
                        gate(after)
                    )
                }
                (None, None) => "changed nothing".to_owned(),
            };
            format!("{undone}{what}")
        }
        Act::Settings { .. } => "changed the settings".to_owned(),
        Act::RoleMade { name, .. } => format!("made the role {name}"),
        Act::Approved { role, removals } => format!(
            "approved taking {} from {}",
            role_name(*role),
            counted(*removals, "member")
        ),
        Act::Tested { .. } => "tested a mapping".to_owned(),
        Act::FallbackBegan => {
            "The chain cannot be read: answers of amser's API may give roles until it can."
                .to_owned()
        }
        Act::FallbackEnded => "The chain can be read again, and decides alone.".to_owned(),
        Act::Drift(drift) => drift.to_string(),
        Act::Granted { user, role, until } => {
            format!(
                "gave {} to {} until {}",
                role_name(*role),
                member(*user),
                day(*until)
            )
        }
        Act::Invited { user } => format!("made an invite for {}", member(*user)),
        Act::GrantEnded { user, role } => {
            format!(
                "ended the time for which {} has {}",
                member(*user),
                role_name(*role)
            )
        }
    }
}

/// A member by id: the journal looks up the names of those who act.
fn member(user: UserId) -> String {
    match user {
        UserId(0) => "a former member".to_owned(),
        user => format!("the member {user}"),
    }
}

/// A transaction as a link where a block explorer of the chain is known, else its hash.
pub(super) fn receipt(chain_id: u64, transaction: B256) -> Markup {
    html! {
        @match text::explorer(chain_id) {
            Some(base) => {
                a href={ (base) "/tx/" (transaction) } rel="noreferrer" { code { (short(transaction)) } }
            }
            None => code title=(transaction) { (short(transaction)) },
        }
    }
}

/// A member's state in a few words.
pub(super) fn state_name(state: MemberState) -> &'static str {
    match state {
        MemberState::Active => "Active",
        MemberState::Grace => "In grace",
        MemberState::Failed => "Payment failed",
        MemberState::Paused => "Paused",
        MemberState::Cancelled => "Cancelled",
        MemberState::Lapsed => "Lapsed",
        MemberState::Unpaid => "Not paid",
        MemberState::NotLinked => "Wallet not linked",
        MemberState::NotInServer => "Not in the server",
        MemberState::RoleTooLow => "Role too low",
        MemberState::RoleGone => "Role deleted",
        MemberState::Waiting => "On its way",
    }
}

/// What helps, where anything does.
pub(super) fn state_help(state: MemberState) -> Option<&'static str> {
    Some(match state {
        MemberState::Unpaid => "Subscribed, and the first payment has not come yet.",
        MemberState::NotLinked => {
            "Paid, but no Discord account has linked the wallet: ask them to run /verify."
        }
        MemberState::NotInServer => "Paid and linked; the role comes when they join the server.",
        MemberState::RoleTooLow => "Drag the bot's role above this one in Server Settings → Roles.",
        MemberState::RoleGone => "The role was deleted on Discord: change the mapping.",
        MemberState::Waiting => "The change is decided, and Discord has not confirmed it yet.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_a_link_only_where_an_explorer_is_known() {
        let hash = B256::repeat_byte(0xab);
        let known = receipt(8_453, hash).into_string();
        assert!(known.contains(&format!("https://basescan.org/tx/{hash}")));
        let local = receipt(31_337, hash).into_string();
        assert!(!local.contains("href") && local.contains(&hash.to_string()));
    }

    #[test]
    fn every_state_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            MemberState::ALL.into_iter().map(state_name).collect();
        assert_eq!(names.len(), MemberState::ALL.len());
    }
}
