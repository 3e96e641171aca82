//! What a member reads of where they stand.

use alloy::primitives::Address;

use super::*;
use crate::domain::{GateId, Mark, Position, RoleId, RoleStanding, UserId, Wallet};

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

/// The gate of one whose subscription gives no access for this cause, and who lost the role.
fn closed(cause: Cause) -> GateStanding {
    let mut gate = gate();
    gate.entitled = false;
    gate.roles[0].held = false;
    gate.subscriptions[0].open = false;
    gate.subscriptions[0].cause = Some(cause);
    gate
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
        is_held_back: &|_, _| true,
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
fn whose_removal_is_stopped_reads_that_it_waits_for_a_manager() {
    let approval = "until someone who manages this server approves";
    let mut lost = gate();
    lost.entitled = false;
    assert!(told(vec![lost.clone()], &[], 9_000).contains(approval));
    lost.roles[0].held = false;
    assert!(!told(vec![lost], &[], 9_000).contains(approval));
    assert!(!told(vec![gate()], &[], 1_000).contains(approval));
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
            is_held_back: &|_, _| false,
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
    let text = told(Some(Unread::Failed("Missing *Access*".to_owned())));
    assert!(
        text.contains("couldn't read") && !text.contains(none),
        "{text}"
    );
    assert!(
        text.contains("Discord said: Missing \\*Access\\*"),
        "{text}"
    );
}

#[test]
fn who_has_no_access_reads_why_and_where_to_subscribe() {
    let mut closed = closed(Cause::ExpiredAt {
        module: gate().module,
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
fn who_paused_is_told_to_resume_and_not_to_subscribe_again() {
    let paused = closed(Cause::Paused {
        module: gate().module,
        subscription: SubscriptionId::from(3),
        mark: Mark {
            position: Position {
                block: 1,
                log_index: 0,
            },
            transaction: Default::default(),
        },
    });
    let text = told(vec![paused], &[], 1_000);
    assert!(
        text.contains("Resume your subscription to plan 1"),
        "{text}"
    );
    assert!(!text.contains("pay.example"), "{text}");
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

#[test]
fn who_paid_one_of_several_plans_reads_that_all_are_needed_and_is_sent_to_the_others_alone() {
    let mut half = gate();
    half.plans.push(PlanId::from(2));
    half.entitled = false;
    half.roles[0].held = false;
    let text = told(vec![half], &[], 1_000);
    assert!(
        text.contains("you do not have it, because it needs all of its plans."),
        "{text}"
    );
    assert!(text.contains("Subscribe to plan 2:"), "{text}");
    assert!(!text.contains("Subscribe to plan 1:"), "{text}");
}
