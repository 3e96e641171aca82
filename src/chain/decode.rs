//! Raw log → [`ChainEvent`]. Whether a processor's log counts at its position is decided later, in chain order
//! (`processors.rs`): logs are decoded on several cores, in no order.

use alloy::primitives::{Address, B256};
use alloy::sol_types::{SolEvent, SolType, TopicList};
use rustc_hash::FxHashMap;

use crate::abi::{PaymentProcessor, SubscriptionModule};
use crate::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, PlanId, Position, SubscriptionId,
    Timestamp, Wallet,
};

use super::logs::Log;

/// The addresses whose logs are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    roles: FxHashMap<Address, Emitter>,
    processors: Vec<Address>,
}

/// Which watched contract emitted a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitter {
    /// A module: the one that the event is about.
    Module,
    /// A processor, by its index in [`Watched::processors`].
    Processor(u16),
}

/// What a log turned out to be.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are events, and none is kept: a box would cost an allocation per log"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An event of a watched module, or of a watched processor about a watched module.
    Event(ChainEvent, Emitter),
    /// A watched address emitted something that the ABI does not know, or not with this shape.
    Unknown,
    /// A watched processor's event about somebody else's module.
    Foreign,
    /// Emitted by an address that is not watched: a look-alike.
    NotOurs,
}

impl Watched {
    /// Watches these modules and processors.
    pub fn new(modules: impl IntoIterator<Item = Address>, processors: Vec<Address>) -> Self {
        let mut roles = FxHashMap::default();
        for (processor, index) in processors.iter().zip(0..=u16::MAX) {
            roles.insert(*processor, Emitter::Processor(index));
        }
        // A module that is named as a processor stays a module: its own events matter most.
        roles.extend(modules.into_iter().map(|module| (module, Emitter::Module)));
        Self { roles, processors }
    }

    /// The watched processors; an [`Emitter::Processor`] is an index into them.
    pub fn processors(&self) -> &[Address] {
        &self.processors
    }

    /// Whether this is a watched module.
    pub fn is_module(&self, address: &Address) -> bool {
        self.roles.get(address) == Some(&Emitter::Module)
    }
}

/// Decodes logs; keeps a buffer between them.
#[derive(Debug, Default)]
pub struct LogDecoder {
    data: Vec<u8>,
}

