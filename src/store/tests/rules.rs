//! The cached folds follow the rules and the version of the fold that a store is opened with.

use super::*;
use crate::store::tables::{META, META_FOLD, SUBSCRIPTIONS};

fn event(block: u64, kind: EventKind) -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: Some(Timestamp(block * 200)),
        kind,
    }
}

/// A subscription to a plan that `getPlan` answered, with a due payment that failed for an unusual reason.
fn store_with_a_failure(path: &std::path::Path) -> Store {
    let subscription = SubscriptionId::from(1);
    let created = EventKind::SubscriptionCreated {
        subscription,
        subscriber: Wallet(Address::repeat_byte(0x50)),
        plan: PlanId::from(1),
        execution_budget: U256::MAX,
        allowance_expiry: U256::MAX,
    };
    let failed = EventKind::ExecutionFailed {
        subscription,
        reason: FailureReason(40),
    };
    let terms = Plan {
        token: Address::ZERO,
        price: U256::ONE,
        interval: 3_600,
        grace_period: 0,
        active: true,
    };
    let store = Store::open(path).unwrap();
    store.add_module(module(1), 0, Address::ZERO).unwrap();
    let batch = Batch {
        plans: vec![(module(1), PlanId::from(1), terms)],
        ..batch(&[event(1, created), event(50, failed)], 59, 1)
    };
    store.ingest(batch).unwrap();
    store
}

fn failure(store: &Store) -> Option<FailureReason> {
    let state = store.subscription(module(1), SubscriptionId::from(1));
    state.unwrap().unwrap().failed.map(|(_, reason)| reason)
}

#[test]
fn other_failure_codes_fold_what_is_stored_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = store_with_a_failure(&path);
    assert_eq!(failure(&store), None, "the default codes do not have it");
    assert_eq!(store.orphans().unwrap(), 1, "the plan was only read");
    drop(store);
    let rules = Rules {
        failure_reasons: [40].into(),
    };
    let store = Store::open_with(&path, rules).unwrap();
    assert_eq!(failure(&store), Some(FailureReason(40)));
    assert_eq!(store.orphans().unwrap(), 1);
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(failure(&store), None, "and back");
}

#[test]
fn folds_of_another_version_are_made_again_and_those_of_this_one_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let before = {
        let store = store_with_a_failure(&path);
        state(&store)
    };
    for (version, survives) in [(true, true), (false, false)] {
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        if !version {
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert(META_FOLD, [9].as_slice()).unwrap();
        }
        // A cached state without events, as another fold might have left one.
        transaction
            .open_table(SUBSCRIPTIONS)
            .unwrap()
            .insert(
                &crate::store::codec::scoped_key(module(1), U256::from(77)),
                crate::store::codec::encode(&Subscription::default()).as_slice(),
            )
            .unwrap();
        transaction.commit().unwrap();
        drop(database);
        let store = Store::open(&path).unwrap();
        let odd = store
            .subscription(module(1), SubscriptionId::from(77))
            .unwrap();
        assert_eq!(odd.is_some(), survives);
        if !survives {
            assert_eq!(state(&store), before);
        }
    }
}

#[test]
fn folds_that_were_postponed_are_made_at_the_end_or_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let reference = store_with_a_failure(&folder.path().join("reference.redb"));
    let events = reference.all_events().unwrap();
    let terms = reference.plan(module(1), PlanId::from(1)).unwrap().unwrap();
    for opened_again in [false, true] {
        let path = folder.path().join(format!("{opened_again}.redb"));
        let mut store = Store::open(&path).unwrap();
        store.add_module(module(1), 0, Address::ZERO).unwrap();
        store.postpone_folds().unwrap();
        for (event, to) in events.iter().zip([9, 59]) {
            let plans = vec![(module(1), PlanId::from(1), terms)];
            let batch = batch(std::slice::from_ref(event), to, 1);
            store.ingest(Batch { plans, ..batch }).unwrap();
        }
        assert_eq!(
            store.subscription_count().unwrap(),
            0,
            "nothing is folded yet"
        );
        assert!(store.take_touched().everything);
        if opened_again {
            drop(store);
            store = Store::open(&path).unwrap();
        }
        store.fold_postponed().unwrap();
        assert_eq!(store.take_touched().everything, !opened_again);
        assert_eq!(state(&store), state(&reference));
        store.fold_postponed().unwrap();
        assert!(store.take_touched().is_empty(), "once is enough");
    }
}
