//! What is concluded from events alone; the whole way is told in `tests/it/sandbox/payment.rs`.

use alloy::primitives::Address;

use super::*;
use crate::chain::ChainConfig;
use crate::domain::samples::{MODULE, TRANSACTION, created, event, paid};
use crate::domain::{Checkpoint, Timestamp};

const MINE: Wallet = Wallet(Address::repeat_byte(2));
const OTHER: Wallet = Wallet(Address::repeat_byte(3));

const HEAD: Checkpoint = Checkpoint {
    number: 12,
    hash: B256::ZERO,
    timestamp: Timestamp(0),
};

/// Nothing is stored, and no node can be asked.
fn payments(status: ChainStatus) -> Payments {
    let (_sender, chain) = watch::channel(status);
    let config = ChainConfig {
        confirmations: 3,
        ..ChainConfig::new(Vec::new(), 31_337)
    };
    let views = Views::new(&config, chain.clone());
    Payments::new(Store::in_memory().unwrap(), chain, views, 3)
}

async fn ask(payments: &Payments) -> Payment {
    let plans = [(MODULE, PlanId::from(1))].into();
    payments.look(TRANSACTION, &plans, &[MINE]).await.unwrap()
}

async fn look(pending: Vec<ChainEvent>) -> Payment {
    let status = ChainStatus {
        head: Some(HEAD),
        pending,
        ..ChainStatus::default()
    };
    ask(&payments(status)).await
}

#[tokio::test]
async fn a_payment_that_is_not_confirmed_is_counted_from_its_newest_event() {
    let payment = look(vec![event(10, created(1, MINE, 1)), event(11, paid(1))]).await;
    let step = Step::Seen(Confirmations { seen: 1, needed: 3 });
    assert_eq!(payment, Payment::Ours { wallet: MINE, step });
}

#[tokio::test]
async fn of_a_keepers_batch_the_members_own_subscription_is_told() {
    let events = [
        created(1, OTHER, 1),
        created(2, MINE, 1),
        created(3, OTHER, 1),
    ];
    let payment = look(events.map(|kind| event(12, kind)).into()).await;
    assert!(
        matches!(payment, Payment::Ours { wallet: MINE, .. }),
        "{payment:?}"
    );
}

#[tokio::test]
async fn another_plan_is_looked_for_further_and_no_node_means_that_nothing_is_known() {
    let payment = look(vec![event(12, created(1, MINE, 2))]).await;
    assert_eq!(payment, Payment::Unavailable);
}

#[tokio::test]
async fn a_confirmed_payment_is_not_judged_before_the_modules_of_its_plans_are_read() {
    let payments = payments(ChainStatus {
        head: Some(HEAD),
        confirmed: Some(HEAD),
        ..ChainStatus::default()
    });
    payments.store.add_module(MODULE, 0, Address::ZERO).unwrap();
    let mined = Mined {
        block: 10,
        succeeded: true,
    };
    payments.mined.put(TRANSACTION, Some(mined));
    assert_eq!(ask(&payments).await, Payment::NotRead);
}
