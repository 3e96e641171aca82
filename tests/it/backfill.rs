//! The backfill against a node with each provider's limits and faults: complete, in order, nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::sol_types::SolEvent;
use amser_roles::abi::Layouts;
use amser_roles::abi::SubscriptionModule::PaymentProcessorUpdated;
use amser_roles::chain::node::{Node, RpcError};
use amser_roles::chain::processors::{Processors, Taken};
use amser_roles::chain::range::{Piece, RangeReader};
use amser_roles::domain::{
    ChainEvent, EventKind, ModuleAddress, ModuleRecord, Position, Synced, Timestamp,
};
use amser_roles::sandbox::log_node::{
    Fault, LogNode, LogNodeOptions, MadeLog, PROCESSOR, RenderedChain, Story, StorySpec, WORDINGS,
    Wording, block_time, module,
};

const FIRST: u64 = 20_000_000;

/// A made-up chain and what a reader must find on it.
struct Made {
    chain: Arc<RenderedChain>,
    events: Vec<ChainEvent>,
    modules: BTreeMap<ModuleAddress, ModuleRecord>,
    last: u64,
}

fn records(modules: usize) -> BTreeMap<ModuleAddress, ModuleRecord> {
    (0..modules)
        .map(|n| {
            let record = ModuleRecord {
                start_block: FIRST,
                synced: Synced::To(None),
                initial_processor: PROCESSOR,
                processor_updates: vec![],
            };
            (ModuleAddress(module(n)), record)
        })
        .collect()
}

fn make_with(spec: StorySpec, timestamps: bool) -> Made {
    let last = spec.first_block + spec.logs_per_block.len() as u64 - 1;
    let modules = records(spec.modules);
    let made: Vec<MadeLog> = Story::new(spec).collect();
    let events = made.iter().filter_map(|log| log.event.clone()).collect();
    let chain = RenderedChain::render(FIRST, last, made.into_iter(), timestamps);
    Made {
        chain: Arc::new(chain),
        events,
        modules,
        last,
    }
}

fn make(logs_per_block: Vec<usize>) -> Made {
    let spec = StorySpec {
        first_block: FIRST,
        logs_per_block,
        modules: 3,
        foreign_percent: 0,
    };
    make_with(spec, true)
}

/// A stretch of blocks as a caller takes it: the events that count.
struct Stretch {
    from: u64,
    to: u64,
    events: Vec<ChainEvent>,
}

fn processors(made: &Made) -> Processors {
    Processors::of(Layouts::built_in(), &made.modules)
}

async fn reader(made: &Made, node: &LogNode) -> RangeReader {
    let node = Node::connect(&node.url(), 8_453, Duration::from_secs(60)).await;
    let filter = processors(made).filter();
    RangeReader::new(Arc::new(node.unwrap()), filter, FIRST, made.last)
}

/// What counts of a piece; the reader is sent back to where a module has a new processor.
fn take(piece: Piece, reader: &mut RangeReader, processors: &mut Processors) -> Stretch {
    let (from, mut to) = (piece.from, piece.end.number);
    let Taken { events, again_from } = processors.take(piece.events).unwrap();
    if let Some(from) = again_from {
        reader.restart(from, &processors.filter());
        to = from - 1;
    }
    Stretch { from, to, events }
}

/// Reads everything; an error is answered by calling again, as a caller does whose next node is the same one.
async fn read_all(made: &Made, node: &LogNode) -> (Vec<Stretch>, Vec<RpcError>) {
    let (mut reader, mut processors) = (reader(made, node).await, processors(made));
    let (mut stretches, mut errors) = (vec![], vec![]);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let next = tokio::time::timeout_at(deadline, reader.next());
        match next.await.expect("the backfill stalled") {
            Some(Ok(piece)) => stretches.push(take(piece, &mut reader, &mut processors)),
            Some(Err(error)) => errors.push(error),
            None => return (stretches, errors),
        }
    }
}

fn assert_complete(made: &Made, stretches: &[Stretch], what: &str) {
    let mut due = FIRST;
    for stretch in stretches {
        assert_eq!(stretch.from, due, "{what}: a gap or an overlap");
        assert!(stretch.to + 1 >= stretch.from, "{what}");
        for event in &stretch.events {
            let block = event.position.block;
            assert!((stretch.from..=stretch.to).contains(&block), "{what}");
        }
        due = stretch.to + 1;
    }
    assert_eq!(due, made.last + 1, "{what}: the end is missing");
    let read: Vec<_> = stretches
        .iter()
        .flat_map(|stretch| &stretch.events)
        .collect();
    assert_eq!(read.len(), made.events.len(), "{what}: events");
    for (read, made) in read.into_iter().zip(&made.events) {
        assert_eq!(read, made, "{what}");
    }
}

