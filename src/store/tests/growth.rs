//! What keeps a store small and its commits short over years.

use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use super::*;
use crate::domain::UnknownLogs;
use crate::store::tables::{BATCHES, EVENTS, HEADERS};

fn pause(id: u64, block: u64) -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block,
            log_index: u32::try_from(id).unwrap(),
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: EventKind::SubscriptionPaused {
            subscription: SubscriptionId::from(id),
        },
    }
}

fn numbers(store: &Store) -> Vec<u64> {
    let transaction = store.database.begin_read().unwrap();
    let table = transaction.open_table(HEADERS).unwrap();
    let rows = table.iter().unwrap();
    rows.map(|row| row.unwrap().0.value()).collect()
}

#[test]
fn a_rollback_over_a_batch_that_is_not_listed_equals_the_shorter_chain() {
    const SUBJECTS: u64 = 100_000;
    let mut chain: Vec<_> = (0..SUBJECTS).map(|id| pause(id, id % 60)).collect();
    // Some rows lie on both sides of the fork.
    chain.extend((0..1_000).map(|id| pause(id, 59)));
    chain.sort_by_key(|event| event.position);
    chain.dedup_by_key(|event| event.position);
    let store = empty_store();
    ingest_up_to(&store, &chain, 0, &[59], 1);
    store
        .ingest(Batch {
            rollback_to: Some(30),
            ..batch(&[pause(7, 40)], 59, 2)
        })
        .unwrap();
    assert!(store.take_touched().everything);
    chain.retain(|event| event.position.block <= 30);
    chain.push(pause(7, 40));
    let fresh = empty_store();
    ingest_up_to(&fresh, &chain, 0, &[59], 2);
    assert_eq!(state(&store), state(&fresh));
    // What is left of the batch is found by a deeper rollback.
    let deeper = Batch {
        rollback_to: Some(10),
        ..batch(&[], 59, 3)
    };
    store.ingest(deeper).unwrap();
    assert!(store.events_after(10).unwrap().is_empty());
}

#[test]
fn lists_of_old_batches_are_dropped_and_a_deep_rollback_still_finds_their_rows() {
    let store = empty_store();
    for block in 1..=300 {
        store
            .ingest(batch(&[pause(block, block)], block, 1))
            .unwrap();
    }
    let lists = |store: &Store| {
        let transaction = store.database.begin_read().unwrap();
        transaction.open_table(BATCHES).unwrap().len().unwrap()
    };
    assert_eq!(lists(&store), 300);
    // One commit drops a few of them.
    let far = 200_000;
    for block in far..far + 4 {
        let before = lists(&store);
        store
            .ingest(batch(&[pause(block, block)], block, 1))
            .unwrap();
        assert_eq!(lists(&store), before + 1 - 63);
    }
    let after = |block| store.events_after(block).unwrap().len();
    assert_eq!(after(far), 3);
    assert_eq!(after(100), 204);
    store
        .ingest(Batch {
            rollback_to: Some(100),
            ..batch(&[], 101, 2)
        })
        .unwrap();
    assert_eq!(after(0), 100);
    assert_eq!(store.subscription_count().unwrap(), 100);
}

#[test]
fn of_one_address_only_so_many_unknown_topics_are_counted_apart() {
    let store = empty_store();
    let logs = |topics: std::ops::Range<u64>| {
        let unknown = topics.map(|topic| UnknownLogs {
            address: Address::repeat_byte(1),
            topic: U256::from(topic).into(),
            count: 2,
        });
        Batch {
            unknown: unknown.collect(),
            ..batch(&[], 10, 1)
        }
    };
    store.ingest(logs(0..30)).unwrap();
    store.ingest(logs(20..100)).unwrap();
    let known = store.unknown_logs().unwrap();
    assert_eq!(known.len(), 33);
    let further = known.last().unwrap();
    assert_eq!(
        (further.topic, further.count),
        (B256::repeat_byte(0xff), 2 * 68)
    );
    assert_eq!(known.iter().map(|logs| logs.count).sum::<u64>(), 2 * 110);
}

#[test]
fn headers_that_were_dense_before_a_long_pause_are_thinned() {
    let store = empty_store();
    for end in [10_000_u64, 20_000] {
        let headers = (end - 9_999..=end).map(|number| checkpoint(number, 1));
        let batch = Batch {
            headers: headers.collect(),
            ..batch(&[], end, 1)
        };
        store.ingest(batch).unwrap();
    }
    let dense = numbers(&store).into_iter().filter(|n| *n >= 20_000 - 4_096);
    assert_eq!(dense.count(), 4_097);
    // The ends of batches that are far apart stay.
    for end in (100_000..=1_000_000).step_by(100_000) {
        store.ingest(batch(&[], end, 1)).unwrap();
    }
    let kept = numbers(&store);
    assert!(kept.windows(2).all(|pair| pair[1] - pair[0] >= 256));
    assert!(
        kept.windows(2)
            .all(|pair| pair[1] > 20_000 || pair[1] - pair[0] <= 511)
    );
    assert_eq!(kept.iter().filter(|number| **number >= 100_000).count(), 10);
}

#[test]
fn payments_of_many_batches_share_rows_and_a_rollback_takes_each_back() {
    let store = empty_store();
    let events: Vec<_> = (1..=40).map(|block| pause(7, block)).collect();
    for event in &events {
        let block = event.position.block;
        let batch = batch(std::slice::from_ref(event), block, 1);
        store.ingest(batch).unwrap();
    }
    let rows = |store: &Store| {
        let transaction = store.database.begin_read().unwrap();
        transaction.open_table(EVENTS).unwrap().len().unwrap()
    };
    assert!((2..=4).contains(&rows(&store)), "{}", rows(&store));
    assert_eq!(store.all_events().unwrap(), events);
    // One that was missed does not come between the others' row and its key.
    let mut missed = pause(7, 20);
    missed.position.log_index = 0;
    assert_eq!(store.mend(std::slice::from_ref(&missed)).unwrap(), 1);
    for fork in [33, 20, 1] {
        let batch = Batch {
            rollback_to: Some(fork),
            ..batch(&[], 40, 2)
        };
        store.ingest(batch).unwrap();
        let left: Vec<_> = store
            .events_of(module(1), Subject::Subscription(SubscriptionId::from(7)))
            .unwrap();
        let mut expected: Vec<_> = events.iter().chain([&missed]).cloned().collect();
        expected.retain(|event| event.position.block <= fork);
        expected.sort_by_key(|event| event.position);
        assert_eq!(left, expected, "back to {fork}");
    }
}
