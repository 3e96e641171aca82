//! Each row of PROTOCOL.md's access rule, as a fold of its events.

use alloy::primitives::{Address, B256, U256};

use super::{Access, Lapse, access, fold};
use crate::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, OnLapse, Plan, PlanId, Policy, Position,
    Rules, Subscription, SubscriptionId, Timestamp, Wallet,
};

const HOUR: u64 = 3_600;
const PLAN: Plan = Plan {
    token: Address::ZERO,
    price: U256::ZERO,
    interval: 24 * HOUR,
    grace_period: 2 * HOUR,
    active: true,
};
const ID: SubscriptionId = SubscriptionId(U256::ONE);

fn created() -> (u64, EventKind) {
    let kind = EventKind::SubscriptionCreated {
        subscription: ID,
        subscriber: Wallet(Address::repeat_byte(7)),
        plan: PlanId(U256::ONE),
        execution_budget: U256::MAX,
        allowance_expiry: U256::MAX,
    };
    (0, kind)
}

fn paid(at: u64) -> (u64, EventKind) {
    let kind = EventKind::ExecutionExecuted {
        subscription: ID,
        payer: Address::repeat_byte(7),
        amount: U256::ONE,
        execution_time: Timestamp(at),
    };
    (at, kind)
}

fn failed(at: u64, reason: u8) -> (u64, EventKind) {
    let kind = EventKind::ExecutionFailed {
        subscription: ID,
        reason: FailureReason(reason),
    };
    (at, kind)
}

fn after(events: &[(u64, EventKind)]) -> Subscription {
    let mut state = Subscription::default();
    for (index, (at, kind)) in events.iter().enumerate() {
        let event = ChainEvent {
            module: ModuleAddress(Address::ZERO),
            position: Position {
                block: index as u64,
                log_index: 0,
            },
            transaction: B256::with_last_byte(index as u8),
            timestamp: Some(Timestamp(*at)),
            kind: kind.clone(),
        };
        fold(&mut state, &event, Some(PLAN.interval), &Rules::default());
    }
    state
}

fn under_default_policy(events: &[(u64, EventKind)]) -> Access {
    access(
        (&after(events)).into(),
        Some(&PLAN),
        false,
        &Policy::default(),
    )
}

const PAUSE: (u64, EventKind) = (0, EventKind::SubscriptionPaused { subscription: ID });
const RESUME: (u64, EventKind) = (0, EventKind::SubscriptionResumed { subscription: ID });
const CANCEL: (u64, EventKind) = (0, EventKind::SubscriptionCancelled { subscription: ID });

#[test]
fn nothing_paid_gives_no_access() {
    assert_eq!(under_default_policy(&[created()]), Access::NeverPaid);
}

#[test]
fn a_payment_gives_access_until_interval_and_grace_have_passed_inclusively() {
    let access = under_default_policy(&[created(), paid(1_000)]);
    let end = 1_000 + PLAN.interval + PLAN.grace_period;
    assert_eq!(access, Access::Until(Timestamp(end)));
    assert!(access.is_open(Timestamp(end)));
    assert!(!access.is_open(Timestamp(end + 1)));
}

#[test]
fn pause_failure_and_cancellation_shut_and_only_the_right_events_open_again() {
    let due = 1_000 + PLAN.interval;
    let open = Access::Until(Timestamp(due + PLAN.grace_period));
    let start = [created(), paid(1_000)];
    let then = |more: &[(u64, EventKind)]| under_default_policy(&[&start[..], more].concat());
    assert_eq!(then(&[PAUSE]), Access::Shut(Lapse::Paused));
    assert_eq!(then(&[PAUSE, RESUME]), open);
    assert_eq!(then(&[failed(due, 7)]), Access::Shut(Lapse::PaymentFailed));
    // Resuming clears a pause only.
    let failed_then_resumed = then(&[failed(due, 7), PAUSE, RESUME]);
    assert_eq!(failed_then_resumed, Access::Shut(Lapse::PaymentFailed));
    // A payment clears both.
    let renewed = Access::Until(Timestamp(due + PLAN.interval + PLAN.grace_period));
    assert_eq!(then(&[failed(due, 7), PAUSE, paid(due)]), renewed);
    assert_eq!(then(&[CANCEL, paid(due)]), Access::Shut(Lapse::Cancelled));
}

#[test]
fn failures_that_strangers_can_provoke_change_nothing() {
    let due = 1_000 + PLAN.interval;
    for reason in 0..=u8::MAX {
        let counts = [4, 5, 7, 8, 9, 11].contains(&reason);
        let before = under_default_policy(&[created(), paid(1_000), failed(due - 1, reason)]);
        assert_eq!(before, Access::Until(Timestamp(due + PLAN.grace_period)));
        let at = under_default_policy(&[created(), paid(1_000), failed(due, reason)]);
        assert_eq!(at == Access::Shut(Lapse::PaymentFailed), counts, "{reason}");
    }
}

