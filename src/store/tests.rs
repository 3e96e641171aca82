//! The store's laws: any batch sizes, any rollback, and any file give what they should.

mod complete;
mod doubt;
mod forgotten;
mod golden;
mod growth;
mod kept;
mod mend;
mod opening;
mod rules;
mod runs;

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use proptest::prelude::*;

use super::Store;
use crate::domain::{
    Batch, ChainEvent, Checkpoint, Coverage, EventKind, FailureReason, ModuleAddress, Plan, PlanId,
    Position, Rules, Subject, Subscription, SubscriptionId, Timestamp, Wallet,
};
use crate::projection;

pub(in crate::store) fn module(n: u8) -> ModuleAddress {
    ModuleAddress(Address::repeat_byte(n))
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let word = any::<[u8; 32]>().prop_map(U256::from_be_bytes::<32>);
    let short = any::<u64>();
    let id = 1u64..4;
    (0..12u8, id.clone(), id, word, short).prop_map(|(kind, subscription, plan, word, number)| {
        let subscription = SubscriptionId::from(subscription);
        let plan = PlanId::from(plan);
        let subscriber = Wallet(Address::repeat_byte(0x50 + (number % 3) as u8));
        match kind {
            0 => EventKind::PlanCreated {
                plan,
                token: Address::repeat_byte(9),
                price: word,
                interval: 3600 + number % 100,
                grace_period: number % 1000,
            },
            1 => EventKind::PlanStatusChanged {
                plan,
                active: number % 2 == 0,
            },
            2 => EventKind::SubscriptionCreated {
                subscription,
                subscriber,
                plan,
                execution_budget: word,
                allowance_expiry: U256::MAX,
            },
            3 => EventKind::SubscriptionPaused { subscription },
            4 => EventKind::SubscriptionResumed { subscription },
            5 => EventKind::SubscriptionCancelled { subscription },
            6 => EventKind::SubscriptionExpiryUpdated {
                subscription,
                expiry: word,
            },
            7 => EventKind::SubscriptionRecovered {
                subscription,
                next_charge_at: word,
            },
            8 => EventKind::SubscriberBlocked { subscriber },
            9 => EventKind::SubscriberUnblocked { subscriber },
            10 => EventKind::ExecutionExecuted {
                subscription,
                payer: subscriber.0,
                amount: word,
                execution_time: Timestamp(number % 10_000),
            },
            _ => EventKind::ExecutionFailed {
                subscription,
                reason: FailureReason((number % 14) as u8),
            },
        }
    })
}

pub(crate) fn any_event() -> impl Strategy<Value = ChainEvent> {
    (1..3u8, any_kind(), 0u64..60, any::<u16>()).prop_map(|(of, kind, block, log_index)| {
        ChainEvent {
            module: module(of),
            position: Position {
                block,
                log_index: log_index.into(),
            },
            transaction: B256::repeat_byte(block as u8),
            timestamp: Some(Timestamp(block * 200)),
            kind,
        }
    })
}

/// A chain: events at distinct positions, in order.
pub(in crate::store) fn any_chain() -> impl Strategy<Value = Vec<ChainEvent>> {
    prop::collection::vec(any_event(), 0..60).prop_map(|events| {
        let by_position: BTreeMap<_, _> = events
            .into_iter()
            .map(|event| (event.position, event))
            .collect();
        by_position.into_values().collect()
    })
}

fn checkpoint(number: u64, fork: u8) -> Checkpoint {
    Checkpoint {
        number,
        hash: B256::repeat_byte(fork),
        timestamp: Timestamp(number * 200),
    }
}

pub(in crate::store) fn batch(events: &[ChainEvent], to: u64, fork: u8) -> Batch {
    let coverage = Coverage::Cursor {
        joined: vec![module(1), module(2)],
        left: Vec::new(),
    };
    Batch {
        events: events.to_vec(),
        ..Batch::new(checkpoint(to, fork), coverage)
    }
}

