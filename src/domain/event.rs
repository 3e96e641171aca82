//! What the chain said: decoded events with their position, and the batches in which they are stored.

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::{ModuleAddress, Plan, PlanId, SubscriptionId, Timestamp, Wallet};

/// A place in the chain's order of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Block number.
    pub block: u64,
    /// Index of the log within its block.
    pub log_index: u32,
}

/// A block that was followed: its number, hash and the chain's time at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Block number.
    pub number: u64,
    /// Block hash; a node that answers another hash for this number has reorganised.
    pub hash: B256,
    /// The block's timestamp: the clock by which access expires.
    pub timestamp: Timestamp,
}

/// A transaction that a node has in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mined {
    /// The block's number.
    pub block: u64,
    /// Whether it was executed; else it was reverted and did nothing.
    pub succeeded: bool,
}

/// One protocol event of one module, as far as roles and their receipts need it.
///
/// Tokens, fees, keepers and window ids of executions are not kept: they decide nothing here and can be
/// looked up by `transaction`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainEvent {
    /// The module that the event is about (for processor events: their `module` argument).
    pub module: ModuleAddress,
    /// Where the event stands in the chain.
    pub position: Position,
    /// Hash of the transaction that emitted it.
    pub transaction: B256,
    /// The block's timestamp. Always present on `ExecutionFailed` and `SubscriptionExpiryUpdated`, whose meaning depends
    /// on it; on other events only where the node sent it along with the log.
    pub timestamp: Option<Timestamp>,
    /// What happened.
    pub kind: EventKind,
}

impl ChainEvent {
    /// The one thing within the module whose state this event changes.
    pub fn subject(&self) -> Subject {
        match self.kind {
            EventKind::PlanCreated { plan, .. } | EventKind::PlanStatusChanged { plan, .. } => {
                Subject::Plan(plan)
            }
            EventKind::SubscriptionCreated { subscription, .. }
            | EventKind::SubscriptionPaused { subscription }
            | EventKind::SubscriptionResumed { subscription }
            | EventKind::SubscriptionCancelled { subscription }
            | EventKind::SubscriptionExpiryUpdated { subscription, .. }
            | EventKind::SubscriptionRecovered { subscription, .. }
            | EventKind::ExecutionExecuted { subscription, .. }
            | EventKind::ExecutionFailed { subscription, .. } => {
                Subject::Subscription(subscription)
            }
            EventKind::SubscriberBlocked { subscriber }
            | EventKind::SubscriberUnblocked { subscriber } => Subject::Subscriber(subscriber),
            EventKind::PaymentProcessorUpdated { .. } => Subject::Module,
        }
    }
}

/// What an event belongs to within its module; a state is the fold of the events of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// The module itself (its processor).
    Module,
    /// A plan.
    Plan(PlanId),
    /// A subscriber over all of the module's plans (blocked or not).
    Subscriber(Wallet),
    /// A subscription.
    Subscription(SubscriptionId),
}

/// The protocol's events (PROTOCOL.md, "Events").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A plan exists from now on; its terms never change.
    PlanCreated {
        /// The new plan.
        plan: PlanId,
        /// ERC-20 in which it is paid.
        token: Address,
        /// Price per interval, in the token's smallest unit.
        price: U256,
        /// Seconds between payments.
        interval: u64,
        /// Seconds of access after a missed payment.
        grace_period: u64,
    },
    /// A plan opened or closed for new subscriptions.
    PlanStatusChanged {
        /// The plan.
        plan: PlanId,
        /// Whether it can be subscribed to.
        active: bool,
    },
    /// A subscription exists; not paid yet.
    SubscriptionCreated {
        /// The new subscription.
        subscription: SubscriptionId,
        /// Who subscribed.
        subscriber: Wallet,
        /// To which plan.
        plan: PlanId,
        /// How many executions it allows.
        execution_budget: U256,
        /// Until when it may charge (Unix seconds).
        allowance_expiry: U256,
    },
    /// The subscriber suspended it.
    SubscriptionPaused {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// The subscriber resumed it.
    SubscriptionResumed {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// It ended; a new one for the same plan has a new id.
    SubscriptionCancelled {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// The subscriber changed until when it may charge.
    SubscriptionExpiryUpdated {
        /// The subscription.
        subscription: SubscriptionId,
        /// Unix seconds.
        expiry: U256,
    },
    /// A missed window was recovered; it can be charged again.
    SubscriptionRecovered {
        /// The subscription.
        subscription: SubscriptionId,
        /// When it is due next (Unix seconds).
        next_charge_at: U256,
    },
    /// The merchant blocked this subscriber on all plans.
    SubscriberBlocked {
        /// Who.
        subscriber: Wallet,
    },
    /// The merchant lifted the block.
    SubscriberUnblocked {
        /// Who.
        subscriber: Wallet,
    },
    /// The module's payment processor was replaced.
    PaymentProcessorUpdated {
        /// Counts up to this event.
        previous: Address,
        /// Counts after this event.
        current: Address,
    },
    /// A payment was executed.
    ExecutionExecuted {
        /// The subscription paid for.
        subscription: SubscriptionId,
        /// Whose tokens moved.
        payer: Address,
        /// How much, in the token's smallest unit.
        amount: U256,
        /// The window's canonical time; becomes `last_paid_at`.
        execution_time: Timestamp,
    },
    /// An execution was tried and refused.
    ExecutionFailed {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        reason: FailureReason,
    },
}

/// `ExecutionFailureReason` of the protocol, by its number; an unknown code is kept, never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureReason(pub u8);

/// The codes of `ExecutionFailed` that lie with the subscriber: Expired, Exhausted, InsufficientAllowance,
/// InsufficientBalance, TransferFailed, WindowMissed. The others can be provoked by any stranger who calls `execute`, or
/// say nothing about the subscriber.
pub const FAILURE_REASONS: [u8; 6] = [4, 5, 7, 8, 9, 11];

impl FailureReason {
    /// The protocol's name, or `None` for a code this ABI does not know.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 12] = [
            "None",
            "NotFound",
            "NotDue",
            "Paused",
            "Expired",
            "Exhausted",
            "Blocked",
            "InsufficientAllowance",
            "InsufficientBalance",
            "TransferFailed",
            "AlreadyExecuted",
            "WindowMissed",
        ];
        NAMES.get(usize::from(self.0)).copied()
    }
}

