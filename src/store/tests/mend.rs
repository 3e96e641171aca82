//! Events that were found late.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn events_that_are_found_late_give_the_state_of_those_in_time(
        chain in any_chain().prop_map(plausible),
        hidden in prop::collection::vec(any::<bool>(), 60),
        mut ends in prop::collection::btree_set(0u64..59, 0..6),
        fork in 0u64..59,
    ) {
        ends.insert(59);
        let ends = Vec::from_iter(ends);
        let whole = empty_store();
        ingest_up_to(&whole, &chain, 0, &[59], 1);
        let (late, in_time): (Vec<_>, Vec<_>) = chain.iter().cloned().zip(hidden)
            .partition(|(_, hidden)| *hidden);
        let late: Vec<_> = late.into_iter().map(|(event, _)| event).collect();
        let in_time: Vec<_> = in_time.into_iter().map(|(event, _)| event).collect();
        let mended = empty_store();
        ingest_up_to(&mended, &in_time, 0, &ends, 1);
        prop_assert_eq!(mended.missing(&chain).unwrap(), late.clone());
        prop_assert_eq!(mended.mend(&chain).unwrap(), late.len());
        prop_assert_eq!(mended.mend(&chain).unwrap(), 0);
        prop_assert!(mended.missing(&chain).unwrap().is_empty());
        prop_assert_eq!(state(&mended), state(&whole));
        prop_assert_eq!(histories(&mended), histories(&whole));
        let after: Vec<_> = chain.iter().filter(|e| e.position.block > fork).cloned().collect();
        prop_assert_eq!(mended.events_after(fork).unwrap(), after.clone());
        prop_assert_eq!(whole.events_after(fork).unwrap(), after);
        for n in [1, 2] {
            let has = chain.iter().any(|event| event.module == module(n));
            prop_assert_eq!(mended.has_events(module(n)).unwrap(), has);
        }
        // What came late is undone with the rest.
        for store in [&mended, &whole] {
            store.ingest(Batch { rollback_to: Some(fork), ..batch(&[], 59, 2) }).unwrap();
        }
        prop_assert_eq!(state(&mended), state(&whole));
    }
}

/// What each subscription went through, as it is told for numbers over time.
fn histories(store: &Store) -> Vec<(SubscriptionId, Vec<ChainEvent>)> {
    let mut all = Vec::new();
    for n in [1, 2] {
        let each = |id, events: &[ChainEvent]| all.push((id, events.to_vec()));
        store.for_each_history(module(n), each).unwrap();
    }
    all
}

fn update(block: u64) -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: EventKind::PaymentProcessorUpdated {
            previous: Address::ZERO,
            current: Address::repeat_byte(8),
        },
    }
}

fn pause(block: u64) -> ChainEvent {
    ChainEvent {
        kind: EventKind::SubscriptionPaused {
            subscription: SubscriptionId::from(1),
        },
        ..update(block)
    }
}

#[test]
fn a_late_change_of_the_processor_and_events_above_what_is_stored_are_refused() {
    let store = empty_store();
    store.ingest(batch(&[], 20, 1)).unwrap();
    let before = state(&store);
    for late in [update(10), pause(21)] {
        assert!(store.mend(&[pause(9), late]).is_err());
        assert_eq!(state(&store), before);
    }
    assert_eq!(store.mend(&[pause(9)]).unwrap(), 1);
}

#[test]
fn what_was_mended_is_told() {
    let store = empty_store();
    store.ingest(batch(&[], 20, 1)).unwrap();
    store.take_touched();
    store.mend(&[pause(9)]).unwrap();
    let told: Vec<_> = store.take_touched().subscriptions.into_keys().collect();
    assert_eq!(told, [(module(1), SubscriptionId::from(1))]);
}

#[test]
fn a_module_that_is_reset_leaves_nothing_and_tells_what_is_gone() {
    let store = empty_store();
    let of_both: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|n| {
            let blocked = EventKind::SubscriberBlocked {
                subscriber: Wallet(Address::repeat_byte(0x50)),
            };
            [(5, pause(5).kind), (6, blocked)].map(|(block, kind)| ChainEvent {
                module: module(n),
                position: Position {
                    block,
                    log_index: n.into(),
                },
                ..ChainEvent {
                    kind,
                    ..pause(block)
                }
            })
        })
        .collect();
    let terms = Plan {
        token: Address::ZERO,
        price: U256::ONE,
        interval: 3_600,
        grace_period: 0,
        active: true,
    };
    let plans = [1, 2].map(|n| (module(n), PlanId::from(1), terms)).to_vec();
    let mut of_both = of_both;
    of_both.sort_by_key(|event| event.position);
    let batch = Batch {
        plans,
        ..batch(&of_both, 20, 1)
    };
    store.ingest(batch).unwrap();
    store.take_touched();
    assert_eq!(store.orphans().unwrap(), 4);
    store.reset_module(module(1), 3, Address::ZERO).unwrap();
    assert!(!store.has_events(module(1)).unwrap());
    assert!(store.has_events(module(2)).unwrap());
    assert_eq!(store.orphans().unwrap(), 2);
    assert_eq!(store.plan(module(1), PlanId::from(1)).unwrap(), None);
    assert_eq!(store.plan(module(2), PlanId::from(1)).unwrap(), Some(terms));
    let touched = store.take_touched();
    let gone = (module(1), SubscriptionId::from(1));
    assert_eq!(touched.subscriptions, [(gone, None)].into());
    assert_eq!(touched.plans, [((module(1), PlanId::from(1)), None)].into());
    assert_eq!(touched.blocked.len(), 1);
    assert_eq!(touched.complete, Some([module(2)].into()));
    assert!(!touched.everything);
}
