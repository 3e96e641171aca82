//! A first history, whose events wait in runs.

use std::os::unix::fs::MetadataExt as _;

use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

use super::*;
use crate::domain::samples;
use crate::store::backup::tests::stream;
use crate::store::tables::{EVENTS, META, META_FOLD, RUNS};
use crate::store::{keep_backup, refold, restore, runs};

/// What comes between the batches of a first history.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    /// To `fork`, in a batch that brings what is read again up to `end`.
    Rollback {
        fork: u64,
        end: u64,
    },
    Reset,
    Mend,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        Just(Between::Nothing),
        (0u64..59, 0u64..59).prop_map(|(fork, end)| Between::Rollback { fork, end }),
        Just(Between::Reset),
        Just(Between::Mend),
    ]
}

/// A store that begins a first history.
fn beginning() -> Store {
    let store = empty_store();
    store.postpone_folds().unwrap();
    store
}

fn rows(store: &Store) -> (u64, u64) {
    let transaction = store.database.begin_read().unwrap();
    let runs = transaction.open_table(RUNS).unwrap().len().unwrap();
    (runs, transaction.open_table(EVENTS).unwrap().len().unwrap())
}

/// Whether subscriptions are still to be folded.
fn is_postponed(store: &Store) -> bool {
    let transaction = store.database.begin_read().unwrap();
    let meta = transaction.open_table(META).unwrap();
    meta.get(META_FOLD).unwrap().is_none()
}

/// So many subscriptions in an order that has nothing to do with their ids; `what` they do in which block.
fn each(subscriptions: u64, block: u64, what: impl Fn(u64) -> EventKind) -> Vec<ChainEvent> {
    let of = |n: u64| ChainEvent {
        module: module(1 + (n % 2) as u8),
        position: Position {
            block,
            log_index: n as u32,
        },
        transaction: B256::repeat_byte(n as u8),
        timestamp: Some(Timestamp(block * 200)),
        kind: what(n * 7_919 % subscriptions),
    };
    (0..subscriptions).map(of).collect()
}

fn paused(n: u64) -> EventKind {
    EventKind::SubscriptionPaused {
        subscription: SubscriptionId::from(n),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_first_history_in_any_batches_ends_as_if_it_had_been_stored_at_once(
        chain in any_chain().prop_map(plausible),
        mut ends in prop::collection::btree_set(0u64..59, 0..12),
        at in 0usize..12,
        between in between(),
        most in prop_oneof![0usize..400, Just(usize::MAX)],
        killed_after in prop::option::of(0usize..400),
    ) {
        ends.insert(59);
        let ends = Vec::from_iter(ends);
        let at = at.min(ends.len() - 1);
        let reached = ends[at];
        let (first, then) = ends.split_at(at + 1);
        let whole = empty_store();
        let parts = beginning();
        ingest_up_to(&parts, &chain, 0, first, 1);
        let mut read_again = reached + 1;
        match between {
            Between::Nothing => {}
            Between::Rollback { fork, end } if fork <= reached => {
                let end = end.clamp(fork, reached);
                read_again = end + 1;
                let is_again = |e: &&ChainEvent| (fork + 1..=end).contains(&e.position.block);
                let again: Vec<_> = chain.iter().filter(is_again).cloned().collect();
                parts.ingest(Batch { rollback_to: Some(fork), ..batch(&again, end, 1) }).unwrap();
            }
            Between::Rollback { .. } => {}
            // Both modules are read again from their first block.
            Between::Reset => {
                parts.reset_modules().unwrap();
                read_again = 0;
            }
            Between::Mend => {
                let stored: Vec<_> = chain.iter().filter(|e| e.position.block <= reached).cloned().collect();
                prop_assert_eq!(parts.mend(&stored).unwrap(), 0);
            }
        }
        let then: Vec<_> = match then {
            [] if read_again <= 59 => vec![59],
            then => then.to_vec(),
        };
        ingest_up_to(&parts, &chain, read_again, &then, 1);
        if let Some(most) = killed_after {
            let transaction = parts.database.begin_write().unwrap();
            runs::merge_some(&transaction, most, |_, _| Ok(())).unwrap();
            transaction.commit().unwrap();
        }
        // A rollback may have folded everything before the end.
        if is_postponed(&parts) {
            refold::fold_in_parts(&parts.database, &parts.rules, most).unwrap();
        }
        ingest_up_to(&whole, &chain, 0, &[59], 1);
        prop_assert_eq!(state(&parts), state(&whole));
        prop_assert_eq!(rows(&parts).0, 0);
    }

    #[test]
    fn a_damaged_run_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let store = Store::in_memory().unwrap();
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(RUNS).unwrap().insert((0, 0), bytes.as_slice()).unwrap();
        let _ = runs::merge(&transaction);
        let _ = runs::check(&bytes);
    }
}