impl LogDecoder {
    /// Decodes one log.
    pub fn decode(&mut self, log: &Log<'_>, watched: &Watched) -> Decoded {
        let Some(emitter) = watched.roles.get(&log.address).copied() else {
            return Decoded::NotOurs;
        };
        let decoded = match log.data.bytes(&mut self.data) {
            Some(data) => match emitter {
                Emitter::Module => module_event(log.topics(), data).map(|kind| (log.address, kind)),
                Emitter::Processor(_) => processor_event(log.topics(), data),
            },
            None => None,
        };
        let Some((module, kind)) = decoded else {
            return Decoded::Unknown;
        };
        if emitter != Emitter::Module && !watched.is_module(&module) {
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
        Decoded::Event(event, emitter)
    }
}

/// Whether the event's meaning depends on its block's timestamp and the node did not send it along.
pub fn needs_timestamp(event: &ChainEvent) -> bool {
    event.timestamp.is_none()
        && matches!(event.kind, EventKind::ExecutionFailed { reason, .. } if reason.can_count())
}

fn event<E: SolEvent>(topics: &[B256], data: &[u8]) -> Option<E> {
    let size = <E::DataTuple<'_> as SolType>::ENCODED_SIZE;
    if topics.len() != E::TopicList::COUNT || size.is_some_and(|size| size != data.len()) {
        return None;
    }
    E::decode_raw_log_validate(topics.iter().copied(), data).ok()
}

/// The more frequent ones first: the topics are compared one after another.
fn module_event(topics: &[B256], data: &[u8]) -> Option<EventKind> {
    use SubscriptionModule as M;
    Some(match *topics.first()? {
        M::SubscriptionCreated::SIGNATURE_HASH => {
            let event: M::SubscriptionCreated = event(topics, data)?;
            EventKind::SubscriptionCreated {
                subscription: SubscriptionId(event.subId),
                subscriber: Wallet(event.subscriber),
                plan: PlanId(event.planId),
                execution_budget: event.executionBudget,
                allowance_expiry: event.allowanceExpiry,
            }
        }
        M::SubscriptionPaused::SIGNATURE_HASH => {
            let event: M::SubscriptionPaused = event(topics, data)?;
            EventKind::SubscriptionPaused {
                subscription: SubscriptionId(event.subId),
            }
        }
        M::SubscriptionResumed::SIGNATURE_HASH => {
            let event: M::SubscriptionResumed = event(topics, data)?;
            EventKind::SubscriptionResumed {
                subscription: SubscriptionId(event.subId),
            }
        }
        M::SubscriptionCancelled::SIGNATURE_HASH => {
            let event: M::SubscriptionCancelled = event(topics, data)?;
            EventKind::SubscriptionCancelled {
                subscription: SubscriptionId(event.subId),
            }
        }
        M::SubscriptionExpiryUpdated::SIGNATURE_HASH => {
            let event: M::SubscriptionExpiryUpdated = event(topics, data)?;
            EventKind::SubscriptionExpiryUpdated {
                subscription: SubscriptionId(event.subId),
                expiry: event.expiry,
            }
        }
        M::SubscriptionRecovered::SIGNATURE_HASH => {
            let event: M::SubscriptionRecovered = event(topics, data)?;
            EventKind::SubscriptionRecovered {
                subscription: SubscriptionId(event.subId),
                next_charge_at: event.nextChargeAt,
            }
        }
        M::SubscriberBlocked::SIGNATURE_HASH => {
            let event: M::SubscriberBlocked = event(topics, data)?;
            EventKind::SubscriberBlocked {
                subscriber: Wallet(event.subscriber),
            }
        }
        M::SubscriberUnblocked::SIGNATURE_HASH => {
            let event: M::SubscriberUnblocked = event(topics, data)?;
            EventKind::SubscriberUnblocked {
                subscriber: Wallet(event.subscriber),
            }
        }
        M::PlanStatusChanged::SIGNATURE_HASH => {
            let event: M::PlanStatusChanged = event(topics, data)?;
            EventKind::PlanStatusChanged {
                plan: PlanId(event.planId),
                active: event.active,
            }
        }
        M::PlanCreated::SIGNATURE_HASH => {
            let event: M::PlanCreated = event(topics, data)?;
            EventKind::PlanCreated {
                plan: PlanId(event.planId),
                token: event.token,
                price: event.price,
                interval: event.interval,
                grace_period: event.gracePeriod,
            }
        }
        M::PaymentProcessorUpdated::SIGNATURE_HASH => {
            let event: M::PaymentProcessorUpdated = event(topics, data)?;
            EventKind::PaymentProcessorUpdated {
                previous: event.previous,
                current: event.current,
            }
        }
        _ => return None,
    })
}

/// The module that the event names, and the event.
fn processor_event(topics: &[B256], data: &[u8]) -> Option<(Address, EventKind)> {
    use PaymentProcessor as P;
    Some(match *topics.first()? {
        P::ExecutionExecuted::SIGNATURE_HASH => {
            let event: P::ExecutionExecuted = event(topics, data)?;
            let kind = EventKind::ExecutionExecuted {
                subscription: SubscriptionId(event.id),
                payer: event.payer,
                amount: event.amount,
                // A time beyond 64 bits is not one that a chain can have had: counted as unknown, never as access.
                execution_time: Timestamp(u64::try_from(event.executionTime).ok()?),
            };
            (event.module, kind)
        }
        P::ExecutionFailed::SIGNATURE_HASH => {
            let event: P::ExecutionFailed = event(topics, data)?;
            let kind = EventKind::ExecutionFailed {
                subscription: SubscriptionId(event.id),
                reason: FailureReason(event.reason),
            };
            (event.module, kind)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