pub(in crate::store) fn empty_store() -> Store {
    let store = Store::in_memory().unwrap();
    for n in [1, 2] {
        store.add_module(module(n), 0, Address::ZERO).unwrap();
    }
    store
}

fn ingest_up_to(store: &Store, chain: &[ChainEvent], from: u64, ends: &[u64], fork: u8) {
    let mut start = from;
    for end in ends {
        let events: Vec<_> = chain
            .iter()
            .filter(|event| (start..=*end).contains(&event.position.block))
            .cloned()
            .collect();
        store.ingest(batch(&events, *end, fork)).unwrap();
        start = end + 1;
    }
}

/// Everything roles depend on, read back.
#[derive(Debug, PartialEq)]
struct State {
    subscriptions: BTreeMap<(ModuleAddress, SubscriptionId), Subscription>,
    plans: Vec<String>,
    blocked: Vec<String>,
    events: Vec<ChainEvent>,
    cursor: Option<u64>,
}

fn state(store: &Store) -> State {
    let mut subscriptions = BTreeMap::new();
    store
        .for_each_subscription(|module, id, state| {
            subscriptions.insert((module, id), state);
        })
        .unwrap();
    let (mut plans, mut plan_ids) = (Vec::new(), Vec::new());
    store
        .for_each_plan(|module, id, plan| {
            plan_ids.push((module, id));
            plans.push(format!("{module} {id} {plan:?}"));
        })
        .unwrap();
    let mut blocked = Vec::new();
    store
        .for_each_blocked(|module, wallet, mark| {
            blocked.push(format!("{module} {wallet} {mark:?}"));
        })
        .unwrap();
    let mut events = store.all_events().unwrap();
    events.sort();
    let created = |id, of| {
        let is_it = |event: &ChainEvent| {
            event.module == of
                && matches!(event.kind, EventKind::PlanCreated { plan, .. } if plan == id)
        };
        events.iter().any(is_it)
    };
    let nameless = subscriptions
        .values()
        .filter(|state| state.subscriber.is_none());
    let only_read = plan_ids.into_iter().filter(|(of, id)| !created(*id, *of));
    let orphans = nameless.count() + only_read.count();
    assert_eq!(
        store.orphans().unwrap(),
        orphans as u64,
        "the count and a scan differ"
    );
    State {
        subscriptions,
        plans,
        blocked,
        events,
        cursor: store.cursor().unwrap().map(|cursor| cursor.number),
    }
}

/// The oracle: folds a chain with nothing but the projection.
fn folded(chain: &[ChainEvent]) -> BTreeMap<(ModuleAddress, SubscriptionId), Subscription> {
    let mut plans = BTreeMap::new();
    let mut subscriptions = BTreeMap::new();
    for event in chain {
        if let Subject::Plan(id) = event.subject() {
            projection::fold_plan(plans.entry((event.module, id)).or_insert(None), event);
        }
    }
    for event in chain {
        if let Subject::Subscription(id) = event.subject() {
            let state: &mut Subscription = subscriptions.entry((event.module, id)).or_default();
            let plan = match event.kind {
                EventKind::SubscriptionCreated { plan, .. } => Some(plan),
                _ => state.subscriber.map(|(_, plan)| plan),
            };
            let interval = plan
                .and_then(|plan| plans.get(&(event.module, plan)).copied().flatten())
                .map(|plan| plan.interval);
            projection::fold(state, event, interval, &Rules::default());
        }
    }
    subscriptions
}

