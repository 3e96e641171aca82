//! Which modules are complete, as it is told to those who plan.

use super::*;

#[test]
fn a_module_that_is_not_followed_any_more_ceases_to_be_complete() {
    let store = empty_store();
    let ingest = |modules: &[u8], to, moves_cursor| {
        let batch = Batch {
            modules: modules.iter().copied().map(module).collect(),
            moves_cursor,
            ..batch(&[], to, 1)
        };
        store.ingest(batch).unwrap();
        store.take_touched().complete
    };
    let both = Some([module(1), module(2)].into());
    assert_eq!(ingest(&[1, 2], 10, true), both);
    assert_eq!(ingest(&[1, 2], 11, true), None, "nothing new");
    // The last gate of the second one is gone.
    let first = Some([module(1)].into());
    assert_eq!(ingest(&[1], 12, true), first);
    assert_eq!(ingest(&[1], 13, true), None, "that was told");
    // A gate brought it back, and it has caught up.
    assert_eq!(ingest(&[2], 12, false), None, "not quite");
    assert_eq!(ingest(&[2], 13, false), both);
}

#[test]
fn completeness_is_told_together_with_the_events_that_make_it() {
    let store = empty_store();
    let event = |n, block| ChainEvent {
        module: module(n),
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: EventKind::SubscriptionCreated {
            subscription: SubscriptionId::from(1),
            subscriber: Wallet(Address::repeat_byte(0x50)),
            plan: PlanId::from(1),
            execution_budget: U256::MAX,
            allowance_expiry: U256::MAX,
        },
    };
    let ingest = |n, to, moves_cursor| {
        let batch = Batch {
            modules: vec![module(n)],
            moves_cursor,
            ..batch(&[event(n, to)], to, 1)
        };
        store.ingest(batch).unwrap();
        let touched = store.take_touched();
        let told: Vec<_> = touched.subscriptions.into_keys().collect();
        assert_eq!(told, [(module(n), SubscriptionId::from(1))]);
        touched.complete
    };
    assert_eq!(ingest(1, 10, true), Some([module(1)].into()));
    assert_eq!(ingest(2, 5, false), None, "there is more to read");
    let both = [module(1), module(2)].into();
    assert_eq!(ingest(2, 10, false), Some(both));
    assert_eq!(ingest(1, 10, false), None, "nothing new");
    assert_eq!(
        store.complete_modules().unwrap(),
        [module(1), module(2)].into()
    );
}
