//! `/status`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cause;
use super::command::{
    MINUTE, Unread, about, chain_note, kept_until_approved, moment, no_wallet, plain, short_wallet,
};
use super::plan::Checkout;
use crate::domain::{
    Cause, ChainStatus, EventKind, GateStanding, GuildId, MemberStanding, ModuleAddress, PlanId,
    RoleId, SubscriptionId, SubscriptionStanding, Timestamp,
};

/// Subscriptions that give no access and are shown nevertheless, newest first.
const ENDED_SHOWN: usize = 2;

/// An event that is not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// What happened.
    pub(crate) kind: EventKind,
    /// Whether it is a failure that counts, if a payment was due.
    pub(crate) counts: bool,
    /// Blocks on top of its block so far.
    pub(crate) confirmations: u64,
    /// Blocks that are needed.
    pub(crate) needed: u64,
}

/// What `/status` is told from.
pub(crate) struct Status<'a> {
    /// Where the member stands; the gates in the order in which they are shown.
    pub(crate) standing: &'a MemberStanding,
    /// Their unconfirmed events.
    pub(crate) pending: &'a [Pending],
    /// How far the chain is read.
    pub(crate) chain: &'a ChainStatus,
    /// Whether the answer leaves out the server that was asked in.
    pub(crate) unread: Option<Unread>,
    /// How long the last queued role change of a server waits.
    pub(crate) queue_wait: &'a dyn Fn(GuildId) -> Duration,
    /// Whether removals of a role are stopped.
    pub(crate) is_held_back: &'a dyn Fn(GuildId, RoleId) -> bool,
    /// Names of servers.
    pub(crate) guild_name: &'a dyn Fn(GuildId) -> String,
    /// Of their subscriptions those whose renewal will fail, each with one sentence.
    pub(crate) at_risk: &'a BTreeMap<(ModuleAddress, SubscriptionId), String>,
    /// The checkout, by the server to which it leads back.
    pub(crate) checkout: &'a dyn Fn(GuildId) -> Checkout<'a>,
}

/// Server by server: plan, paid until, grace, what is pending, the role and why.
pub(crate) fn status(status: &Status<'_>) -> String {
    let standing = status.standing;
    let mut lines = Vec::new();
    if standing.wallets.is_empty() {
        lines.push(no_wallet());
    }
    let mut guild = None;
    for gate in &standing.gates {
        if guild.replace(gate.guild) != Some(gate.guild) {
            lines.push(format!("**{}**", plain(&(status.guild_name)(gate.guild))));
        }
        let mut here = standing.gates.iter().filter(|one| one.guild == gate.guild);
        // In trouble, what was paid for may not be known yet: nobody is to pay twice.
        let offers = status.pending.is_empty() && here.all(|one| one.trouble.is_none());
        let is_held_back = |role: RoleId| (status.is_held_back)(gate.guild, role);
        lines.extend(at_gate(
            gate,
            standing.now,
            (status.queue_wait)(gate.guild),
            &is_held_back,
            status.at_risk,
            offers.then(|| (status.checkout)(gate.guild)),
        ));
    }
    if let Some(unread) = &status.unread {
        lines.push(unread.sentence());
    } else if standing.gates.is_empty() {
        lines.push(
            "No role in the servers that you share with this bot needs a subscription.".to_owned(),
        );
    }
    if !status.pending.is_empty() {
        lines.push("**Not confirmed yet**".to_owned());
        lines.extend(status.pending.iter().map(pending));
    }
    lines.extend(chain_note(status.chain));
    lines.join("\n")
}

/// `checkout` where the member may be sent to subscribe.
fn at_gate(
    gate: &GateStanding,
    now: Timestamp,
    wait: Duration,
    is_held_back: &dyn Fn(RoleId) -> bool,
    at_risk: &BTreeMap<(ModuleAddress, SubscriptionId), String>,
    checkout: Option<Checkout<'_>>,
) -> Vec<String> {
    let names: Vec<_> = gate
        .roles
        .iter()
        .map(|role| format!("**{}**", plain(&role.name)))
        .collect();
    let mut lines = vec![format!("{}: {}", names.join(", "), role_result(gate, wait))];
    let mut held = gate.roles.iter().filter(|role| role.held);
    if !gate.entitled && held.any(|role| is_held_back(role.role)) {
        lines.push(format!("  {}", kept_until_approved()));
    }
    if let Some(trouble) = &gate.trouble {
        lines.push(format!(
            "  ⚠ Roles can't change here at the moment: {}",
            plain(trouble)
        ));
    }
    for subscription in shown(&gate.subscriptions) {
        lines.push(format!("  • {}", self::subscription(subscription, now)));
        let risk = at_risk.get(&(gate.module, subscription.subscription));
        lines.extend(risk.map(|risk| format!("  {risk}")));
    }
    if let Some(checkout) = checkout.filter(|_| !gate.entitled) {
        let has = |plan: &PlanId, is: fn(&SubscriptionStanding) -> bool| {
            let mut held = gate.subscriptions.iter();
            held.any(|one| one.plan == *plan && is(one))
        };
        let missing = gate.plans.iter();
        let missing = missing.filter(|plan| !has(plan, |one| one.open));
        lines.extend(missing.map(|plan| {
            // The contract refuses a second subscription to a plan beside one that is paused.
            match has(plan, |one| matches!(one.cause, Some(Cause::Paused { .. }))) {
                true => format!("  Resume your subscription to plan {plan} where you made it."),
                false => {
                    let url = checkout.url(gate.module, plan);
                    format!("  Subscribe to plan {plan}: <{url}>")
                }
            }
        }));
    }
    lines
}

