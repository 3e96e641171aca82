//! An independent reading of the final chain: by alloy's own types, nothing shared with the follower.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use amser_roles::abi::{PaymentProcessor as P, SubscriptionModule as M};
use amser_roles::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, PlanId, Position, SubscriptionId,
    Timestamp, Wallet,
};
use amser_roles::sandbox::chain::LocalChain;

/// Every event of these modules up to and including block `to`, in chain order. `processors` are the ones that the
/// modules were created with.
pub(crate) async fn events(
    chain: &LocalChain,
    modules: &BTreeMap<ModuleAddress, Address>,
    to: u64,
) -> Vec<ChainEvent> {
    events_between(chain, modules, 0, to).await
}

/// The same from block `from` on; `modules` names the processors of that block.
pub(crate) async fn events_between(
    chain: &LocalChain,
    modules: &BTreeMap<ModuleAddress, Address>,
    from: u64,
    to: u64,
) -> Vec<ChainEvent> {
    let mut processors = modules.clone();
    let mut events = Vec::new();
    let filter = Filter::new().from_block(from).to_block(to);
    let logs = chain
        .provider()
        .get_logs(&filter)
        .await
        .expect("the chain answers");
    for log in logs {
        let Some((module, kind)) = meaning(&log) else {
            continue;
        };
        let Some(processor) = processors.get_mut(&module) else {
            continue;
        };
        let by_processor = matches!(
            kind,
            EventKind::ExecutionExecuted { .. } | EventKind::ExecutionFailed { .. }
        );
        if log.address() != if by_processor { *processor } else { module.0 } {
            continue;
        }
        if let EventKind::PaymentProcessorUpdated { current, .. } = kind {
            *processor = current;
        }
        let block = log.block_number.expect("mined");
        let timestamp = match kind {
            EventKind::ExecutionFailed { .. } => Some(match log.block_timestamp {
                Some(timestamp) => timestamp,
                None => {
                    chain
                        .block(block)
                        .await
                        .expect("the chain answers")
                        .timestamp
                }
            }),
            _ => None,
        };
        events.push(normal(ChainEvent {
            module,
            position: Position {
                block,
                log_index: u32::try_from(log.log_index.expect("mined")).expect("small"),
            },
            transaction: log.transaction_hash.expect("mined"),
            timestamp: timestamp.map(Timestamp),
            kind,
        }));
    }
    events.sort_by_key(|event| (event.position, event.module));
    events
}

/// Timestamps are kept only where they decide something.
pub(crate) fn normal(mut event: ChainEvent) -> ChainEvent {
    if !matches!(
        event.kind,
        EventKind::ExecutionFailed { .. } | EventKind::SubscriptionExpiryUpdated { .. }
    ) {
        event.timestamp = None;
    }
    event
}

fn meaning(log: &Log) -> Option<(ModuleAddress, EventKind)> {
    fn read<E: SolEvent>(log: &Log) -> Option<E> {
        (log.topic0() == Some(&E::SIGNATURE_HASH))
            .then(|| log.log_decode::<E>().ok().map(|decoded| decoded.inner.data))
            .flatten()
    }
    if let Some(event) = read::<P::ExecutionExecuted>(log) {
        let kind = EventKind::ExecutionExecuted {
            subscription: SubscriptionId(event.id),
            payer: event.payer,
            amount: event.amount,
            execution_time: Timestamp(event.executionTime.to()),
        };
        return Some((ModuleAddress(event.module), kind));
    }
    if let Some(event) = read::<P::ExecutionFailed>(log) {
        let kind = EventKind::ExecutionFailed {
            subscription: SubscriptionId(event.id),
            reason: FailureReason(event.reason),
        };
        return Some((ModuleAddress(event.module), kind));
    }
    let created = || {
        read::<M::PlanCreated>(log).map(|event| EventKind::PlanCreated {
            plan: PlanId(event.planId),
            token: event.token,
            price: event.price,
            interval: event.interval,
            grace_period: event.gracePeriod,
        })
    };
    let status = || {
        read::<M::PlanStatusChanged>(log).map(|event| EventKind::PlanStatusChanged {
            plan: PlanId(event.planId),
            active: event.active,
        })
    };
    let subscribed = || {
        read::<M::SubscriptionCreated>(log).map(|event| EventKind::SubscriptionCreated {
            subscription: SubscriptionId(event.subId),
            subscriber: Wallet(event.subscriber),
            plan: PlanId(event.planId),
            execution_budget: event.executionBudget,
            allowance_expiry: event.allowanceExpiry,
        })
    };
    let paused = || {
        read::<M::SubscriptionPaused>(log).map(|event| EventKind::SubscriptionPaused {
            subscription: SubscriptionId(event.subId),
        })
    };
    let resumed = || {
        read::<M::SubscriptionResumed>(log).map(|event| EventKind::SubscriptionResumed {
            subscription: SubscriptionId(event.subId),
        })
    };
    let cancelled = || {
        read::<M::SubscriptionCancelled>(log).map(|event| EventKind::SubscriptionCancelled {
            subscription: SubscriptionId(event.subId),
        })
    };
    let expiry = || {
        read::<M::SubscriptionExpiryUpdated>(log).map(|event| {
            EventKind::SubscriptionExpiryUpdated {
                subscription: SubscriptionId(event.subId),
                expiry: event.expiry,
            }
        })
    };
    let recovered = || {
        read::<M::SubscriptionRecovered>(log).map(|event| EventKind::SubscriptionRecovered {
            subscription: SubscriptionId(event.subId),
            next_charge_at: event.nextChargeAt,
        })
    };
    let blocked = || {
        read::<M::SubscriberBlocked>(log).map(|event| EventKind::SubscriberBlocked {
            subscriber: Wallet(event.subscriber),
        })
    };
    let unblocked = || {
        read::<M::SubscriberUnblocked>(log).map(|event| EventKind::SubscriberUnblocked {
            subscriber: Wallet(event.subscriber),
        })
    };
    let migrated = || {
        read::<M::PaymentProcessorUpdated>(log).map(|event| EventKind::PaymentProcessorUpdated {
            previous: event.previous,
            current: event.current,
        })
    };
    let kind = created()
        .or_else(status)
        .or_else(subscribed)
        .or_else(paused)
        .or_else(resumed)
        .or_else(cancelled)
        .or_else(expiry)
        .or_else(recovered)
        .or_else(blocked)
        .or_else(unblocked)
        .or_else(migrated)?;
    Some((ModuleAddress(log.address()), kind))
}
