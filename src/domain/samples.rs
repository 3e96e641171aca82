//! Events for tests of several modules.

use alloy::primitives::{Address, B256};

use super::{
    ChainEvent, EventKind, ModuleAddress, PlanId, Position, SubscriptionId, Timestamp, Wallet,
};

/// The module of all of them.
pub(crate) const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
/// The transaction of all of them.
pub(crate) const TRANSACTION: B256 = B256::repeat_byte(9);

/// The first event of a block.
pub(crate) fn event(block: u64, kind: EventKind) -> ChainEvent {
    ChainEvent {
        module: MODULE,
        position: Position {
            block,
            log_index: 0,
        },
        transaction: TRANSACTION,
        timestamp: None,
        kind,
    }
}

/// A new subscription.
pub(crate) fn created(id: u64, subscriber: Wallet, plan: u64) -> EventKind {
    EventKind::SubscriptionCreated {
        subscription: SubscriptionId::from(id),
        subscriber,
        plan: PlanId::from(plan),
        execution_budget: Default::default(),
        allowance_expiry: Default::default(),
    }
}

/// A payment.
pub(crate) fn paid(id: u64) -> EventKind {
    EventKind::ExecutionExecuted {
        subscription: SubscriptionId::from(id),
        payer: Default::default(),
        amount: Default::default(),
        execution_time: Timestamp(5),
    }
}