/// What became of a gate's roles.
fn role_result(gate: &GateStanding, wait: Duration) -> String {
    let held = gate.roles.iter().filter(|role| role.held).count();
    let all = held == gate.roles.len();
    match (gate.entitled, held) {
        (true, _) if all => "you have it, because you are subscribed.",
        // With a shorter queue the role is there before this is read.
        (true, _) if wait > MINUTE => {
            return format!(
                "you are subscribed; the role is on its way and can take {}.",
                about(wait)
            );
        }
        (true, _) => "you are subscribed; the role is on its way.",
        // Whether there is a subscription may not be known yet.
        (false, 0) if gate.trouble.is_some() => "you do not have it.",
        (false, _) if gate.trouble.is_some() => "you have it.",
        (false, 0) if gate.subscriptions.is_empty() => {
            "you do not have it, because no wallet of yours is subscribed."
        }
        (false, 0) if gate.subscriptions.iter().any(|one| one.open) => {
            "you do not have it, because it needs all of its plans."
        }
        (false, 0) => "you do not have it, because your subscription gives no access now.",
        (false, _) => "you have it, but no subscription of yours gives it.",
    }
    .to_owned()
}

/// Those that give access, else the newest of the others.
pub(super) fn shown(all: &[SubscriptionStanding]) -> Vec<&SubscriptionStanding> {
    let mut shown: Vec<_> = all.iter().filter(|one| one.open).collect();
    if shown.is_empty() {
        shown.extend(all);
        shown.sort_by_key(|one| std::cmp::Reverse((one.paid_until, one.subscription)));
        shown.truncate(ENDED_SHOWN);
    }
    shown
}

fn subscription(one: &SubscriptionStanding, now: Timestamp) -> String {
    let what = format!("Plan {} from {}", one.plan, short_wallet(one.wallet));
    let paid = match one.paid_until {
        None => return format!("{what}: not paid yet."),
        Some(until) if until >= now => format!("paid until {}", moment(until)),
        Some(until) => format!("payment due since {}", moment(until)),
    };
    let grace = match (one.paid_until, one.access_until) {
        (Some(paid), Some(access)) if access > paid => {
            let begun = if paid < now {
                "grace ends"
            } else {
                "then grace until"
            };
            format!(", {begun} {}", moment(access))
        }
        _ => String::new(),
    };
    match &one.cause {
        _ if one.open => format!("{what}: {paid}{grace}."),
        // The payment itself explains nothing about a closed subscription.
        None | Some(Cause::Paid { .. }) => format!("{what}: {paid}."),
        Some(why) => format!("{what}: {}.", cause::cause(why, "your")),
    }
}

fn pending(pending: &Pending) -> String {
    let what = match &pending.kind {
        EventKind::SubscriptionCreated { plan, .. } => format!("Subscribed to plan {plan}"),
        EventKind::ExecutionExecuted { subscription, .. } => {
            format!("Payment for subscription {subscription}")
        }
        EventKind::ExecutionFailed {
            subscription,
            reason,
        } if pending.counts => format!(
            "Failed payment for subscription {subscription}: {}",
            cause::failure(*reason, "your")
        ),
        EventKind::ExecutionFailed { subscription, .. } => {
            format!("A charge for subscription {subscription} that was not due; nothing changes")
        }
        EventKind::SubscriptionPaused { subscription } => {
            format!("Subscription {subscription} paused")
        }
        EventKind::SubscriptionResumed { subscription } => {
            format!("Subscription {subscription} resumed")
        }
        EventKind::SubscriptionCancelled { subscription } => {
            format!("Subscription {subscription} cancelled")
        }
        EventKind::SubscriptionExpiryUpdated { subscription, .. }
        | EventKind::SubscriptionRecovered { subscription, .. } => {
            format!("Subscription {subscription} changed")
        }
        EventKind::PlanCreated { .. }
        | EventKind::PlanStatusChanged { .. }
        | EventKind::SubscriberBlocked { .. }
        | EventKind::SubscriberUnblocked { .. }
        | EventKind::PaymentProcessorUpdated { .. } => "A change by the merchant".to_owned(),
    };
    format!(
        "• {what}: {} of {} confirmations",
        pending.confirmations, pending.needed
    )
}

#[cfg(test)]
mod tests;
