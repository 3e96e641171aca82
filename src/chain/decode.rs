//! Raw log → [`ChainEvent`], on several cores, in no order. `processors` decides later, in chain order, which count.

use std::sync::Arc;

use alloy::primitives::{Address, U256};
use rustc_hash::FxHashMap;

use crate::abi::{Contract, Field, Fields, KnownEvent, Layouts};
use crate::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, PlanId, Position, SubscriptionId,
    Timestamp, Wallet,
};

use super::logs::Log;

/// The addresses whose logs are read.
#[derive(Clone, Debug)]
pub struct Watched {
    layouts: Arc<Layouts>,
    roles: FxHashMap<Address, Contract>,
    processors: Vec<Address>,
}

/// An event with the contract that emitted it, by which it is decided whether it counts (`processors.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// A watched module or processor.
    pub emitter: Address,
    /// What it said.
    pub event: ChainEvent,
}

/// What a log turned out to be.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are events, and none is kept: a box would cost an allocation per log"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An event of a watched module, or of a watched processor about a watched module.
    Event(ChainEvent),
    /// A watched address emitted something that the ABI does not know, or not with this shape.
    Unknown,
    /// A watched processor's event about somebody else's module.
    Foreign,
    /// Emitted by an address that is not watched: a look-alike.
    NotOurs,
}

impl Watched {
    /// Watches these modules and processors, whose logs are laid out as `layouts` says.
    pub fn new(
        layouts: Arc<Layouts>,
        modules: impl IntoIterator<Item = Address>,
        processors: Vec<Address>,
    ) -> Self {
        let mut roles = FxHashMap::default();
        for processor in &processors {
            roles.insert(*processor, Contract::Processor);
        }
        // A module that is named as a processor stays a module: its own events matter most.
        roles.extend(modules.into_iter().map(|module| (module, Contract::Module)));
        Self {
            layouts,
            roles,
            processors,
        }
    }

    /// How their logs are read.
    pub fn layouts(&self) -> &Arc<Layouts> {
        &self.layouts
    }

    /// The watched processors, in order.
    pub fn processors(&self) -> &[Address] {
        &self.processors
    }

    /// Whether this is a watched module.
    pub fn is_module(&self, address: &Address) -> bool {
        self.roles.get(address) == Some(&Contract::Module)
    }
}

/// Decodes one log; `buffer` is room for its data.
pub fn decode(log: &Log<'_>, watched: &Watched, buffer: &mut Vec<u8>) -> Decoded {
    let Some(emitter) = watched.roles.get(&log.address).copied() else {
        return Decoded::NotOurs;
    };
    let data = log.data(buffer);
    let fields = data.and_then(|data| watched.layouts.read(log.topics(), data));
    let decoded = fields.and_then(|fields| match emitter {
        Contract::Module => module_event(&fields).map(|kind| (log.address, kind)),
        Contract::Processor => processor_event(&fields),
    });
    let Some((module, kind)) = decoded else {
        return Decoded::Unknown;
    };
    if emitter != Contract::Module && !watched.is_module(&module) {
        return Decoded::Foreign;
    }
    let event = ChainEvent {
        module: ModuleAddress(module),
        position: Position {
            block: log.block_number,
            log_index: log.log_index,
        },
        transaction: log.transaction_hash,
        timestamp: log.block_timestamp.map(Timestamp),
        kind,
    };
    Decoded::Event(event)
}

/// Whether the event's meaning depends on its block's timestamp and the node did not send it along.
pub fn needs_timestamp(event: &ChainEvent) -> bool {
    event.timestamp.is_none()
        && matches!(
            event.kind,
            EventKind::ExecutionFailed { .. } | EventKind::SubscriptionExpiryUpdated { .. }
        )
}

fn module_event(fields: &Fields<'_>) -> Option<EventKind> {
    let subscription = || fields.uint(Field::Subscription).map(SubscriptionId);
    let subscriber = || fields.address(Field::Subscriber).map(Wallet);
    let plan = || fields.uint(Field::Plan).map(PlanId);
    Some(match fields.event() {
        KnownEvent::SubscriptionCreated => EventKind::SubscriptionCreated {
            subscription: subscription()?,
            subscriber: subscriber()?,
            plan: plan()?,
            // A contract that names no limit has none.
            execution_budget: fields.uint(Field::Budget).unwrap_or(U256::MAX),
            allowance_expiry: fields.uint(Field::AllowanceExpiry).unwrap_or(U256::MAX),
        },
        KnownEvent::SubscriptionPaused => EventKind::SubscriptionPaused {
            subscription: subscription()?,
        },
        KnownEvent::SubscriptionResumed => EventKind::SubscriptionResumed {
            subscription: subscription()?,
        },
        KnownEvent::SubscriptionCancelled => EventKind::SubscriptionCancelled {
            subscription: subscription()?,
        },
        KnownEvent::SubscriptionExpiryUpdated => EventKind::SubscriptionExpiryUpdated {
            subscription: subscription()?,
            expiry: fields.uint(Field::Expiry)?,
        },
        KnownEvent::SubscriptionRecovered => EventKind::SubscriptionRecovered {
            subscription: subscription()?,
            // Zero is the past: a recovered subscription is due at once.
            next_charge_at: fields.uint(Field::NextChargeAt).unwrap_or_default(),
        },
        KnownEvent::SubscriberBlocked => EventKind::SubscriberBlocked {
            subscriber: subscriber()?,
        },
        KnownEvent::SubscriberUnblocked => EventKind::SubscriberUnblocked {
            subscriber: subscriber()?,
        },
        KnownEvent::PlanStatusChanged => EventKind::PlanStatusChanged {
            plan: plan()?,
            active: fields.flag(Field::Active)?,
        },
        KnownEvent::PlanCreated => EventKind::PlanCreated {
            plan: plan()?,
            token: fields.address(Field::Token)?,
            price: fields.uint(Field::Price)?,
            interval: fields.short(Field::Interval)?,
            grace_period: fields.short(Field::GracePeriod)?,
        },
        KnownEvent::PaymentProcessorUpdated => EventKind::PaymentProcessorUpdated {
            // The zero address stands for "not told": it contradicts no processor that was read from the chain.
            previous: fields.address(Field::Previous).unwrap_or_default(),
            current: fields.address(Field::Current)?,
        },
        KnownEvent::ExecutionExecuted | KnownEvent::ExecutionFailed => return None,
    })
}

/// The module that the event names, and the event.
fn processor_event(fields: &Fields<'_>) -> Option<(Address, EventKind)> {
    let subscription = || fields.uint(Field::Subscription).map(SubscriptionId);
    let kind = match fields.event() {
        KnownEvent::ExecutionExecuted => EventKind::ExecutionExecuted {
            subscription: subscription()?,
            payer: fields.address(Field::Payer)?,
            amount: fields.uint(Field::Amount)?,
            // A time beyond 64 bits is not one that a chain can have had: counted as unknown, never as access.
            execution_time: Timestamp(fields.short(Field::ExecutionTime)?),
        },
        KnownEvent::ExecutionFailed => EventKind::ExecutionFailed {
            subscription: subscription()?,
            reason: FailureReason(u8::try_from(fields.short(Field::Reason)?).ok()?),
        },
        _ => return None,
    };
    Some((fields.address(Field::Module)?, kind))
}

#[cfg(test)]
mod tests;
