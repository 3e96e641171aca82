//! Keys and values as bytes: ordered keys of events, packed events, postcard for the rest.

use std::ops::RangeInclusive;

use alloy::primitives::{Address, B256, U256};
use anyhow::Context as _;
use redb::{Key, ReadableTable as _, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, Plan, PlanId, Position, Subject,
    SubscriptionId, Timestamp, UserId, Wallet,
};

/// Encodes a value whose type cannot fail to encode.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("postcard fails only on types that this store does not hold")
}

/// Decodes a stored value; an error means that the file is damaged or of another layout.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    postcard::from_bytes(bytes).context("a stored value is damaged")
}

/// Decodes a row, if there is one.
pub(super) fn read<T: DeserializeOwned>(
    row: Option<redb::AccessGuard<'_, &'static [u8]>>,
) -> anyhow::Result<Option<T>> {
    row.map(|bytes| decode(bytes.value())).transpose()
}

/// Puts in place of each row what `change` makes of it, if anything; whether it did of any. Reads all of them: for rare questions.
pub(super) fn rewrite<K>(
    table: &mut Table<'_, K, &'static [u8]>,
    mut change: impl FnMut(K, &[u8]) -> anyhow::Result<Option<Vec<u8>>>,
) -> anyhow::Result<bool>
where
    K: for<'a> Key<SelfType<'a> = K> + Copy + 'static,
{
    let mut changed = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let key = key.value();
        changed.extend(change(key, value.value())?.map(|value| (key, value)));
    }
    for (key, value) in &changed {
        table.insert(key, value.as_slice())?;
    }
    Ok(!changed.is_empty())
}

/// All keys of a member in a table by (member, wallet).
pub(super) fn wallets_of(user: UserId) -> RangeInclusive<(u64, &'static [u8; 20])> {
    (user.0, &[0; 20])..=(user.0, &[0xff; 20])
}

/// (module, 32-byte id) as one key.
pub(super) fn scoped_key(module: ModuleAddress, id: U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(module.0.as_slice());
    key[20..].copy_from_slice(&id.to_be_bytes::<32>());
    key
}

/// The first and last of all keys of one module.
pub(super) fn scoped_bounds(module: ModuleAddress) -> ([u8; 52], [u8; 52]) {
    (
        scoped_key(module, U256::ZERO),
        scoped_key(module, U256::MAX),
    )
}

/// Undoes [`scoped_key`].
pub(super) fn split_scoped_key(key: &[u8; 52]) -> (ModuleAddress, U256) {
    (
        ModuleAddress(Address::from_slice(&key[..20])),
        U256::from_be_slice(&key[20..]),
    )
}

/// The common start of all event keys of one subject. Subjects order as in the domain: plans before subscriptions.
pub(super) fn subject_prefix(module: ModuleAddress, subject: &Subject) -> Vec<u8> {
    let (key, length) = padded(module, subject);
    let mut prefix = Vec::with_capacity(LONGEST_PREFIX + POSITION_BYTES);
    prefix.extend_from_slice(&key[..length]);
    prefix
}

const LONGEST_PREFIX: usize = 53;

/// [`subject_prefix`] padded with zeros: of fixed length, so that many can be compared quickly.
pub(super) type SubjectKey = [u8; LONGEST_PREFIX];

/// The padded prefix of a subject; orders as the prefixes do.
pub(super) fn subject_key(module: ModuleAddress, subject: &Subject) -> SubjectKey {
    padded(module, subject).0
}

/// A subject's padded prefix, and its length without the padding.
fn padded(module: ModuleAddress, subject: &Subject) -> (SubjectKey, usize) {
    let mut key = [0; LONGEST_PREFIX];
    key[..20].copy_from_slice(module.0.as_slice());
    let mut put = |tag: u8, id: &[u8]| {
        key[20] = tag;
        key[21..21 + id.len()].copy_from_slice(id);
        21 + id.len()
    };
    let length = match subject {
        Subject::Module => put(0, &[]),
        Subject::Plan(id) => put(1, &id.0.to_be_bytes::<32>()),
        Subject::Subscriber(wallet) => put(2, wallet.0.as_slice()),
        Subject::Subscription(id) => put(3, &id.0.to_be_bytes::<32>()),
    };
    (key, length)
}

/// The bounds of all event keys of one module: from the first (inclusive) to the second (exclusive).
pub(super) fn module_bounds(module: ModuleAddress) -> (Vec<u8>, Vec<u8>) {
    let first = subject_prefix(module, &Subject::Module);
    let mut end = first.clone();
    // Above the tags of all subjects.
    end[20] = 0xff;
    (first, end)
}

/// How many bytes of a row's key are the position of its first event.
pub(super) const POSITION_BYTES: usize = 12;

