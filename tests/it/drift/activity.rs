//! What amser's indexer has seen, where a merchant's key opens it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use amser_roles::domain::{
    Batch, ChainEvent, Checkpoint, Coverage, EventKind, ModuleAddress, Position, Timestamp,
};
use amser_roles::sandbox::amser_api::LocalApi;
use amser_roles::store::Store;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::poll::{MERCHANT, Poll, World, question, store};
use crate::support::stage::wait;

/// Every block up to this one is stored.
const CURSOR: u64 = 5_000;
/// Entries of one answer, as asked for.
const LIMIT: usize = 1_000;

/// A world of two members, its API, and a store that knows these transactions.
async fn indexed(known: &[(B256, u64)]) -> (Arc<World>, LocalApi, Store) {
    let world = World::of(2);
    let (api, store) = (world.api().await, store(&world));
    let to = Checkpoint {
        number: CURSOR,
        hash: B256::repeat_byte(9),
        timestamp: Timestamp(CURSOR),
    };
    let module = question(1).module;
    store.add_module(module, 0, Address::ZERO).unwrap();
    let coverage = Coverage::Cursor {
        joined: vec![module],
        left: Vec::new(),
    };
    let batch = Batch {
        events: known.iter().map(|one| paused(*one)).collect(),
        ..Batch::new(to, coverage)
    };
    store.ingest(batch).unwrap();
    (world, api, store)
}

fn paused((transaction, block): (B256, u64)) -> ChainEvent {
    ChainEvent {
        module: question(1).module,
        position: Position {
            block,
            log_index: 0,
        },
        transaction,
        timestamp: Some(Timestamp(block)),
        kind: EventKind::SubscriptionPaused {
            subscription: 7.into(),
        },
    }
}

/// An entry of so many seconds ago.
fn entry(module: ModuleAddress, transaction: B256, block: u64, seconds_ago: i64) -> Value {
    let at = OffsetDateTime::now_utc() - time::Duration::seconds(seconds_ago);
    json!({
        "module_address": module.to_string(), "tx_hash": transaction, "block_number": block,
        "type": "CHARGE", "timestamp": at.format(&Rfc3339).unwrap(),
    })
}

fn numbered(number: usize) -> B256 {
    B256::from(alloy::primitives::U256::from(number + 1))
}

fn doubted(world: &World) -> Vec<(ModuleAddress, RangeInclusive<u64>)> {
    world.doubted_blocks.lock().unwrap().clone()
}

#[tokio::test]
async fn a_transaction_that_amsers_indexer_names_and_no_event_tells_of_is_looked_for_in_its_block()
{
    let known = B256::repeat_byte(1);
    let (world, api, store) = indexed(&[(known, 40)]).await;
    let module = question(1).module;
    // The last one is not confirmed yet.
    api.set_activity(vec![
        entry(module, known, 40, 30),
        entry(module, B256::repeat_byte(2), 41, 20),
        entry(module, B256::repeat_byte(3), CURSOR + 1, 10),
    ]);
    let poll = Poll::start(&world, api.base_url(), &store, Some("amsr_test_key"));
    wait("its block is doubted", || !doubted(&world).is_empty()).await;
    assert_eq!(doubted(&world), [(module, 41..=41)]);
    let asked = api.activity_asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0].starts_with(&format!("/v0/activity/{MERCHANT}?since=20")),
        "{asked:?}"
    );
    poll.stop().await;
}

#[tokio::test]
async fn more_activity_than_one_answer_holds_is_read_to_its_end_however_short_the_time() {
    for (seconds, what) in [(300, "five minutes"), (3, "three seconds")] {
        let count = 2 * LIMIT + 500;
        let known: Vec<_> = (0..count - 1)
            .map(|number| (numbered(number), number as u64 + 1))
            .collect();
        let (world, api, store) = indexed(&known).await;
        let module = question(1).module;
        let listed = (0..count).map(|number| {
            let seconds_ago = seconds - (number * seconds / count);
            entry(
                module,
                numbered(number),
                number as u64 + 1,
                seconds_ago as i64,
            )
        });
        api.set_activity(listed.collect());
        let poll = Poll::start(&world, api.base_url(), &store, Some("amsr_test_key"));
        wait(what, || !doubted(&world).is_empty()).await;
        let last = count as u64;
        assert_eq!(doubted(&world), [(module, last..=last)]);
        poll.stop().await;
    }
}

#[tokio::test]
async fn a_full_answer_about_modules_that_nobody_asks_about_does_not_hide_what_comes_after_it() {
    let (world, api, store) = indexed(&[]).await;
    let module = question(1).module;
    let foreign = ModuleAddress(alloy::primitives::Address::repeat_byte(0x77));
    let listed = (0..LIMIT).map(|number| {
        entry(
            foreign,
            numbered(number),
            number as u64 + 1,
            200 - number as i64 / 10,
        )
    });
    let mut listed: Vec<_> = listed.collect();
    listed.push(entry(module, B256::repeat_byte(2), 2_000, 10));
    api.set_activity(listed);
    let poll = Poll::start(&world, api.base_url(), &store, Some("amsr_test_key"));
    wait("its block is doubted", || !doubted(&world).is_empty()).await;
    assert_eq!(doubted(&world), [(module, 2_000..=2_000)]);
    poll.stop().await;
}