#[test]
fn the_rows_of_many_runs_are_merged_into_one_of_each_subscription() {
    const SUBSCRIPTIONS: u64 = 2_000;
    let (store, plain) = (beginning(), empty_store());
    for block in 1..=4 {
        let events = each(SUBSCRIPTIONS, block, paused);
        store.ingest(batch(&events, block, 1)).unwrap();
        plain.ingest(batch(&events, block, 1)).unwrap();
    }
    let (runs, events) = rows(&store);
    assert!(
        runs > 8 && events == 0,
        "{runs} rows of runs, {events} of events"
    );
    store.fold_postponed().unwrap();
    assert_eq!(rows(&store), (0, SUBSCRIPTIONS));
    assert_eq!(state(&store), state(&plain));
    // From then on events are stored with their subscriptions.
    let later = each(SUBSCRIPTIONS, 9, paused);
    store.ingest(batch(&later, 9, 1)).unwrap();
    plain.ingest(batch(&later, 9, 1)).unwrap();
    assert_eq!(rows(&store), (0, SUBSCRIPTIONS));
    assert_eq!(state(&store), state(&plain));
}

#[test]
fn a_rollback_that_brings_events_keeps_what_subscriptions_did_before_them() {
    let (store, plain) = (beginning(), empty_store());
    let created = |n| samples::created(n, Wallet(Address::repeat_byte(7)), 1);
    let (before, after) = (each(3, 1, created), each(3, 2, paused));
    for store in [&store, &plain] {
        store.ingest(batch(&before, 1, 1)).unwrap();
        store.ingest(batch(&after, 2, 1)).unwrap();
    }
    let again = Batch {
        rollback_to: Some(1),
        ..batch(&after, 2, 1)
    };
    store.ingest(again).unwrap();
    store.fold_postponed().unwrap();
    assert_eq!(rows(&store).0, 0);
    assert_eq!(state(&store), state(&plain));
}

#[test]
fn a_part_moves_one_subscription_at_least() {
    let store = beginning();
    store.ingest(batch(&each(3, 1, paused), 1, 1)).unwrap();
    for left in [false, false, true] {
        let transaction = store.database.begin_write().unwrap();
        let is_done = runs::merge_some(&transaction, 0, |_, _| Ok(())).unwrap();
        transaction.commit().unwrap();
        assert_eq!(is_done, left);
    }
    assert_eq!(rows(&store), (0, 3));
}

#[test]
fn the_end_of_a_first_history_uses_the_room_of_its_runs_again() {
    const SUBSCRIPTIONS: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    // The file's length grows by leaps; what was never written takes no room.
    let size_with = |most: usize| {
        let path = folder.path().join(format!("{most}.redb"));
        let store = Store::open(&path).unwrap();
        store.postpone_folds().unwrap();
        for block in 1..=10 {
            let events = each(SUBSCRIPTIONS, block, paused);
            store.ingest(batch(&events, block, 1)).unwrap();
        }
        refold::fold_in_parts(&store.database, &store.rules, most).unwrap();
        drop(store);
        std::fs::metadata(path).unwrap().blocks() * 512
    };
    let (at_once, in_parts) = (size_with(usize::MAX), size_with(1 << 20));
    assert!(in_parts * 10 < at_once * 8, "{in_parts} of {at_once} bytes");
}

#[test]
fn a_backup_in_the_middle_of_a_first_history_holds_all_that_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("restored.redb");
    let store = beginning();
    store.bind_chain(31_337).unwrap();
    let events = each(500, 3, paused);
    store.ingest(batch(&events, 3, 1)).unwrap();
    let backup = folder.path().join("backup.redb");
    keep_backup(stream(&store).as_slice(), &backup).unwrap();
    restore(&backup, &path, 31_337, false, Timestamp(1_800_000_000)).unwrap();
    store.fold_postponed().unwrap();
    let restored = Store::open(&path).unwrap();
    assert_eq!(state(&restored), state(&store));
}