/// Key of a row of events: subject, then the position of its first event; orders as the chain does.
pub(super) fn event_key(module: ModuleAddress, subject: &Subject, first: Position) -> Vec<u8> {
    let mut key = subject_prefix(module, subject);
    key.extend_from_slice(&first.block.to_be_bytes());
    key.extend_from_slice(&first.log_index.to_be_bytes());
    key
}

/// The module and subject of an event key.
pub(super) fn split_event_key(key: &[u8]) -> anyhow::Result<(ModuleAddress, Subject)> {
    let damaged = || anyhow::anyhow!("the key of a stored event is damaged");
    let (module, rest) = key.split_at_checked(20).ok_or_else(damaged)?;
    let (tag, rest) = rest.split_first().ok_or_else(damaged)?;
    let id = &rest[..rest.len().checked_sub(POSITION_BYTES).ok_or_else(damaged)?];
    let subject = match (tag, id.len()) {
        (0, 0) => Subject::Module,
        (1, 32) => Subject::Plan(PlanId(U256::from_be_slice(id))),
        (2, 20) => Subject::Subscriber(Wallet(Address::from_slice(id))),
        (3, 32) => Subject::Subscription(SubscriptionId(U256::from_be_slice(id))),
        _ => return Err(damaged()),
    };
    Ok((ModuleAddress(Address::from_slice(module)), subject))
}

/// A row of `PLANS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownPlan {
    pub(super) plan: Plan,
    /// Whether its `PlanCreated` was seen; else the terms are those that `getPlan` answered.
    pub(super) created: bool,
}

/// An event without what its key already says, and with amounts as short as they are.
#[derive(Serialize, Deserialize)]
struct Packed {
    block: u64,
    log_index: u32,
    transaction: B256,
    timestamp: Option<Timestamp>,
    kind: PackedKind,
}

#[derive(Serialize, Deserialize)]
enum PackedKind {
    PlanCreated(Address, Short, u64, u64),
    PlanStatusChanged(bool),
    SubscriptionCreated(Wallet, Short, Short, Short),
    SubscriptionPaused,
    SubscriptionResumed,
    SubscriptionCancelled,
    SubscriptionExpiryUpdated(Short),
    SubscriptionRecovered(Short),
    SubscriberBlocked,
    SubscriberUnblocked,
    PaymentProcessorUpdated(Address, Address),
    ExecutionExecuted(Address, Short, Timestamp),
    ExecutionFailed(FailureReason),
}

/// A `uint256` without its leading zero bytes.
struct Short(U256);

impl Serialize for Short {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.to_be_bytes::<32>();
        serializer.serialize_bytes(&bytes[self.0.leading_zeros() / 8..])
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        U256::try_from_be_slice(bytes)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("an integer of more than 32 bytes"))
    }
}

/// Appends an event to a row.
pub(super) fn pack(event: &ChainEvent, row: Vec<u8>) -> Vec<u8> {
    let kind = match &event.kind {
        EventKind::PlanCreated {
            token,
            price,
            interval,
            grace_period,
            ..
        } => PackedKind::PlanCreated(*token, Short(*price), *interval, *grace_period),
        EventKind::PlanStatusChanged { active, .. } => PackedKind::PlanStatusChanged(*active),
        EventKind::SubscriptionCreated {
            subscriber,
            plan,
            execution_budget,
            allowance_expiry,
            ..
        } => PackedKind::SubscriptionCreated(
            *subscriber,
            Short(plan.0),
            Short(*execution_budget),
            Short(*allowance_expiry),
        ),
        EventKind::SubscriptionPaused { .. } => PackedKind::SubscriptionPaused,
        EventKind::SubscriptionResumed { .. } => PackedKind::SubscriptionResumed,
        EventKind::SubscriptionCancelled { .. } => PackedKind::SubscriptionCancelled,
        EventKind::SubscriptionExpiryUpdated { expiry, .. } => {
            PackedKind::SubscriptionExpiryUpdated(Short(*expiry))
        }
        EventKind::SubscriptionRecovered { next_charge_at, .. } => {
            PackedKind::SubscriptionRecovered(Short(*next_charge_at))
        }
        EventKind::SubscriberBlocked { .. } => PackedKind::SubscriberBlocked,
        EventKind::SubscriberUnblocked { .. } => PackedKind::SubscriberUnblocked,
        EventKind::PaymentProcessorUpdated { previous, current } => {
            PackedKind::PaymentProcessorUpdated(*previous, *current)
        }
        EventKind::ExecutionExecuted {
            payer,
            amount,
            execution_time,
            ..
        } => PackedKind::ExecutionExecuted(*payer, Short(*amount), *execution_time),
        EventKind::ExecutionFailed { reason, .. } => PackedKind::ExecutionFailed(*reason),
    };
    let packed = Packed {
        block: event.position.block,
        log_index: event.position.log_index,
        transaction: event.transaction,
        timestamp: event.timestamp,
        kind,
    };
    postcard::to_extend(&packed, row)
        .expect("postcard fails only on types that this store does not hold")
}