/// Plans never change after creation: drop what a real module cannot emit.
fn plausible(chain: Vec<ChainEvent>) -> Vec<ChainEvent> {
    let mut created = BTreeMap::new();
    chain
        .into_iter()
        .filter(|event| match event.kind {
            EventKind::PlanCreated { plan, .. } => {
                created.insert((event.module, plan), ()).is_none()
            }
            EventKind::PlanStatusChanged { plan, .. }
            | EventKind::SubscriptionCreated { plan, .. } => {
                created.contains_key(&(event.module, plan))
            }
            _ => true,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_batch_sizes_give_the_same_state(
        chain in any_chain().prop_map(plausible),
        mut ends in prop::collection::btree_set(0u64..59, 0..12),
    ) {
        ends.insert(59);
        let once = empty_store();
        ingest_up_to(&once, &chain, 0, &[59], 1);
        let often = empty_store();
        ingest_up_to(&often, &chain, 0, &Vec::from_iter(ends), 1);
        prop_assert_eq!(&state(&once), &state(&often));
        prop_assert_eq!(state(&once).subscriptions, folded(&chain));
    }

    #[test]
    fn plans_that_are_learned_late_give_the_same_state(chain in any_chain()) {
        let chain = plausible(chain);
        let terms = |interval| Plan {
            token: Address::ZERO,
            price: U256::ONE,
            interval,
            grace_period: 0,
            active: true,
        };
        let plans: Vec<_> = [1, 2]
            .into_iter()
            .flat_map(|of| (0..4u64).map(move |id| (module(of), PlanId::from(id), terms(100 * (id + 1)))))
            .collect();
        let at_once = empty_store();
        at_once.ingest(Batch { plans: plans.clone(), ..batch(&chain, 59, 1) }).unwrap();
        let late = empty_store();
        late.ingest(batch(&chain, 59, 1)).unwrap();
        late.learn_plans(&plans).unwrap();
        prop_assert_eq!(state(&late), state(&at_once));
        let unknown = late.plans_without_terms().unwrap();
        prop_assert!(unknown.iter().all(|(_, plan)| plan.0 >= U256::from(4)));
    }

    #[test]
    fn folding_after_a_reorg_equals_folding_the_new_chain_alone(
        old in any_chain().prop_map(plausible),
        new in any_chain().prop_map(plausible),
        fork in 0u64..59,
        mut ends in prop::collection::btree_set(0u64..59, 0..6),
        second_fork in 0u64..59,
    ) {
        ends.insert(59);
        let store = empty_store();
        ingest_up_to(&store, &old, 0, &Vec::from_iter(ends), 1);
        let chain: Vec<_> = plausible(old.iter().filter(|e| e.position.block <= fork)
            .chain(new.iter().filter(|e| e.position.block > fork)).cloned().collect());
        let above: Vec<_> = chain.iter().filter(|e| e.position.block > fork).cloned().collect();
        store.ingest(Batch { rollback_to: Some(fork), ..batch(&above, 59, 2) }).unwrap();
        let fresh = empty_store();
        ingest_up_to(&fresh, &chain, 0, &[59], 2);
        prop_assert_eq!(state(&store), state(&fresh));
        // And once more, perhaps deeper: what the first rollback kept must still be found.
        store.ingest(Batch { rollback_to: Some(second_fork), ..batch(&[], 59, 3) }).unwrap();
        let rest: Vec<_> = chain.into_iter().filter(|e| e.position.block <= second_fork).collect();
        prop_assert_eq!(state(&store).subscriptions, folded(&rest));
    }
}

#[test]
fn a_wallet_moves_with_the_newest_signature() {
    let store = empty_store();
    let link = |user, wallet| crate::domain::Link {
        user: crate::domain::UserId(user),
        wallet: Wallet(Address::repeat_byte(wallet)),
        linked_at: Timestamp(1),
        proof: None,
    };
    use super::LinkOutcome::{Linked, Moved, TooMany};
    assert_eq!(store.link(&link(1, 1), 2).unwrap(), Linked);
    assert_eq!(store.link(&link(1, 2), 2).unwrap(), Linked);
    assert_eq!(store.link(&link(1, 3), 2).unwrap(), TooMany);
    assert_eq!(store.link(&link(1, 2), 2).unwrap(), Linked);
    let moved = store.link(&link(2, 1), 2).unwrap();
    assert_eq!(moved, Moved(crate::domain::UserId(1)));
    assert_eq!(store.wallets_of(crate::domain::UserId(1)).unwrap().len(), 1);
    assert_eq!(store.take_touched().members.len(), 2);
}
