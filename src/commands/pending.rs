//! What happened on the chain to a member's subscriptions and is not confirmed yet.

use std::collections::BTreeSet;

use crate::domain::{ChainStatus, EventKind, ModuleAddress, Subject, SubscriptionId, Wallet};
use crate::store::Store;
use crate::text::Pending;

/// The unconfirmed events of these wallets' subscriptions, in chain order. `needed`: blocks on top of an event's.
pub(super) fn of(
    store: &Store,
    wallets: &[Wallet],
    chain: &ChainStatus,
    needed: u64,
) -> anyhow::Result<Vec<Pending>> {
    let head = chain.head.map_or(0, |head| head.number);
    let mut own: BTreeSet<(ModuleAddress, SubscriptionId)> = BTreeSet::new();
    let mut found = Vec::new();
    for event in &chain.pending {
        let Subject::Subscription(subscription) = event.subject() else {
            continue;
        };
        let key = (event.module, subscription);
        let subscriber = match event.kind {
            EventKind::SubscriptionCreated { subscriber, .. } => Some(subscriber),
            _ if own.contains(&key) => None,
            _ => {
                let known = store.subscription(event.module, subscription)?;
                known
                    .and_then(|known| known.subscriber)
                    .map(|(wallet, _)| wallet)
            }
        };
        if subscriber.is_some_and(|wallet| wallets.contains(&wallet)) {
            own.insert(key);
        }
        if own.contains(&key) {
            found.push(Pending {
                kind: event.kind.clone(),
                counts: match event.kind {
                    EventKind::ExecutionFailed { reason, .. } => store.rules().counts(reason),
                    _ => false,
                },
                confirmations: head.saturating_sub(event.position.block).min(needed),
                needed,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{created, event, paid};
    use crate::domain::{Checkpoint, Timestamp};

    #[test]
    fn own_events_are_counted_up_from_their_block_and_others_are_left_out() {
        let store = Store::in_memory().unwrap();
        let (own, other) = (Wallet([1; 20].into()), Wallet([2; 20].into()));
        let chain = ChainStatus {
            head: Some(Checkpoint {
                number: 12,
                hash: Default::default(),
                timestamp: Timestamp(0),
            }),
            pending: vec![
                event(10, created(1, own, 1)),
                event(10, created(2, other, 1)),
                event(11, paid(1)),
                event(11, paid(2)),
                event(12, paid(3)),
            ],
            ..ChainStatus::default()
        };
        let found = of(&store, &[own], &chain, 3).unwrap();
        let counts: Vec<_> = found
            .iter()
            .map(|one| (one.confirmations, one.needed))
            .collect();
        assert_eq!(counts, [(2, 3), (1, 3)]);
        assert_eq!(found[1].kind, paid(1));
        assert_eq!(of(&store, &[], &chain, 3).unwrap(), []);
    }
}
