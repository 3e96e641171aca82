//! `/status`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cause;
use super::command::{Unread, about, chain_note, moment, no_wallet, plain, short_wallet};
use super::plan::Checkout;
use crate::domain::{
    Cause, ChainStatus, EventKind, GateStanding, GuildId, MemberStanding, ModuleAddress,
    SubscriptionId, SubscriptionStanding, Timestamp,
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
        lines.extend(at_gate(
            gate,
            standing.now,
            (status.queue_wait)(gate.guild),
            status.at_risk,
            offers.then(|| (status.checkout)(gate.guild)),
        ));
    }
    if let Some(unread) = status.unread {
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
    at_risk: &BTreeMap<(ModuleAddress, SubscriptionId), String>,
    checkout: Option<Checkout<'_>>,
) -> Vec<String> {
    let names: Vec<_> = gate
        .roles
        .iter()
        .map(|role| format!("**{}**", plain(&role.name)))
        .collect();
    let mut lines = vec![format!("{}: {}", names.join(", "), role_result(gate, wait))];
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
        lines.extend(gate.plans.iter().map(|plan| {
            let url = checkout.url(gate.module, plan);
            format!("  Subscribe to plan {plan}: <{url}>")
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
        (true, _) if wait > Duration::from_secs(60) => {
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
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{GateId, PlanId, RoleId, RoleStanding, UserId, Wallet};

    fn gate() -> GateStanding {
        GateStanding {
            gate: GateId(1),
            guild: GuildId(5),
            module: ModuleAddress(Address::ZERO),
            plans: vec![PlanId::from(1)],
            entitled: true,
            roles: vec![RoleStanding {
                role: RoleId(9),
                name: "Paid*".to_owned(),
                held: true,
            }],
            subscriptions: vec![SubscriptionStanding {
                wallet: Wallet(Address::repeat_byte(0xab)),
                subscription: SubscriptionId::from(3),
                plan: PlanId::from(1),
                paid_until: Some(Timestamp(2_000)),
                access_until: Some(Timestamp(2_500)),
                open: true,
                cause: None,
            }],
            trouble: None,
        }
    }

    fn told(gates: Vec<GateStanding>, pending: &[Pending], now: u64) -> String {
        let standing = MemberStanding {
            user: UserId(1),
            wallets: vec![Wallet(Address::repeat_byte(0xab))],
            now: Timestamp(now),
            gates,
        };
        let chain = ChainStatus {
            at_tip: true,
            ..ChainStatus::default()
        };
        status(&Status {
            standing: &standing,
            pending,
            chain: &chain,
            unread: None,
            queue_wait: &|_| Duration::from_secs(720),
            guild_name: &|_| "Club".to_owned(),
            at_risk: &[(
                (ModuleAddress(Address::ZERO), SubscriptionId::from(3)),
                "⚠ It will fail.".to_owned(),
            )]
            .into(),
            checkout: &|guild| Checkout {
                template: "https://pay.example/{module}/{plan_id}",
                back: format!("https://roles.example/paid/{guild}").parse().ok(),
            },
        })
    }

    #[test]
    fn a_paid_member_reads_until_when_and_the_grace() {
        let text = told(vec![gate()], &[], 1_000);
        assert!(
            text.starts_with("**Club**\n**Paid\\***: you have it"),
            "{text}"
        );
        assert!(text.contains("paid until <t:2000:f>"), "{text}");
        assert!(text.contains("then grace until <t:2500:f>"), "{text}");
        assert!(!text.contains("Subscribe"), "{text}");
        assert!(text.contains(".\n  ⚠ It will fail."), "{text}");
        let text = told(vec![gate()], &[], 2_100);
        assert!(text.contains("payment due since <t:2000:f>"), "{text}");
        assert!(text.contains("grace ends <t:2500:f>"), "{text}");
    }

    #[test]
    fn a_role_on_its_way_is_told_with_how_long_it_can_take() {
        let mut waiting = gate();
        waiting.roles[0].held = false;
        let text = told(vec![waiting], &[], 1_000);
        assert!(
            text.contains("on its way and can take about 12 minutes"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_is_left_out_is_not_said_to_have_no_gates() {
        let standing = MemberStanding {
            user: UserId(1),
            wallets: vec![Wallet(Address::repeat_byte(0xab))],
            now: Timestamp(1),
            gates: Vec::new(),
        };
        let told = |unread| {
            status(&Status {
                standing: &standing,
                pending: &[],
                chain: &ChainStatus::default(),
                unread,
                queue_wait: &|_| Duration::ZERO,
                guild_name: &|_| "Club".to_owned(),
                at_risk: &BTreeMap::new(),
                checkout: &|_| unreachable!("there is no gate"),
            })
        };
        let none = "No role in the servers";
        assert!(told(None).contains(none));
        let text = told(Some(Unread::NotYet));
        assert!(
            text.contains("haven't read") && !text.contains(none),
            "{text}"
        );
        let text = told(Some(Unread::Failed));
        assert!(
            text.contains("couldn't read") && !text.contains(none),
            "{text}"
        );
    }

    #[test]
    fn who_has_no_access_reads_why_and_where_to_subscribe() {
        let mut closed = gate();
        closed.entitled = false;
        closed.roles[0].held = false;
        closed.subscriptions[0].open = false;
        closed.subscriptions[0].cause = Some(Cause::ExpiredAt {
            module: closed.module,
            subscription: SubscriptionId::from(3),
            at: Timestamp(2_500),
        });
        let text = told(vec![closed.clone()], &[], 3_000);
        assert!(text.contains("gives no access now"), "{text}");
        assert!(text.contains("ended <t:2500:f>"), "{text}");
        assert!(text.contains("<https://pay.example/0x"), "{text}");
        let back = "?redirect=https%3A%2F%2Froles.example%2Fpaid%2F5>";
        assert!(text.contains(back), "{text}");
        closed.subscriptions.clear();
        let text = told(vec![closed], &[], 3_000);
        assert!(text.contains("no wallet of yours is subscribed"), "{text}");
    }

    #[test]
    fn nobody_is_sent_to_pay_while_a_gate_of_the_server_is_in_trouble() {
        let mut unread = gate();
        unread.entitled = false;
        unread.roles[0].held = false;
        unread.subscriptions.clear();
        let (mut second, mut elsewhere) = (unread.clone(), unread.clone());
        second.plans = vec![PlanId::from(2)];
        elsewhere.guild = GuildId(6);
        elsewhere.plans = vec![PlanId::from(3)];
        unread.trouble = Some("its module is still being read".to_owned());
        let text = told(vec![second, unread, elsewhere], &[], 1_000);
        assert!(text.contains("still being read"), "{text}");
        assert_eq!(text.matches("pay.example").count(), 1, "{text}");
        assert!(text.contains("Subscribe to plan 3"), "{text}");
        let unsubscribed = "no wallet of yours is subscribed";
        assert_eq!(text.matches(unsubscribed).count(), 2, "{text}");
    }

    #[test]
    fn pending_payments_are_counted_and_spare_the_checkout() {
        let mut open = gate();
        open.entitled = false;
        let pending = [Pending {
            kind: EventKind::ExecutionExecuted {
                subscription: SubscriptionId::from(3),
                payer: Address::ZERO,
                amount: Default::default(),
                execution_time: Timestamp(1),
            },
            counts: false,
            confirmations: 2,
            needed: 3,
        }];
        let text = told(vec![open], &pending, 1_000);
        assert!(
            text.contains("subscription 3: 2 of 3 confirmations"),
            "{text}"
        );
        assert!(!text.contains("pay.example"), "{text}");
    }
}