async fn assert_read(made: &Made, options: LogNodeOptions) -> (Vec<Stretch>, Vec<RpcError>) {
    let what = format!("{options:?}");
    let node = LogNode::start(made.chain.clone(), options)
        .await
        .expect("a free port");
    let (pieces, errors) = read_all(made, &node).await;
    assert_complete(made, &pieces, &what);
    (pieces, errors)
}

#[tokio::test]
async fn everything_is_read_in_order_without_any_limit() {
    let made = make([10, 0, 3].repeat(2_000));
    let (_, errors) = assert_read(&made, LogNodeOptions::default()).await;
    assert_eq!(errors, []);
}

#[tokio::test]
async fn everything_is_read_under_each_limit_in_each_providers_words() {
    let made = make([4, 0, 1, 7].repeat(1_500));
    for wording in WORDINGS {
        for (max_results, max_blocks) in
            [(Some(700), None), (None, Some(150)), (Some(700), Some(150))]
        {
            let options = LogNodeOptions {
                max_results,
                max_blocks,
                wording,
                ..LogNodeOptions::default()
            };
            let (_, errors) = assert_read(&made, options).await;
            assert_eq!(errors, [], "{wording:?}");
        }
    }
}

#[tokio::test]
async fn a_named_block_limit_costs_few_refusals() {
    let made = make(vec![0; 100_000]);
    let options = LogNodeOptions {
        max_blocks: Some(2_000),
        wording: Wording::QuickNode,
        ..LogNodeOptions::default()
    };
    let node = LogNode::start(made.chain.clone(), options).await.unwrap();
    let (pieces, _) = read_all(&made, &node).await;
    assert_complete(&made, &pieces, "2,000 blocks");
    // 50 calls are needed at least; growing into the limit and the calls then in flight come on top.
    assert!(node.requests() < 85, "{} calls", node.requests());
}

#[tokio::test]
async fn a_node_that_hangs_over_wide_ranges_is_soon_asked_for_smaller_ones_alone() {
    let made = make(vec![0; 60_000]);
    let options = LogNodeOptions {
        hangs_above: Some(2_000),
        ..LogNodeOptions::default()
    };
    let node = LogNode::start(made.chain.clone(), options).await.unwrap();
    // Within the reading's deadline: it would be over after two calls that hang for their full time.
    let (pieces, errors) = read_all(&made, &node).await;
    assert_eq!(errors, []);
    assert_complete(&made, &pieces, "hangs");
    // Those in flight at first, and the two that show that it was the size.
    assert!(node.hung() <= 8 + 2 + 2, "{} calls hung", node.hung());
}

#[tokio::test]
async fn a_spike_is_read_in_small_pieces() {
    let mut blocks = vec![2; 3_000];
    blocks[1_500..1_510].fill(5_000);
    let made = make(blocks);
    for max_results in [None, Some(10_000)] {
        let options = LogNodeOptions {
            max_results,
            ..LogNodeOptions::default()
        };
        let (pieces, _) = assert_read(&made, options).await;
        let most = pieces.iter().map(|piece| piece.events.len()).max();
        assert!(most < Some(25_000), "{most:?} events in one piece");
    }
}

#[tokio::test]
async fn a_block_beyond_the_result_limit_is_read_by_parts() {
    let mut blocks = vec![3; 600];
    blocks[300] = 4_000;
    let made = make(blocks);
    for wording in WORDINGS {
        let options = LogNodeOptions {
            max_results: Some(3_500),
            wording,
            ..LogNodeOptions::default()
        };
        let (_, errors) = assert_read(&made, options).await;
        assert_eq!(errors, []);
    }
}

#[tokio::test]
async fn a_block_that_cannot_be_read_is_reported_and_never_skipped() {
    let mut blocks = vec![3; 600];
    blocks[300] = 4_000;
    let made = make(blocks);
    let options = LogNodeOptions {
        max_results: Some(100),
        ..LogNodeOptions::default()
    };
    let node = LogNode::start(made.chain.clone(), options).await.unwrap();
    let mut reader = reader(&made, &node).await;
    let mut reported = 0;
    while reported < 3 {
        match reader.next().await.expect("the end cannot be reached") {
            Ok(piece) => assert!(piece.end.number < FIRST + 300),
            Err(error) => {
                assert!(matches!(error, RpcError::TooManyResults { .. }), "{error}");
                reported += 1;
            }
        }
    }
}

