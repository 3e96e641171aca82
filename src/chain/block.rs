//! The logs of one block, by its hash, complete for certain: a node may show a block before its logs.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use alloy::primitives::{B256, b256};
use serde_json::value::RawValue;
use tracing::debug;

use super::decode::{Decoded, LogDecoder};
use super::filter::{Blocks, LogQuery};
use super::logs::{Decoder, Log};
use super::node::Node;
use super::node::RpcError;
use super::node::read::Header;
use super::question::Question;
use super::watch::WatchedLog;
use crate::domain::{Checkpoint, Position};

/// The root of an empty list of transactions (the hash of RLP's empty string).
const NO_TRANSACTIONS: B256 =
    b256!("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
/// Waits between reads of a block whose logs must be there but were not.
const WAITS: [Duration; 7] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];
/// Up to this chance of a mere likeness, a bloom that shows a watched event counts as evidence of one.
const EVIDENCE: f64 = 0.02;

/// Logs of several blocks that are held at once; with more, each block is read by itself.
const MOST_AT_ONCE: usize = 20_000;

/// What one block says about the watched addresses.
#[derive(Debug)]
pub(crate) struct BlockLogs {
    /// In the order of the block.
    pub(crate) logs: Vec<WatchedLog>,
    /// Whether the answer was empty while the bloom could neither exclude nor show an event: worth another look later.
    pub(crate) unsure: bool,
}

/// Reads the block's logs of the watched addresses.
pub(crate) async fn logs(
    node: &Node,
    header: &Header,
    question: &Question,
) -> Result<BlockLogs, RpcError> {
    let bloom = match header.logs_bloom {
        // Some chains fill in no bloom; an empty one says something only of a block without transactions.
        Some(bloom) if !bloom.is_zero() => bloom,
        _ if header.transactions_root == Some(NO_TRANSACTIONS) => {
            return Ok(BlockLogs::none(false));
        }
        _ => {
            let logs = ask(node, header.checkpoint(), question).await?;
            let unsure = logs.is_empty();
            return Ok(BlockLogs { logs, unsure });
        }
    };
    if !question.may_be_in(&bloom) {
        return Ok(BlockLogs::none(false));
    }
    let mut last = RpcError::unavailable("it has the newest block without its logs");
    for (attempt, wait) in WAITS.into_iter().enumerate() {
        let answer = ask(node, header.checkpoint(), question).await;
        match answer {
            Ok(logs) if !logs.is_empty() => {
                return Ok(BlockLogs {
                    logs,
                    unsure: false,
                });
            }
            Ok(_) if attempt + 1 == WAITS.len() => return Ok(BlockLogs::none(true)),
            Ok(_) if !question.looks_present(&bloom) => return Ok(BlockLogs::none(false)),
            Ok(_) if question.chance_of_likeness(&bloom) > EVIDENCE => {
                return Ok(BlockLogs::none(true));
            }
            Ok(_) => {}
            // The node behind a load balancer that was asked does not have the block yet, or not any more.
            Err(error @ (RpcError::Unavailable { .. } | RpcError::Other { .. })) => last = error,
            Err(error) => return Err(error),
        }
        debug!(
            block = header.number,
            attempt, "a block's logs are not there yet"
        );
        tokio::time::sleep(wait).await;
    }
    Err(last)
}

/// The logs of many blocks by one call, as far as they name the very blocks of `headers`. Only a shortcut: a block that
/// it says nothing about is to be asked for by itself.
pub(crate) async fn logs_of_many(
    node: &Node,
    headers: &[Header],
    question: &Question,
) -> HashMap<B256, Vec<WatchedLog>> {
    let mut found: HashMap<B256, Vec<WatchedLog>> = HashMap::new();
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return found;
    };
    let by_hash: HashMap<B256, &Header> =
        headers.iter().map(|header| (header.hash, header)).collect();
    let blocks = Blocks::Range(first.number, last.number);
    let queries: Vec<LogQuery> = question.filter.queries(blocks).collect();
    if queries.len() > 1 {
        // Two answers may come from two nodes behind a load balancer, one of which lacks the newest blocks.
        return found;
    }
    let mut decode = LogDecoder::default();
    let mut count = 0;
    for query in queries {
        let mut take = |log: &Log<'_>| {
            count += 1;
            if count > MOST_AT_ONCE {
                return ControlFlow::Break(());
            }
            if let Some(header) = by_hash.get(&log.block_hash)
                && header.number == log.block_number
                && !log.removed
            {
                let decoded = decode.decode(log, &question.watched);
                if decoded != Decoded::NotOurs {
                    let logs = found.entry(header.hash).or_default();
                    logs.push(watched_log(log, decoded, header.checkpoint()));
                }
            }
            ControlFlow::Continue(())
        };
        let streamed = node.logs(&query, None, &mut take).await;
        // A block of which a part of the logs is missing must not pass for whole.
        if streamed.is_err() || count > MOST_AT_ONCE {
            debug!(error = ?streamed.err(), "many blocks' logs are not to be had at once");
            return HashMap::new();
        }
    }
    for logs in found.values_mut() {
        logs.sort_by_key(|log| log.position);
        logs.dedup_by_key(|log| log.position);
    }
    found
}

/// Whether the block has logs of the watched addresses, asked once.
pub(crate) async fn has_logs(
    node: &Node,
    block: Checkpoint,
    question: &Question,
) -> Result<bool, RpcError> {
    Ok(!ask(node, block, question).await?.is_empty())
}

/// Asks once.
async fn ask(
    node: &Node,
    block: Checkpoint,
    question: &Question,
) -> Result<Vec<WatchedLog>, RpcError> {
    let mut logs = Vec::new();
    for query in question.filter.queries(Blocks::Hash(block.hash)) {
        let answer: Box<RawValue> = node.call("eth_getLogs", query.params()).await?;
        let mut decoder = Decoder::bare();
        let mut decode = LogDecoder::default();
        let mut stray = false;
        let mut take = |log: &Log<'_>| {
            stray |= log.block_hash != block.hash;
            let decoded = decode.decode(log, &question.watched);
            if decoded != Decoded::NotOurs {
                logs.push(watched_log(log, decoded, block));
            }
            ControlFlow::Continue(())
        };
        // Without a break the whole answer is read.
        let _whole = decoder.feed(answer.get().as_bytes(), &mut take)?;
        decoder.finish()?;
        if stray {
            return Err(RpcError::unavailable(
                "it answered with another block's logs",
            ));
        }
    }
    logs.sort_by_key(|log| log.position);
    logs.dedup_by_key(|log| log.position);
    Ok(logs)
}

fn watched_log(log: &Log<'_>, mut decoded: Decoded, block: Checkpoint) -> WatchedLog {
    if let Decoded::Event(event, _) = &mut decoded {
        event.timestamp = Some(block.timestamp);
    }
    WatchedLog {
        position: Position {
            block: block.number,
            log_index: log.log_index,
        },
        address: log.address,
        topic: log.topics().first().copied().unwrap_or_default(),
        decoded,
    }
}

impl BlockLogs {
    fn none(unsure: bool) -> Self {
        Self {
            logs: Vec::new(),
            unsure,
        }
    }
}