/// How far a module's events are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Synced {
    /// Every event up to the store's cursor, wherever it moves.
    ToCursor,
    /// Every event up to this block, and none above; `None`: nothing yet.
    To(Option<u64>),
}

/// What the store knows about a followed module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// First block that is read for it.
    pub start_block: u64,
    /// How far its events are stored.
    pub synced: Synced,
    /// The processor before the first stored `PaymentProcessorUpdated`, read from the chain.
    pub initial_processor: Address,
    /// Every replacement since, in chain order: from that position on (exclusive) `Address` is the processor.
    pub processor_updates: Vec<(Position, Address)>,
}

impl ModuleRecord {
    /// Whether it has not had a processor so far, or none that the chain told of.
    pub fn is_without_processor(&self) -> bool {
        self.initial_processor == Address::ZERO && self.processor_updates.is_empty()
    }

    /// The last block up to which every event is stored, where the store's cursor is `cursor`.
    pub fn synced_to(&self, cursor: Option<u64>) -> Option<u64> {
        match self.synced {
            Synced::ToCursor => cursor,
            Synced::To(block) => block,
        }
    }

    /// The processor whose logs count at `position`: a log at the very position of an update comes from the module
    /// itself, so "after" and "at" do not differ.
    pub fn processor_at(&self, position: Position) -> Address {
        self.processor_updates
            .iter()
            .rev()
            .find(|(from, _)| *from <= position)
            .map_or(self.initial_processor, |(_, processor)| *processor)
    }
}

/// Logs of a watched address whose topic the ABI does not know: the sign of a deployed contract that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnknownLogs {
    /// The watched address that emitted them.
    pub address: Address,
    /// Their first topic; zero for an anonymous event.
    pub topic: B256,
    /// How many.
    pub count: u64,
}

/// One atomic step of the store: what the follower read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Set after a reorganisation: everything above this block is deleted, for all modules, before the rest applies.
    pub rollback_to: Option<u64>,
    /// The last block read.
    pub to: Checkpoint,
    /// Of which modules everything up to `to` is stored after this batch.
    pub coverage: Coverage,
    /// Events in chain order, without duplicates.
    pub events: Vec<ChainEvent>,
    /// Plans read by `getPlan` because their `PlanCreated` lies before the start block.
    pub plans: Vec<(ModuleAddress, PlanId, Plan)>,
    /// Hashes of followed blocks, to find the fork block of a later reorganisation; `to` is always kept.
    pub headers: Vec<Checkpoint>,
    /// Logs that could not be decoded.
    pub unknown: Vec<UnknownLogs>,
    /// The newest finalized block that the node has shown; kept if it is newer than the stored one.
    pub finalized: Option<Checkpoint>,
}

impl Batch {
    /// An empty batch up to this block.
    pub fn new(to: Checkpoint, coverage: Coverage) -> Self {
        Self {
            rollback_to: None,
            to,
            coverage,
            events: Vec::new(),
            plans: Vec::new(),
            headers: Vec::new(),
            unknown: Vec::new(),
            finalized: None,
        }
    }
}

/// Which modules a batch covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// `to` becomes the cursor: for all modules that are [`Synced::ToCursor`], and for `joined`, which are so from now
    /// on; `left` stay behind at the cursor as it was before (after the rollback).
    Cursor {
        /// Modules that are at the cursor from now on.
        joined: Vec<ModuleAddress>,
        /// Modules that the cursor leaves behind.
        left: Vec<ModuleAddress>,
    },
    /// The cursor stays; every event of these modules up to `to` is stored from now on.
    Behind(Vec<ModuleAddress>),
}
