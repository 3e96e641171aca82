//! Every text about Discord that a person reads, as plain functions.

mod alert;
mod cause;
mod command;
mod contested;
mod count;
mod forecast;
mod grant;
mod log;
mod manager;
mod notice;
mod plan;
mod receipt;
mod rules;
mod setup;
mod status;
mod trail;

pub(crate) use alert::{
    alert_begins, alert_ends, chain_behind, channel_lacks, channel_refused, failing, fallback,
    intent_review, members_intent, members_unread, module_unread, removals_stopped, unknown_logs,
};
pub(crate) use cause::failure;
pub(crate) use command::{
    Unread, busy, count, export, forget_button, forget_question, forgotten, internal_failure,
    no_gates, no_wallet, not_a_wallet, not_your_wallet, only_in_servers, outdated_command,
    permanent_button, permanent_message, short_wallet, too_fast, unlink_all_button,
    unlink_question, unlinked, unreadable, verify, verify_button, wallet_moved, wallets,
    wrong_option,
};
pub(crate) use contested::{Other, contested};
pub(crate) use count::{counted, number};
pub(crate) use forecast::{forecast, risk, unread, your_risk};
pub(crate) use grant::{
    cannot_give, given_to_you, grant_above_you, grant_dangerous, grant_ended, granted, no_grant,
    no_such_role, not_a_member,
};
pub(crate) use log::{Digest, digest, explorer, log_line, loss};
pub(crate) use manager::{
    Check, GateList, approve_button, approve_question, approved, cannot_post, check, closed_thread,
    gates, managers_only, nothing_held, posted, still_reading, synced, whois, wrong_channel,
};
pub(crate) use notice::{
    notices_state, notices_switched, renewal_notice, role_notice, start_notices_button,
    stop_notices_button,
};
pub(crate) use plan::{Checkout, PlanRows, amount, plans};
pub(crate) use receipt::{Receipt, not_gated, nothing_gated, only_yourself, why};
pub(crate) use rules::{
    by_hand, by_hand_hint, by_hand_label, by_hand_name, keep_cancelled, keep_failed, keep_hint,
    keep_label, keep_paused, on_lapse,
};
pub(crate) use setup::{
    Target, setup_all, setup_already, setup_any, setup_button, setup_dangerous_button, setup_done,
    setup_match_label, setup_more_plans, setup_needs_wallet, setup_new_role, setup_no_module,
    setup_no_new_role, setup_no_plan, setup_one_module, setup_plan_label, setup_plan_terms,
    setup_preview, setup_role_hint, setup_role_label, setup_slow, setup_title, setup_too_much,
};
pub(crate) use status::{Pending, Status, status};
pub(crate) use trail::{Trail, question, told, told_gate};

use crate::domain::{Cause, GuildId, RoleId};

use crate::discord::error::{Reason, Refusal};
use crate::discord::hierarchy::{Giver, Obstacle};

/// The reason in the server's audit log. Everyone who may see that log reads it, so it names the plan and the end of access
/// alone: a subscription, a wallet or a transaction would tell them whose wallet the member's is.
///
/// ASCII without `%`, far below Discord's 512 characters, so that it is a header value as it is.
pub fn audit_reason(cause: &Cause) -> String {
    let reason = match cause {
        Cause::Paid { plan, until, .. } => format!("plan {plan} paid until {until}"),
        Cause::Resumed { until, .. } => format!("subscription resumed, paid until {until}"),
        Cause::ExpiredAt { at, .. } => format!("paid time ran out at {at}"),
        Cause::PaymentFailed { reason, .. } => {
            format!("payment failed: {}", failure(*reason, "the"))
        }
        Cause::Paused { .. } => "subscription paused".to_owned(),
        Cause::Cancelled { .. } => "subscription cancelled".to_owned(),
        Cause::Blocked { .. } => "subscriber blocked by the merchant".to_owned(),
        Cause::Reorganised { .. } => "the chain was reorganised and the payment is gone".to_owned(),
        Cause::NoSubscription => "no subscription backs this role".to_owned(),
        Cause::GateRemoved => "the gate for this role was changed or removed".to_owned(),
        Cause::ManagerAct => "a manager removed the gate for this role".to_owned(),
        Cause::ManualRole => "given by hand, but this role needs a subscription".to_owned(),
        Cause::Drift => "corrected after a check against the chain".to_owned(),
        Cause::ApiSays { plan, .. } => format!("plan {plan} paid by amser's API"),
        Cause::ApiUnconfirmed => "the chain does not confirm what amser's API said".to_owned(),
        Cause::Unlinked => "the member unlinked the wallet".to_owned(),
        Cause::WalletMoved => "the wallet was linked to another account".to_owned(),
        Cause::Forgotten => "the member's data was deleted on request".to_owned(),
        Cause::Granted { until, .. } => format!("given by a manager until {until}"),
        Cause::GrantEnded { at, .. } => format!("a manager's grant ended at {at}"),
    };
    format!("amser: {reason}")
}

/// What to do about an obstacle, in one sentence that names the server.
pub fn obstacle(guild: &str, role: RoleId, obstacle: &Obstacle) -> String {
    format!("In \"{guild}\" the {}", thing_in_the_way(role, obstacle))
}

/// Why a role cannot be given, in one sentence for who looks at its server already.
pub(crate) fn why_not(role: RoleId, obstacle: &Obstacle) -> String {
    format!("The {}", thing_in_the_way(role, obstacle))
}

