//! A value of each variant of what is stored in many kinds.

use super::*;

pub(super) fn mark() -> Mark {
    Mark {
        position: Position {
            block: 300,
            log_index: 7,
        },
        transaction: B256::repeat_byte(0xab),
    }
}

pub(super) fn subscription() -> SubscriptionId {
    SubscriptionId::from(258)
}

pub(super) fn causes() -> Vec<Cause> {
    let (module, subscription, until) = (module(1), subscription(), Timestamp(900));
    vec![
        Cause::Paid {
            module,
            subscription,
            plan: PlanId::from(3),
            mark: mark(),
            until,
        },
        Cause::Resumed {
            module,
            subscription,
            mark: mark(),
            until,
        },
        Cause::ExpiredAt {
            module,
            subscription,
            at: until,
        },
        Cause::PaymentFailed {
            module,
            subscription,
            mark: mark(),
            reason: FailureReason(8),
        },
        Cause::Paused {
            module,
            subscription,
            mark: mark(),
        },
        Cause::Cancelled {
            module,
            subscription,
            mark: mark(),
        },
        Cause::Blocked {
            module,
            subscriber: Wallet(Address::repeat_byte(5)),
            mark: mark(),
        },
        Cause::Reorganised { fork_block: 9 },
        Cause::NoSubscription,
        Cause::GateRemoved,
        Cause::ManualRole,
        Cause::Drift,
        Cause::Unlinked,
        Cause::WalletMoved,
        Cause::Forgotten,
        Cause::ManagerAct,
        Cause::Granted {
            by: UserId(4),
            until,
        },
        Cause::GrantEnded {
            by: UserId(4),
            at: until,
        },
        Cause::ApiSays {
            module,
            plan: PlanId::from(3),
        },
        Cause::ApiUnconfirmed,
    ]
}

pub(super) fn kinds() -> Vec<EventKind> {
    let (plan, subscription) = (PlanId::from(3), subscription());
    let subscriber = Wallet(Address::repeat_byte(5));
    let word = U256::from(0x0102_0304_u64);
    vec![
        EventKind::PlanCreated {
            plan,
            token: Address::repeat_byte(6),
            price: word,
            interval: 3_600,
            grace_period: 60,
        },
        EventKind::PlanStatusChanged { plan, active: true },
        EventKind::SubscriptionCreated {
            subscription,
            subscriber,
            plan,
            execution_budget: word,
            allowance_expiry: U256::MAX,
        },
        EventKind::SubscriptionPaused { subscription },
        EventKind::SubscriptionResumed { subscription },
        EventKind::SubscriptionCancelled { subscription },
        EventKind::SubscriptionExpiryUpdated {
            subscription,
            expiry: word,
        },
        EventKind::SubscriptionRecovered {
            subscription,
            next_charge_at: word,
        },
        EventKind::SubscriberBlocked { subscriber },
        EventKind::SubscriberUnblocked { subscriber },
        EventKind::PaymentProcessorUpdated {
            previous: Address::ZERO,
            current: Address::repeat_byte(8),
        },
        EventKind::ExecutionExecuted {
            subscription,
            payer: subscriber.0,
            amount: word,
            execution_time: Timestamp(800),
        },
        EventKind::ExecutionFailed {
            subscription,
            reason: FailureReason(8),
        },
    ]
}
