//! Reads one range of blocks: every part of the filter, and what a single crowded block needs beyond that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::collect::{Collected, Collector};
use crate::chain::decode::{Watched, needs_timestamp};
use crate::chain::filter::{Blocks, FilterPart, LogFilter, LogQuery};
use crate::chain::node::RpcError;
use crate::domain::Checkpoint;

/// Downloads one query's logs into the collector.
pub type GetLogs = Arc<
    dyn Fn(LogQuery, Collector) -> BoxFuture<'static, Result<Collector, RpcError>> + Send + Sync,
>;

/// Reads the headers of these blocks, in any order.
pub type GetHeaders =
    Arc<dyn Fn(Vec<u64>) -> BoxFuture<'static, Result<Vec<Checkpoint>, RpcError>> + Send + Sync>;

/// How a node is asked. Each call is one attempt; retries and their waits are the reader's.
#[derive(Clone)]
pub struct Source {
    /// `eth_getLogs`.
    pub logs: GetLogs,
    /// Headers by number.
    pub headers: GetHeaders,
    /// The longest that rate limits in a row, without an answer in between, are waited out.
    pub patience: Duration,
}

/// A range that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// Last block that was read; earlier than asked for when there was too much.
    pub(super) to: u64,
    pub(super) collected: Collected,
    pub(super) bytes: u64,
    pub(super) logs: u64,
    pub(super) foreign: u64,
}

/// Reads `from..=to`, or a shorter range from the same start; about so many logs are expected.
pub(super) async fn read(
    source: &Source,
    filter: &LogFilter,
    watched: Arc<Watched>,
    from: u64,
    to: u64,
    expected: usize,
) -> Result<Read, RpcError> {
    let mut to = to;
    let mut answers = 0;
    let mut collector = Collector::new(watched.clone(), Blocks::Range(from, to));
    collector.expect(expected);
    for query in filter.queries(Blocks::Range(from, to)) {
        let query = query.over(from, to);
        answers += 1;
        collector = match (source.logs)(query.clone(), collector).await {
            Ok(collector) => collector,
            // One block that alone is too much: nothing is left to split but the filter. Start this block afresh.
            // An error in unknown words may mean the same.
            Err(RpcError::TooManyResults { .. } | RpcError::Other { .. }) if from == to => {
                return crowded_block(source, filter, watched, from).await;
            }
            Err(error) => return Err(error),
        };
        to = collector.end_answer()?.unwrap_or(to);
    }
    finish(source, collector, to, answers).await
}

/// Reads a block whose logs exceed the provider's limit: by halves of the filter, or by single topics (which
/// cannot see unknown ones).
async fn crowded_block(
    source: &Source,
    filter: &LogFilter,
    watched: Arc<Watched>,
    block: u64,
) -> Result<Read, RpcError> {
    let blocks = Blocks::Range(block, block);
    let mut collector = Collector::new(Arc::clone(&watched), blocks);
    let mut answers = 0;
    let mut queries: Vec<LogQuery> = filter.queries(blocks).collect();
    while let Some(query) = queries.pop() {
        answers += 1;
        // A refused call keeps the collector that it was given.
        let fresh = collector.fork();
        match (source.logs)(query.clone(), fresh).await {
            Ok(mut answered) => {
                answered.end_answer()?;
                collector.absorb(answered);
            }
            Err(refusal @ (RpcError::TooManyResults { .. } | RpcError::Other { .. })) => {
                if let Some((left, right)) = query.part.halves() {
                    queries.extend([with_part(&query, left), with_part(&query, right)]);
                    continue;
                }
                if !query.part.topic0.is_empty() {
                    return Err(refusal);
                }
                tracing::warn!(block, error = %refusal, "a block is crowded; reading known topics");
                let topic0 = watched.layouts().topics().to_vec();
                let part = FilterPart {
                    topic0,
                    ..(*query.part).clone()
                };
                queries.push(with_part(&query, part));
            }
            Err(error) => return Err(error),
        }
    }
    finish(source, collector, block, answers).await
}

fn with_part(query: &LogQuery, part: FilterPart) -> LogQuery {
    LogQuery {
        part: Arc::new(part),
        ..query.clone()
    }
}

async fn finish(
    source: &Source,
    collector: Collector,
    to: u64,
    answers: usize,
) -> Result<Read, RpcError> {
    let (bytes, logs, foreign) = (collector.bytes, collector.logs, collector.foreign);
    let mut collected = collector.finish(answers)?;
    add_timestamps(source, &mut collected).await?;
    Ok(Read {
        to,
        collected,
        bytes,
        logs,
        foreign,
    })
}

/// Fetches the timestamps that events need and the node did not send along with their logs.
async fn add_timestamps(source: &Source, collected: &mut Collected) -> Result<(), RpcError> {
    let mut blocks: Vec<u64> = collected
        .events
        .iter()
        .filter(|event| needs_timestamp(event))
        .map(|event| event.position.block)
        .collect();
    blocks.dedup();
    if !blocks.is_empty() {
        let mut headers = (source.headers)(blocks).await?;
        headers.sort_by_key(|header| header.number);
        for block in &mut collected.blocks {
            let Ok(at) = headers.binary_search_by_key(&block.number, |header| header.number) else {
                continue;
            };
            if headers[at].hash != block.hash {
                return Err(RpcError::unavailable(format!(
                    "block {} changed while it was read",
                    block.number
                )));
            }
            block.timestamp = Some(headers[at].timestamp);
        }
    }
    for event in collected
        .events
        .iter_mut()
        .filter(|event| needs_timestamp(event))
    {
        let at = collected
            .blocks
            .binary_search_by_key(&event.position.block, |block| block.number);
        event.timestamp = at.ok().and_then(|at| collected.blocks[at].timestamp);
        if event.timestamp.is_none() {
            return Err(RpcError::unavailable(format!(
                "the header of block {} is missing",
                event.position.block
            )));
        }
    }
    Ok(())
}
