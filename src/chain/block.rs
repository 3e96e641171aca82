//! The logs of single blocks, by hash. Empty answers are checked later, by `second_look`.

use std::time::Instant;

use alloy::primitives::{B256, b256};
use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::debug;

use super::decode::Emitted;
use super::error::SessionError;
use super::filter::{Blocks, LogFilter};
use super::logs::Log;
use super::node::Header;
use super::node::reconnect::Reconnect;
use super::node::{CALL_TIMEOUT, Node, RpcError, read};
use super::range::{self, Collected, Collector, count_unknown};
use crate::domain::UnknownLogs;

/// The root of an empty list of transactions (the hash of RLP's empty string).
const NO_TRANSACTIONS: B256 =
    b256!("0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
/// Tries of one block's logs: a node behind a load balancer may not have the block yet.
const TRIES: u32 = 7;
/// The same where the node did not answer in time.
const TRIES_TIMED_OUT: u32 = 2;
/// Blocks that are read at the same time.
const AT_ONCE: usize = 8;
/// The least number of blocks whose logs are asked for by one range first.
const MANY: usize = 4;

/// What one block says about the watched contracts.
#[derive(Debug, Default)]
pub(super) struct BlockLogs {
    /// The events, in the order of the block; whose processor counts is not decided yet.
    pub(super) events: Vec<Emitted>,
    /// The logs that the ABI does not know.
    pub(super) unknown: Vec<UnknownLogs>,
}

impl BlockLogs {
    fn of(collected: Collected, header: &Header) -> Self {
        let mut events = collected.events;
        for log in &mut events {
            log.event.timestamp = Some(header.timestamp);
        }
        Self {
            events,
            unknown: count_unknown(collected.unknown),
        }
    }
}

/// Reads the logs of linked blocks, oldest first, one answer for each.
pub(super) async fn logs_of(
    node: &Node,
    headers: &[Header],
    filter: &LogFilter,
) -> Result<Vec<BlockLogs>, SessionError> {
    let may_have_logs = |header: &&Header| may_have_logs(header, filter);
    if headers.iter().filter(may_have_logs).count() >= MANY {
        match within_rate(node, || logs_by_range(node, headers, filter)).await {
            Ok(read) => return Ok(read),
            Err(error) if error.is_about_node() => return Err(error.into()),
            Err(error) => {
                debug!(%error, "blocks cannot be read by one range; reading each by itself")
            }
        }
    }
    let reads: Vec<_> = headers
        .iter()
        .map(|header| async move {
            match may_have_logs(&header) {
                true => logs(node, header, filter).await,
                false => Ok(BlockLogs::default()),
            }
        })
        .collect();
    stream::iter(reads).buffered(AT_ONCE).try_collect().await
}

/// Whether the header leaves room for logs of ours. A bloom of zeros proves nothing: some chains fill in none.
fn may_have_logs(header: &Header, filter: &LogFilter) -> bool {
    match header.logs_bloom {
        Some(bloom) if !bloom.is_zero() => filter.may_be_in(&bloom),
        _ => header.transactions_root != Some(NO_TRANSACTIONS),
    }
}

/// The logs of all these blocks by one call, which must name just these blocks and end at the last of them.
async fn logs_by_range(
    node: &Node,
    headers: &[Header],
    filter: &LogFilter,
) -> Result<Vec<BlockLogs>, RpcError> {
    let moved = || RpcError::unavailable("the range holds other blocks");
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Ok(Vec::new());
    };
    let read = range::read(node, filter, first.number, last.number, 0).await?;
    if read.end.hash != last.hash {
        return Err(moved());
    }
    // The headers are linked: their numbers follow each other.
    let index = |number: u64| usize::try_from(number - first.number).unwrap_or(usize::MAX);
    let mut parts: Vec<Collected> = headers.iter().map(|_| Collected::default()).collect();
    for block in &read.collected.blocks {
        if headers[index(block.number)].hash != block.hash {
            return Err(moved());
        }
    }
    for log in read.collected.events {
        parts[index(log.event.position.block)].events.push(log);
    }
    for log in read.collected.unknown {
        parts[index(log.position.block)].unknown.push(log);
    }
    let blocks = parts.into_iter().zip(headers);
    Ok(blocks
        .map(|(part, header)| BlockLogs::of(part, header))
        .collect())
}

/// The logs of one block, by its hash.
async fn logs(node: &Node, header: &Header, filter: &LogFilter) -> Result<BlockLogs, SessionError> {
    let mut schedule = Reconnect::new();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match within_rate(node, || logs_once(node, header, filter)).await {
            Ok(read) => return Ok(BlockLogs::of(read, header)),
            Err(error) if error.is_about_node() => return Err(error.into()),
            Err(error) => error,
        };
        // A node that does not have the block yet may have it soon. One that serves no logs by a block's hash, or not so many,
        // may serve a range of one block, which is cut up by what is asked for.
        if !matches!(
            error,
            RpcError::Unavailable { .. } | RpcError::Timeout { .. }
        ) {
            let headers = std::slice::from_ref(header);
            match within_rate(node, || logs_by_range(node, headers, filter)).await {
                Ok(mut read) => return Ok(read.pop().unwrap_or_default()),
                Err(error @ RpcError::Crowded { .. }) => return Err(error.into()),
                Err(error) => debug!(%error, "nor are they to be had by a range of one block"),
            }
        }
        // A block that was reorganised away is no fault of the node.
        let now = read::header_at(node, header.number).await?;
        if now.is_some_and(|now| now.hash != header.hash) {
            return Err(SessionError::Moved(
                "a block was reorganised while it was read",
            ));
        }
        let tries = match error {
            RpcError::Unavailable { .. } | RpcError::Other { .. } => TRIES,
            RpcError::Timeout { .. } => TRIES_TIMED_OUT,
            _ => 1,
        };
        if attempt >= tries {
            return Err(error.into());
        }
        let wait = schedule.failed(None);
        debug!(block = header.number, %error, ?wait, "a block's logs are not to be had yet");
        tokio::time::sleep(wait).await;
    }
}

/// Asks until the answer is not that the rate of calls is too high, within the node's patience.
async fn within_rate<T, F: Future<Output = Result<T, RpcError>>>(
    node: &Node,
    ask: impl Fn() -> F,
) -> Result<T, RpcError> {
    let started = Instant::now();
    loop {
        node.wait_out_quiet(started).await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, ask()).await;
        match answer.unwrap_or_else(|_| Err(RpcError::timed_out("eth_getLogs"))) {
            Err(RpcError::RateLimited { .. }) if started.elapsed() < node.patience() => {}
            answer => return answer,
        }
    }
}

async fn logs_once(
    node: &Node,
    header: &Header,
    filter: &LogFilter,
) -> Result<Collected, RpcError> {
    let blocks = Blocks::Hash(header.hash);
    let mut collector = Collector::new(filter.watched().clone(), blocks);
    for query in filter.queries(blocks) {
        let mut take = |log: &Log<'_>| collector.take(log);
        node.logs(&query, None, &mut take).await?;
        collector.end_answer()?;
    }
    collector.finish()
}
