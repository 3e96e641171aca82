//! Which modules are complete, as it is told to those who plan.

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::*;
use crate::domain::Synced;
use crate::store::tables::MODULES;

fn cursor(joined: &[u8], left: &[u8]) -> Coverage {
    Coverage::Cursor {
        joined: joined.iter().copied().map(module).collect(),
        left: left.iter().copied().map(module).collect(),
    }
}

fn behind(n: u8) -> Coverage {
    Coverage::Behind(vec![module(n)])
}

#[test]
fn a_module_that_is_not_followed_any_more_ceases_to_be_complete() {
    let store = empty_store();
    let ingest = |coverage, to| {
        let batch = Batch {
            coverage,
            ..batch(&[], to, 1)
        };
        store.ingest(batch).unwrap();
        store.take_touched().complete
    };
    let synced = |n| store.modules().unwrap()[&module(n)].synced;
    let both = Some([module(1), module(2)].into());
    assert_eq!(ingest(cursor(&[1, 2], &[]), 10), both);
    assert_eq!(ingest(cursor(&[], &[]), 11), None, "nothing new");
    // The last gate of the second one is gone.
    let first = Some([module(1)].into());
    assert_eq!(ingest(cursor(&[], &[2]), 12), first);
    assert_eq!(synced(2), Synced::To(Some(11)));
    assert_eq!(ingest(cursor(&[], &[]), 13), None, "that was told");
    // A gate brought it back, and it catches up.
    assert_eq!(ingest(behind(2), 13), None, "it is still apart");
    assert_eq!(synced(2), Synced::To(Some(13)));
    assert_eq!(ingest(cursor(&[2], &[]), 14), both);
    assert_eq!(synced(2), Synced::ToCursor);
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
    let ingest = |n, to, coverage| {
        let batch = Batch {
            coverage,
            ..batch(&[event(n, to)], to, 1)
        };
        store.ingest(batch).unwrap();
        let touched = store.take_touched();
        let told: Vec<_> = touched.subscriptions.into_keys().collect();
        assert_eq!(told, [(module(n), SubscriptionId::from(1))]);
        touched.complete
    };
    assert_eq!(ingest(1, 10, cursor(&[1], &[])), Some([module(1)].into()));
    assert_eq!(ingest(2, 5, behind(2)), None, "there is more to read");
    let both = [module(1), module(2)].into();
    assert_eq!(ingest(2, 11, cursor(&[2], &[])), Some(both));
    assert_eq!(ingest(1, 12, cursor(&[1], &[])), None, "nothing new");
    assert_eq!(
        store.complete_modules().unwrap(),
        [module(1), module(2)].into()
    );
}

#[test]
fn a_rollback_leaves_modules_at_the_cursor_and_takes_back_those_behind_it() {
    let store = empty_store();
    store.add_module(module(3), 8, Address::ZERO).unwrap();
    let ingest = |rollback_to, coverage, to| {
        let batch = Batch {
            rollback_to,
            coverage,
            ..batch(&[], to, 1)
        };
        store.ingest(batch).unwrap();
    };
    for to in [5, 10, 20] {
        ingest(None, cursor(&[1], &[]), to);
    }
    ingest(None, behind(2), 15);
    ingest(None, behind(3), 15);
    ingest(Some(10), cursor(&[], &[]), 11);
    let synced = |n| store.modules().unwrap()[&module(n)].synced;
    assert_eq!(synced(1), Synced::ToCursor);
    assert_eq!(synced(2), Synced::To(Some(10)));
    assert_eq!(synced(3), Synced::To(Some(10)));
    assert_eq!(store.cursor().unwrap().unwrap().number, 11);
    // Left in the very batch that goes back further: it stays at the fork.
    ingest(Some(5), cursor(&[], &[1]), 12);
    assert_eq!(synced(1), Synced::To(Some(5)));
    assert_eq!(synced(3), Synced::To(None), "below its first block");
}

#[test]
fn an_ordinary_commit_neither_reads_nor_writes_a_module_record() {
    const UNREADABLE: &[u8] = &[0xff; 40];
    let store = Store::in_memory().unwrap();
    let transaction = store.database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(MODULES).unwrap();
        for n in 0..10_000_u64 {
            let address = Address::from_word(U256::from(n).into());
            table.insert(&address.0.0, UNREADABLE).unwrap();
        }
    }
    transaction.commit().unwrap();
    for to in 1..5 {
        let events = any_payment(to);
        let ordinary = Batch {
            coverage: cursor(&[], &[]),
            ..batch(&[events], to, 1)
        };
        store.ingest(ordinary).unwrap();
    }
    let transaction = store.database.begin_read().unwrap();
    let table = transaction.open_table(MODULES).unwrap();
    let mut rows = table.iter().unwrap();
    assert!(rows.all(|row| row.unwrap().1.value() == UNREADABLE));
}

fn any_payment(block: u64) -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: EventKind::ExecutionExecuted {
            subscription: SubscriptionId::from(1),
            payer: Address::ZERO,
            amount: U256::ONE,
            execution_time: Timestamp(block),
        },
    }
}

#[test]
fn the_newest_finalized_block_is_kept_until_a_rollback_goes_below_it() {
    let store = empty_store();
    let ingest = |rollback_to, finalized: Option<u64>, to| {
        let batch = Batch {
            rollback_to,
            finalized: finalized.map(|number| checkpoint(number, 1)),
            ..batch(&[], to, 1)
        };
        store.ingest(batch).unwrap();
        store.finalized().unwrap().map(|newest| newest.number)
    };
    assert_eq!(ingest(None, None, 10), None);
    assert_eq!(ingest(None, Some(8), 20), Some(8));
    assert_eq!(ingest(None, Some(7), 30), Some(8), "a node that lags");
    assert_eq!(ingest(None, None, 40), Some(8));
    assert_eq!(ingest(Some(8), None, 41), Some(8));
    assert_eq!(ingest(Some(7), None, 42), None);
    assert_eq!(ingest(Some(7), Some(6), 43), Some(6));
}