/// Where the first event of a row stands.
pub(super) fn first_position(row: &[u8]) -> anyhow::Result<Position> {
    // What `Packed` begins with.
    let ((block, log_index), _) =
        postcard::take_from_bytes::<(u64, u32)>(row).context("a stored event is damaged")?;
    Ok(Position { block, log_index })
}

/// All events of a row, given what its key says.
pub(super) fn unpack(
    module: ModuleAddress,
    subject: &Subject,
    mut row: &[u8],
) -> anyhow::Result<Vec<ChainEvent>> {
    let mut events = Vec::new();
    while !row.is_empty() {
        let (packed, rest) =
            postcard::take_from_bytes::<Packed>(row).context("a stored event is damaged")?;
        row = rest;
        events.push(ChainEvent {
            module,
            position: Position {
                block: packed.block,
                log_index: packed.log_index,
            },
            transaction: packed.transaction,
            timestamp: packed.timestamp,
            kind: unpack_kind(subject, packed.kind)?,
        });
    }
    Ok(events)
}

fn unpack_kind(subject: &Subject, kind: PackedKind) -> anyhow::Result<EventKind> {
    Ok(match (subject, kind) {
        (&Subject::Plan(plan), PackedKind::PlanCreated(token, price, interval, grace_period)) => {
            EventKind::PlanCreated {
                plan,
                token,
                price: price.0,
                interval,
                grace_period,
            }
        }
        (&Subject::Plan(plan), PackedKind::PlanStatusChanged(active)) => {
            EventKind::PlanStatusChanged { plan, active }
        }
        (&Subject::Subscriber(subscriber), PackedKind::SubscriberBlocked) => {
            EventKind::SubscriberBlocked { subscriber }
        }
        (&Subject::Subscriber(subscriber), PackedKind::SubscriberUnblocked) => {
            EventKind::SubscriberUnblocked { subscriber }
        }
        (Subject::Module, PackedKind::PaymentProcessorUpdated(previous, current)) => {
            EventKind::PaymentProcessorUpdated { previous, current }
        }
        (&Subject::Subscription(subscription), kind) => match kind {
            PackedKind::SubscriptionCreated(subscriber, plan, budget, expiry) => {
                EventKind::SubscriptionCreated {
                    subscription,
                    subscriber,
                    plan: PlanId(plan.0),
                    execution_budget: budget.0,
                    allowance_expiry: expiry.0,
                }
            }
            PackedKind::SubscriptionPaused => EventKind::SubscriptionPaused { subscription },
            PackedKind::SubscriptionResumed => EventKind::SubscriptionResumed { subscription },
            PackedKind::SubscriptionCancelled => EventKind::SubscriptionCancelled { subscription },
            PackedKind::SubscriptionExpiryUpdated(expiry) => EventKind::SubscriptionExpiryUpdated {
                subscription,
                expiry: expiry.0,
            },
            PackedKind::SubscriptionRecovered(at) => EventKind::SubscriptionRecovered {
                subscription,
                next_charge_at: at.0,
            },
            PackedKind::ExecutionExecuted(payer, amount, execution_time) => {
                EventKind::ExecutionExecuted {
                    subscription,
                    payer,
                    amount: amount.0,
                    execution_time,
                }
            }
            PackedKind::ExecutionFailed(reason) => EventKind::ExecutionFailed {
                subscription,
                reason,
            },
            _ => anyhow::bail!("a stored event stands under the wrong subject"),
        },
        _ => anyhow::bail!("a stored event stands under the wrong subject"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::tests::any_event;

    proptest! {
        #[test]
        fn unpacking_a_packed_row_gives_the_same_events(events in prop::collection::vec(any_event(), 1..8)) {
            let subject = events[0].subject();
            let module = events[0].module;
            let same: Vec<_> = events
                .into_iter()
                .filter(|event| event.subject() == subject && event.module == module)
                .collect();
            let row = same.iter().fold(Vec::new(), |row, event| pack(event, row));
            prop_assert_eq!(unpack(module, &subject, &row).unwrap(), same);
        }

        #[test]
        fn an_event_key_gives_back_its_module_and_subject(event in any_event()) {
            let key = event_key(event.module, &event.subject(), event.position);
            prop_assert_eq!(split_event_key(&key).unwrap(), (event.module, event.subject()));
        }

        #[test]
        fn damaged_rows_are_errors_and_not_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(ModuleAddress(Address::ZERO), &Subject::Module, &bytes);
            let _ = split_event_key(&bytes);
        }
    }
}
