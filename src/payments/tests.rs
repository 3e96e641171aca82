//! What is concluded from events alone; the whole way is told in `tests/it/sandbox/payment.rs`.

use alloy::primitives::Address;

use super::*;
use crate::chain::{ChainConfig, DEPLOYMENT_WITHIN, FAILURE_REASONS, SECOND_LOOK_EVERY};
use crate::domain::samples::{MODULE, TRANSACTION, created, event, paid};
use crate::domain::{Checkpoint, Timestamp};

const MINE: Wallet = Wallet(Address::repeat_byte(2));
const OTHER: Wallet = Wallet(Address::repeat_byte(3));

async fn look(pending: Vec<ChainEvent>) -> Payment {
    let head = Checkpoint {
        number: 12,
        hash: B256::ZERO,
        timestamp: Timestamp(0),
    };
    let status = ChainStatus {
        head: Some(head),
        pending,
        ..ChainStatus::default()
    };
    let (_sender, chain) = watch::channel(status);
    let config = ChainConfig {
        rpc_urls: Vec::new(),
        chain_id: 31_337,
        confirmations: 3,
        start_block: None,
        second_look_every: SECOND_LOOK_EVERY,
        deployment_within: DEPLOYMENT_WITHIN,
        layouts: crate::abi::Layouts::built_in(),
        failure_reasons: FAILURE_REASONS.into(),
    };
    let views = Views::new(&config, chain.clone());
    let payments = Payments::new(Store::in_memory().unwrap(), chain, views, 3);
    let plans = [(MODULE, PlanId::from(1))].into();
    payments.look(TRANSACTION, &plans, &[MINE]).await.unwrap()
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
