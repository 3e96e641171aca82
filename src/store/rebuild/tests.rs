use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::codec::scoped_key;
use crate::store::tests::{any_chain, batch, empty_store, module};

fn filled(chain: &[ChainEvent]) -> Store {
    let store = empty_store();
    store.ingest(batch(chain, 60, 1)).unwrap();
    store
}

type States = BTreeMap<(ModuleAddress, SubscriptionId), Subscription>;

fn states(store: &Store) -> States {
    let mut states = States::new();
    store
        .for_each_subscription(|module, id, state| states.extend([((module, id), state)]))
        .unwrap();
    states
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rebuilt_store_is_as_before_and_a_wrong_state_is_mended(chain in any_chain()) {
        let store = filled(&chain);
        let (before, orphans) = (states(&store), store.orphans().unwrap());
        let rebuilt = store.rebuild(|_, _| {}).unwrap();
        prop_assert_eq!(rebuilt.changed, 0);
        prop_assert_eq!(&states(&store), &before);
        damage(&store);
        let rebuilt = store.rebuild(|_, _| {}).unwrap();
        prop_assert!(rebuilt.changed > 0);
        prop_assert_eq!(states(&store), before);
        prop_assert_eq!(store.orphans().unwrap(), orphans);
        prop_assert_eq!(store.rebuild(|_, _| {}).unwrap().changed, 0);
    }
}

/// Empties every state, adds one that no event speaks of, and a wrong count.
fn damage(store: &Store) {
    let transaction = store.database.begin_write().unwrap();
    {
        let mut subscriptions = transaction.open_table(SUBSCRIPTIONS).unwrap();
        subscriptions.retain(|_, _| false).unwrap();
        let empty = crate::store::codec::encode(&Subscription::default());
        let key = scoped_key(module(1), alloy::primitives::U256::from(999));
        subscriptions.insert(&key, empty.as_slice()).unwrap();
        let mut plans = transaction.open_table(PLANS).unwrap();
        plans.retain(|_, _| false).unwrap();
        let mut orphans = transaction.open_table(ORPHANS).unwrap();
        orphans.insert(&module(2).0.0.0, 77).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn progress_ends_with_all_rows_and_forgotten_modules_are_incomplete() {
    let store = empty_store();
    let mut told = Vec::new();
    store.rebuild(|done, of| told.push((done, of))).unwrap();
    assert_eq!(told, [(0, 0)]);
    store.ingest(batch(&[], 60, 1)).unwrap();
    assert_eq!(store.complete_modules().unwrap().len(), 2);
    store.reset_modules().unwrap();
    assert_eq!(store.complete_modules().unwrap().len(), 0);
    assert_eq!(store.modules().unwrap().len(), 2);
}
