//! The events that count, by topic and by the kind of contract that may emit them.

use alloy::primitives::B256;
use alloy::sol_types::{SolEvent, TopicList};

use super::{PaymentProcessor, RAIModuleFactory, SubscriptionModule};

/// The kind of contract that emits an event; the same topic from any other address is a look-alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Emitter {
    /// A merchant's SubscriptionModule.
    Module,
    /// The PaymentProcessor that was the module's at the log's position.
    Processor,
    /// The RAIModuleFactory.
    Factory,
}

/// One row of the table in PROTOCOL.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedEvent {
    /// Who may emit it.
    pub emitter: Emitter,
    /// Its canonical signature, such as `SubscriberBlocked(address)`.
    pub signature: &'static str,
    /// The log's first topic: the Keccak-256 hash of the signature.
    pub topic: B256,
    /// How many topics such a log has: the first and one for each indexed parameter.
    pub topics: usize,
}

const fn event<E: SolEvent>(emitter: Emitter) -> WatchedEvent {
    WatchedEvent {
        emitter,
        signature: E::SIGNATURE,
        topic: E::SIGNATURE_HASH,
        topics: E::TopicList::COUNT,
    }
}

/// Every event of PROTOCOL.md. A log of a watched address with another topic is unknown: counted and reported.
pub const WATCHED_EVENTS: [WatchedEvent; 14] = [
    event::<SubscriptionModule::PlanCreated>(Emitter::Module),
    event::<SubscriptionModule::PlanStatusChanged>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionCreated>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionPaused>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionResumed>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionCancelled>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionExpiryUpdated>(Emitter::Module),
    event::<SubscriptionModule::SubscriptionRecovered>(Emitter::Module),
    event::<SubscriptionModule::SubscriberBlocked>(Emitter::Module),
    event::<SubscriptionModule::SubscriberUnblocked>(Emitter::Module),
    event::<SubscriptionModule::PaymentProcessorUpdated>(Emitter::Module),
    event::<PaymentProcessor::ExecutionExecuted>(Emitter::Processor),
    event::<PaymentProcessor::ExecutionFailed>(Emitter::Processor),
    event::<RAIModuleFactory::ModuleDeployed>(Emitter::Factory),
];

/// The watched event with this topic, if there is one.
pub fn watched_event(topic: &B256) -> Option<&'static WatchedEvent> {
    const EVENTS: &[WatchedEvent] = &WATCHED_EVENTS;
    EVENTS.iter().find(|event| event.topic == *topic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::keccak256;

    /// The table of PROTOCOL.md, written out by hand: signatures and numbers of indexed parameters.
    const PROTOCOL: [(&str, usize); 14] = [
        ("PlanCreated(uint256,address,uint256,uint64,uint64)", 2),
        ("PlanStatusChanged(uint256,bool)", 1),
        (
            "SubscriptionCreated(uint256,address,uint256,uint256,uint256)",
            3,
        ),
        ("SubscriptionPaused(uint256,address)", 2),
        ("SubscriptionResumed(uint256,address)", 2),
        ("SubscriptionCancelled(uint256,address)", 2),
        ("SubscriptionExpiryUpdated(uint256,uint256)", 1),
        ("SubscriptionRecovered(uint256,uint256)", 1),
        ("SubscriberBlocked(address)", 1),
        ("SubscriberUnblocked(address)", 1),
        ("PaymentProcessorUpdated(address,address)", 2),
        (
            "ExecutionExecuted(address,uint256,address,address,uint256,uint256,address,uint256,uint256)",
            3,
        ),
        ("ExecutionFailed(address,uint256,uint8)", 2),
        ("ModuleDeployed(address,uint256,address)", 2),
    ];

    #[test]
    fn the_bindings_have_the_signatures_of_the_protocol() {
        let bound = WATCHED_EVENTS.map(|event| (event.signature, event.topics - 1));
        assert_eq!(bound, PROTOCOL);
    }

    #[test]
    fn a_topic_finds_its_event_and_no_other() {
        for event in &WATCHED_EVENTS {
            assert_eq!(event.topic, keccak256(event.signature));
            assert_eq!(watched_event(&event.topic), Some(event));
        }
        assert_eq!(
            watched_event(&keccak256("TierChanged(uint256,uint256)")),
            None
        );
    }
}