#[tokio::test]
async fn everything_is_read_through_each_fault() {
    let made = make([4, 0, 1, 7].repeat(1_500));
    for fault in [
        Fault::RateLimit,
        Fault::Unavailable,
        Fault::Null,
        Fault::Truncated,
        Fault::Timeout,
        Fault::Duplicates,
    ] {
        let options = LogNodeOptions {
            max_blocks: Some(200),
            fault: Some((5, fault)),
            ..LogNodeOptions::default()
        };
        let (_, errors) = assert_read(&made, options).await;
        assert_eq!(errors, [], "{fault:?}");
    }
}

#[tokio::test]
async fn timestamps_that_the_node_does_not_send_are_fetched_where_they_matter() {
    let spec = StorySpec {
        first_block: FIRST,
        logs_per_block: vec![6; 400],
        modules: 2,
        foreign_percent: 0,
    };
    let mut made = make_with(spec, false);
    let mut needed = 0;
    for event in &mut made.events {
        match event.kind {
            EventKind::ExecutionFailed { .. } | EventKind::SubscriptionExpiryUpdated { .. } => {
                needed += 1;
            }
            _ => event.timestamp = None,
        }
    }
    assert!(needed > 0);
    assert_read(&made, LogNodeOptions::default()).await;
}

#[tokio::test]
async fn a_processor_that_mostly_serves_others_is_asked_about_our_modules_only() {
    let spec = StorySpec {
        first_block: FIRST,
        logs_per_block: vec![10; 8_000],
        modules: 2,
        foreign_percent: 90,
    };
    let made = make_with(spec, true);
    let node = LogNode::start(made.chain.clone(), LogNodeOptions::default())
        .await
        .unwrap();
    let mut reader = reader(&made, &node).await;
    let (mut pieces, mut processors) = (vec![], processors(&made));
    while let Some(piece) = reader.next().await {
        pieces.push(take(piece.unwrap(), &mut reader, &mut processors));
    }
    assert_complete(&made, &pieces, "foreign logs");
    assert!(reader.is_separate());
}

/// Module 0 moves to `NEW` in block `at`, between logs of both processors; the other modules stay.
fn migrate(made: &mut Made, logs: Vec<MadeLog>, at: u64, new: Address) -> RenderedChain {
    let update = PaymentProcessorUpdated {
        previous: PROCESSOR,
        current: new,
    };
    let mut migrated: Vec<MadeLog> = vec![];
    for mut log in logs {
        let is_ours = log.event.as_ref().map(|event| event.module.0) == Some(module(0));
        if log.block == at && log.log_index == 2 {
            log.emitter = module(0);
            log.data = update.encode_log_data();
            log.event = Some(ChainEvent {
                module: ModuleAddress(module(0)),
                position: Position {
                    block: log.block,
                    log_index: log.log_index,
                },
                transaction: log.transaction,
                timestamp: Some(Timestamp(block_time(log.block))),
                kind: EventKind::PaymentProcessorUpdated {
                    previous: PROCESSOR,
                    current: new,
                },
            });
        } else if is_ours && log.emitter == PROCESSOR {
            // Both emit before and after; only the module's processor of that moment counts.
            let is_after = (log.block, log.log_index) > (at, 2);
            let is_by_new = log.log_index % 2 == 0;
            if is_by_new {
                log.emitter = new;
            }
            if is_by_new != is_after {
                log.event = None;
            }
        }
        migrated.push(log);
    }
    made.events = migrated
        .iter()
        .filter_map(|log| log.event.clone())
        .collect();
    RenderedChain::render(FIRST, made.last, migrated.into_iter(), true)
}

#[tokio::test]
async fn a_new_processor_counts_from_its_own_log_on_and_the_old_one_no_longer() {
    let new = Address::repeat_byte(0xc5);
    for at in [0, 1, 700, 1_999] {
        let mut made = make(vec![6; 2_000]);
        let spec = StorySpec {
            first_block: FIRST,
            logs_per_block: vec![6; 2_000],
            modules: 3,
            foreign_percent: 0,
        };
        let logs = Story::new(spec).collect();
        made.chain = Arc::new(migrate(&mut made, logs, FIRST + at, new));
        for max_results in [None, Some(40)] {
            let options = LogNodeOptions {
                max_results,
                ..LogNodeOptions::default()
            };
            assert_read(&made, options).await;
        }
    }
}