fn thing_in_the_way(role: RoleId, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::NoManageRoles => {
            "bot lacks the permission \"Manage Roles\": grant it to the bot's role in Server Settings > Roles."
                .to_owned()
        }
        Obstacle::Gone => {
            format!("role {role} does not exist any more: choose another role for its gate.")
        }
        Obstacle::Everyone => "role @everyone cannot be given: choose another role.".to_owned(),
        Obstacle::NotByHand { role, giver } => {
            let giver = match giver {
                Giver::Integration => "by the integration it belongs to",
                Giver::Boosts => "by Discord, for boosting the server",
                Giver::Shop => "by Discord, for a purchase in the server's shop",
                Giver::Connections => "by Discord, for connected accounts (a linked role)",
            };
            format!("role \"{role}\" can only be given {giver}: choose another role.")
        }
        Obstacle::TooHigh { role, highest } => format!(
            "role \"{role}\" does not stand below the bot's highest role \"{highest}\": move the bot's role above it in \
             Server Settings > Roles."
        ),
    }
}

/// What to do about a refusal that concerns a whole server or a role, in one sentence.
pub fn refusal(guild: &str, role: Option<RoleId>, refusal: &Refusal) -> String {
    match (refusal.reason, role) {
        (Reason::Token, _) => token_refused(),
        (Reason::Guild, _) => not_in_guild(guild),
        (Reason::TwoFactor, _) => format!(
            "\"{guild}\" asks moderators for two-factor authentication: the owner of the bot must switch it on for their own account."
        ),
        (Reason::Role, Some(role)) => obstacle(guild, role, &Obstacle::Gone),
        (_, role) => {
            let what = role.map_or_else(
                || "this".to_owned(),
                |role| format!("changes of the role {role}"),
            );
            format!(
                "Discord refuses {what} in \"{guild}\" ({}, {}): check the bot's permissions and the order of roles.",
                refusal.code, refusal.message
            )
        }
    }
}

/// The bot is not in a server.
pub fn not_in_guild(guild: &str) -> String {
    format!(
        "The bot is not in \"{guild}\" (any more): invite it again, or remove the server's gates."
    )
}

/// The token does not work.
pub fn token_refused() -> String {
    "Discord refuses the bot token: copy the current one from the Developer Portal into AMSER_ROLES_DISCORD_TOKEN \
     and restart."
        .to_owned()
}

/// 4014.
pub fn intent_refused() -> String {
    "Discord refuses the privileged intent \"Server Members\", so members are looked up by id from time to time instead: \
     who joins may wait up to two minutes for a role. To change that, switch it on in the Developer Portal under Bot > \
     Privileged Gateway Intents, and restart."
        .to_owned()
}

/// Discord refuses the slash commands.
pub(crate) fn commands_refused(refusal: &Refusal) -> String {
    format!(
        "Discord refuses the slash commands ({}, {}): check discord.application_id. I'll retry automatically.",
        refusal.code, refusal.message
    )
}

/// A close code of the gateway that another try does not change.
pub fn gateway_refused(code: u16) -> String {
    format!(
        "Discord refuses the connection to its gateway for good (close code {code}): install the newest version of this \
         program, or report this."
    )
}

/// A server whose name is not known.
pub fn nameless(guild: GuildId) -> String {
    format!("server {guild}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureReason, ModuleAddress, PlanId, SubscriptionId, Timestamp};

    #[test]
    fn every_audit_reason_is_a_header_value_and_names_no_subscription() {
        let module = ModuleAddress(alloy::primitives::Address::repeat_byte(0xab));
        let subscription = SubscriptionId::from(987_654_321);
        let plan = PlanId(alloy::primitives::U256::MAX);
        let mark = crate::domain::Mark {
            position: crate::domain::Position {
                block: u64::MAX,
                log_index: 0,
            },
            transaction: alloy::primitives::B256::repeat_byte(0xab),
        };
        let until = Timestamp(u64::MAX);
        let causes = [
            Cause::Paid {
                module,
                subscription,
                plan,
                mark,
                until,
            },
            Cause::Resumed {
                module,
                subscription,
                mark,
                until: Timestamp(1_769_817_600),
            },
            Cause::ExpiredAt {
                module,
                subscription,
                at: until,
            },
            Cause::PaymentFailed {
                module,
                subscription,
                mark,
                reason: FailureReason(8),
            },
            Cause::PaymentFailed {
                module,
                subscription,
                mark,
                reason: FailureReason(200),
            },
            Cause::Paused {
                module,
                subscription,
                mark,
            },
            Cause::Cancelled {
                module,
                subscription,
                mark,
            },
            Cause::Blocked {
                module,
                subscriber: crate::domain::Wallet(module.0),
                mark,
            },
            Cause::Reorganised {
                fork_block: u64::MAX,
            },
            Cause::NoSubscription,
            Cause::GateRemoved,
            Cause::ManualRole,
            Cause::Drift,
            Cause::Unlinked,
            Cause::WalletMoved,
            Cause::Forgotten,
            Cause::ManagerAct,
            Cause::Granted {
                by: crate::domain::UserId(1),
                until,
            },
            Cause::GrantEnded {
                by: crate::domain::UserId(1),
                at: until,
            },
        ];
        for cause in causes {
            let reason = audit_reason(&cause);
            assert!(reason.len() <= 512 && !reason.contains('%'), "{reason}");
            let lower = reason.to_lowercase();
            assert!(
                !lower.contains("987654321") && !lower.contains("abab"),
                "{reason}"
            );
            assert!(
                reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{reason}"
            );
        }
    }
}
