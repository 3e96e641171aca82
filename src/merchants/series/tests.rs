//! Days, what was active at their ends, and how long roles took.

use alloy::primitives::{Address, B256, U256};

use super::*;
use crate::domain::{
    EventKind, Mark, OnLapse, Outcome, Position, RoleChange, RoleId, SubscriptionId, UserId, Wallet,
};

const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
const TERMS: Plan = Plan {
    token: Address::ZERO,
    price: U256::ONE,
    interval: 10 * DAY,
    grace_period: DAY,
    active: true,
};

fn event(block: u64, kind: EventKind) -> ChainEvent {
    ChainEvent {
        module: MODULE,
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind,
    }
}

fn subscription() -> SubscriptionId {
    SubscriptionId::from(1)
}

/// Block n is at the beginning of day n.
fn times() -> Vec<(u64, Timestamp)> {
    (0..40).map(|day| (day, Timestamp(day * DAY))).collect()
}

fn paid(day: u64) -> ChainEvent {
    let kind = EventKind::ExecutionExecuted {
        subscription: subscription(),
        payer: Address::ZERO,
        amount: U256::ONE,
        execution_time: Timestamp(day * DAY),
    };
    event(day, kind)
}

fn days_active(events: &[ChainEvent], policy: &Policy, blocked: Option<u64>) -> Vec<u64> {
    let history = History {
        events,
        times: &times(),
        rules: &Rules::default(),
        policy,
    };
    let ends: Vec<_> = (0..30).map(|day| Timestamp(day * DAY + DAY - 1)).collect();
    let blocked = blocked.map(|day| Timestamp(day * DAY));
    let active = history.active_at(&ends, &TERMS, blocked);
    let active = (0..).zip(active).filter(|(_, active)| *active);
    active.map(|(day, _)| day).collect()
}

#[test]
fn a_subscription_is_active_from_its_payment_to_the_end_of_its_grace() {
    let policy = Policy::default();
    let once = days_active(&[paid(2)], &policy, None);
    assert_eq!(once, (2..=12).collect::<Vec<_>>());
    let renewed = days_active(&[paid(2), paid(12)], &policy, None);
    assert_eq!(renewed, (2..=22).collect::<Vec<_>>());
    assert_eq!(days_active(&[paid(2)], &policy, Some(5)), [2, 3, 4]);
}

#[test]
fn a_pause_ends_it_by_the_servers_own_policy() {
    let pause = event(
        5,
        EventKind::SubscriptionPaused {
            subscription: subscription(),
        },
    );
    let events = [paid(2), pause];
    assert_eq!(days_active(&events, &Policy::default(), None), [2, 3, 4]);
    let keeps = Policy {
        paused: OnLapse::KeepUntilExpiry,
        ..Policy::default()
    };
    assert_eq!(days_active(&events, &keeps, None).len(), 11);
}

fn given(at: u64, paid_in: u64, decided_in: u64) -> JournalEntry {
    JournalEntry {
        at: Timestamp(at),
        block: decided_in,
        change: RoleChange {
            action: RoleAction::Grant,
            guild: GuildId(1),
            user: UserId(2),
            role: RoleId(3),
            cause: Cause::Paid {
                module: MODULE,
                subscription: subscription(),
                plan: PlanId::from(1),
                mark: Mark {
                    position: Position {
                        block: paid_in,
                        log_index: 0,
                    },
                    transaction: B256::ZERO,
                },
                until: Timestamp(0),
            },
        },
        outcome: Outcome::Done,
    }
}

#[test]
fn days_are_of_utc_and_hold_what_was_done_in_them() {
    let now = Timestamp(10 * DAY + 5);
    let mut days = empty(now, 3);
    let starts: Vec<_> = days.iter().map(|day| day.start.0 / DAY).collect();
    assert_eq!(starts, [8, 9, 10]);
    let taken = |at| {
        let mut entry = given(at, 9, 9);
        entry.change.action = RoleAction::Revoke;
        entry
    };
    let made = [
        given(9 * DAY + 4, 9, 10),
        given(9 * DAY + 8, 9, 9),
        given(9 * DAY + 2, 9, 9),
        // The wallet was linked much later than it paid.
        given(9 * DAY + 9, 9, 9 + PROMPT + 1),
        taken(10 * DAY),
    ];
    count_changes(&mut days, Timestamp(8 * DAY), &made, &times());
    let counted: Vec<_> = days.iter().map(|day| (day.grants, day.revokes)).collect();
    assert_eq!(counted, [(0, 0), (4, 0), (0, 1)]);
    let latencies: Vec<_> = days.iter().map(|day| day.block_to_role).collect();
    let expected = Latency {
        median: 4,
        slowest: 8,
    };
    assert_eq!(latencies, [None, Some(expected), None]);
}

#[test]
fn as_many_days_are_told_as_make_sense() {
    assert_eq!(empty(Timestamp(900 * DAY), 0).len(), 1);
    assert_eq!(empty(Timestamp(900 * DAY), u16::MAX).len(), 366);
}

#[test]
fn a_wallet_of_nobody_counts_for_its_plan_alone() {
    let created = event(
        1,
        EventKind::SubscriptionCreated {
            subscription: subscription(),
            subscriber: Wallet(Address::repeat_byte(7)),
            plan: PlanId::from(3),
            execution_budget: U256::ONE,
            allowance_expiry: U256::MAX,
        },
    );
    let history = History {
        events: &[created, paid(2)],
        times: &times(),
        rules: &Rules::default(),
        policy: &Policy::default(),
    };
    let subscriber = history.subscriber().unwrap();
    assert_eq!(
        subscriber,
        (Wallet(Address::repeat_byte(7)), PlanId::from(3))
    );
}

#[test]
fn a_block_whose_header_is_not_kept_is_between_those_around_it() {
    let times = [
        (10, Timestamp(100)),
        (20, Timestamp(120)),
        (21, Timestamp(500)),
    ];
    let at = |block| time_at(&times, block).map(|time| time.0);
    assert_eq!([10, 15, 20, 21].map(at), [100, 110, 120, 500].map(Some));
    assert_eq!([9, 22].map(at), [None, None]);
    let of = |block| time_of(&times, block).0;
    assert_eq!([9, 15, 22].map(of), [0, 110, 500]);
    assert_eq!(time_of(&[], 5), Timestamp(0));
}
