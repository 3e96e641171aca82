//! From which block on a payment may be missing of which a contract knows.

use super::*;
use crate::domain::ActiveQuestion;

fn wallet(byte: u8) -> Wallet {
    Wallet(Address::repeat_byte(byte))
}

fn question(byte: u8, plan: u64) -> ActiveQuestion {
    ActiveQuestion {
        module: module(1),
        wallet: wallet(byte),
        plan: PlanId::from(plan),
    }
}

fn event(block: u64, kind: EventKind) -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block,
            log_index: 0,
        },
        transaction: B256::repeat_byte(1),
        timestamp: None,
        kind,
    }
}

fn subscribed(block: u64, id: u64, byte: u8) -> ChainEvent {
    let kind = EventKind::SubscriptionCreated {
        subscription: SubscriptionId::from(id),
        subscriber: wallet(byte),
        plan: PlanId::from(1),
        execution_budget: U256::MAX,
        allowance_expiry: U256::MAX,
    };
    event(block, kind)
}

fn paid(block: u64, id: u64) -> ChainEvent {
    let kind = EventKind::ExecutionExecuted {
        subscription: SubscriptionId::from(id),
        payer: Address::ZERO,
        amount: U256::ONE,
        execution_time: Timestamp(block),
    };
    event(block, kind)
}

#[test]
fn a_missing_payment_is_looked_for_from_the_last_one_on_that_is_known() {
    let store = Store::in_memory().unwrap();
    store.add_module(module(1), 5, Address::ZERO).unwrap();
    let chain = [
        subscribed(10, 1, 7),
        paid(11, 1),
        subscribed(12, 2, 8),
        paid(13, 2),
        paid(14, 1),
        // The same subscriber once more.
        subscribed(15, 3, 8),
        paid(16, 3),
        subscribed(17, 4, 9),
    ];
    let mut batch = batch(&chain, 20, 0);
    batch.coverage = Coverage::Cursor {
        joined: vec![module(1)],
        left: Vec::new(),
    };
    store.ingest(batch).unwrap();
    let from = |questions: &[ActiveQuestion]| {
        let questions = questions.iter().copied().collect();
        store.last_known_payment(&questions).unwrap()
    };
    assert_eq!(from(&[question(7, 1)]), 14);
    assert_eq!(from(&[question(8, 1)]), 16);
    assert_eq!(from(&[question(7, 1), question(8, 1)]), 14);
    for unknown in [question(9, 1), question(7, 2), question(6, 1)] {
        assert_eq!(
            from(&[question(7, 1), unknown]),
            5,
            "the module's first block"
        );
    }
    assert_eq!(from(&[]), 0);
}