#[test]
fn a_failure_counts_only_when_the_plan_is_known() {
    let mut state = after(&[created(), paid(0)]);
    let event = ChainEvent {
        module: ModuleAddress(Address::ZERO),
        position: Position {
            block: 9,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: Some(Timestamp(u64::MAX)),
        kind: failed(0, 7).1,
    };
    fold(&mut state, &event, None, &Rules::default());
    assert_eq!(state.failed, None);
}

#[test]
fn each_policy_can_keep_the_role_until_the_paid_window_ends() {
    let due = 1_000 + PLAN.interval;
    let open = Access::Until(Timestamp(due + PLAN.grace_period));
    let keep = OnLapse::KeepUntilExpiry;
    for (event, policy) in [
        (
            failed(due, 8),
            Policy {
                payment_failed: keep,
                ..Policy::default()
            },
        ),
        (
            PAUSE,
            Policy {
                paused: keep,
                ..Policy::default()
            },
        ),
        (
            CANCEL,
            Policy {
                cancelled: keep,
                ..Policy::default()
            },
        ),
    ] {
        let state = after(&[created(), paid(1_000), event]);
        assert_eq!(access((&state).into(), Some(&PLAN), false, &policy), open);
        let default = access((&state).into(), Some(&PLAN), false, &Policy::default());
        assert!(matches!(default, Access::Shut(_)));
    }
}

#[test]
fn a_block_by_the_merchant_shuts_whatever_the_policy() {
    let keep = OnLapse::KeepUntilExpiry;
    let policy = Policy {
        payment_failed: keep,
        paused: keep,
        cancelled: keep,
        ..Policy::default()
    };
    let state = after(&[created(), paid(1_000)]);
    let access = access((&state).into(), Some(&PLAN), true, &policy);
    assert_eq!(access, Access::Shut(Lapse::Blocked));
}

fn expiry(at: u64, expiry: u64) -> (u64, EventKind) {
    let kind = EventKind::SubscriptionExpiryUpdated {
        subscription: ID,
        expiry: U256::from(expiry),
    };
    (at, kind)
}

#[test]
fn an_expiry_that_is_not_in_the_future_cancels_until_a_later_one_is() {
    let open = Access::Until(Timestamp(1_000 + PLAN.interval + PLAN.grace_period));
    let start = [created(), paid(1_000)];
    let then = |more: &[(u64, EventKind)]| under_default_policy(&[&start[..], more].concat());
    let shut = Access::Shut(Lapse::Cancelled);
    assert_eq!(then(&[expiry(2_000, 2_001)]), open);
    assert_eq!(then(&[expiry(2_000, 2_000)]), shut, "its own block's time");
    assert_eq!(then(&[expiry(2_000, 0)]), shut);
    assert_eq!(then(&[expiry(2_000, 0), expiry(3_000, 9_000)]), open);
    assert_eq!(
        then(&[expiry(2_000, 9_000), expiry(3_000, 9_000), expiry(4_000, 1)]),
        shut
    );
    // Only the expiry is taken back.
    assert_eq!(
        then(&[CANCEL, expiry(2_000, 0), expiry(3_000, 9_000)]),
        shut
    );
    let cancellation = after(&[created(), CANCEL, expiry(2_000, 0)]).cancellation();
    assert_eq!(cancellation.map(|mark| mark.position.block), Some(1));
}

#[test]
fn nothing_is_concluded_from_an_expiry_without_its_blocks_time() {
    let mut state = after(&[created(), paid(1_000)]);
    let before = state;
    let event = ChainEvent {
        module: ModuleAddress(Address::ZERO),
        position: Position {
            block: 9,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: expiry(0, 0).1,
    };
    fold(&mut state, &event, None, &Rules::default());
    assert_eq!(state, before);
}

#[test]
fn the_failures_that_count_are_those_of_the_rules() {
    let due = 1_000 + PLAN.interval;
    let rules = Rules {
        failure_reasons: [40].into(),
    };
    for reason in 0..=u8::MAX {
        let mut state = after(&[created(), paid(1_000)]);
        let event = ChainEvent {
            module: ModuleAddress(Address::ZERO),
            position: Position {
                block: 9,
                log_index: 0,
            },
            transaction: B256::ZERO,
            timestamp: Some(Timestamp(due)),
            kind: failed(due, reason).1,
        };
        fold(&mut state, &event, Some(PLAN.interval), &rules);
        assert_eq!(state.failed.is_some(), reason == 40, "{reason}");
    }
}

proptest::proptest! {
    /// The law: cancelled if ever cancelled for good, else if the last update of the expiry was not in the future.
    #[test]
    fn the_last_expiry_decides_unless_it_was_cancelled_for_good(
        updates in proptest::collection::vec((0u64..100, 0u64..100), 0..8),
        cancelled_at in proptest::option::of(0usize..8),
    ) {
        let mut events = vec![created(), paid(0)];
        events.extend(updates.iter().map(|(at, to)| expiry(*at, *to)));
        if let Some(place) = cancelled_at {
            events.insert(place.min(events.len()), CANCEL);
        }
        let is_past = updates.last().is_some_and(|(at, to)| to <= at);
        let expected = cancelled_at.is_some() || is_past;
        proptest::prop_assert_eq!(after(&events).cancellation().is_some(), expected);
    }
}
