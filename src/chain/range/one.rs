//! One range of blocks: every part of the filter, with the header of the range's end.

use std::ops::ControlFlow;
use std::sync::Arc;

use alloy::primitives::B256;

use super::collect::{Collected, Collector};
use crate::chain::decode::needs_timestamp;
use crate::chain::filter::{Blocks, FilterPart, LogFilter, LogQuery};
use crate::chain::logs::Log;
use crate::chain::node::{Header, Node, RpcError, read};

/// A range that was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// Its last block; earlier than asked for when there was too much.
    pub(crate) end: Header,
    pub(crate) collected: Collected,
}

/// Reads `from..=to`, or a shorter range from the same start. `expected`: about how many events it holds.
pub(crate) async fn read(
    node: &Node,
    filter: &LogFilter,
    from: u64,
    mut to: u64,
    expected: usize,
) -> Result<Read, RpcError> {
    let blocks = Blocks::Range(from, to);
    let mut collector = Collector::new(Arc::clone(filter.watched()), blocks);
    collector.expect(expected);
    let mut end = None;
    let mut queries: Vec<LogQuery> = filter.queries(blocks).collect();
    while let Some(query) = queries.pop() {
        let blocks = Blocks::Range(from, to);
        let query = LogQuery { blocks, ..query };
        match ask(node, &query, to, &mut collector).await {
            Ok(header) => to = agreed(&mut end, header, &mut collector, to)?,
            // One block that alone is too much: nothing is left to split but the filter. An error in unknown words may
            // mean the same.
            Err(refusal @ (RpcError::TooManyResults { .. } | RpcError::Other { .. }))
                if from == to =>
            {
                let parts = match query.part.halves() {
                    Some((left, right)) => vec![left, right],
                    None => filter.narrowed(&query.part),
                };
                if parts.is_empty() {
                    return Err(blamed(node, filter, &query, refusal).await);
                }
                queries.extend(parts.into_iter().map(|part| LogQuery {
                    blocks,
                    part: Arc::new(part),
                }));
            }
            Err(error) => return Err(error),
        }
    }
    finish(node, collector, end, to).await
}

/// Who is to blame for a refusal of the least that can be asked: the module, if the node answers the same about logs that there
/// are none of.
async fn blamed(node: &Node, filter: &LogFilter, query: &LogQuery, refusal: RpcError) -> RpcError {
    let (Some(module), RpcError::TooManyResults { message, .. }) =
        (filter.only_module(&query.part), &refusal)
    else {
        return refusal;
    };
    let nothing = FilterPart {
        topic0: vec![B256::ZERO],
        ..FilterPart::clone(&query.part)
    };
    let nothing = LogQuery {
        part: Arc::new(nothing),
        ..*query
    };
    let mut pass_over = |_: &Log<'_>| ControlFlow::Continue(());
    match node.logs(&nothing, None, &mut pass_over).await {
        Ok(_) => RpcError::Crowded {
            module,
            message: message.clone(),
        },
        Err(_) => refusal,
    }
}

/// One answer, with the header of its last block.
async fn ask(
    node: &Node,
    query: &LogQuery,
    to: u64,
    collector: &mut Collector,
) -> Result<Option<Header>, RpcError> {
    let mut was_cut = false;
    let mut take = |log: &Log<'_>| {
        let flow = collector.take(log);
        was_cut = flow.is_break();
        flow
    };
    let answer = node.logs(query, Some(to), &mut take).await?;
    collector.add_bytes(answer.bytes);
    match answer.end {
        // What follows the cut was not read.
        _ if was_cut => Ok(None),
        Some(end) => Ok(Some(end)),
        None => Err(read::missing(to)),
    }
}

/// Takes note of an answer's end; returns the last block that all answers so far are about.
fn agreed(
    end: &mut Option<Header>,
    header: Option<Header>,
    collector: &mut Collector,
    to: u64,
) -> Result<u64, RpcError> {
    let to = collector.end_answer()?.unwrap_or(to);
    if let (Some(before), Some(header)) = (&*end, &header)
        && before.number == header.number
        && before.hash != header.hash
    {
        return Err(RpcError::unavailable(
            "its answers are about different chains",
        ));
    }
    *end = header.or(end.take()).filter(|end| end.number == to);
    Ok(to)
}

async fn finish(
    node: &Node,
    collector: Collector,
    end: Option<Header>,
    to: u64,
) -> Result<Read, RpcError> {
    let mut collected = collector.finish()?;
    let end = match end {
        Some(end) => end,
        // The range was cut at this block, of which the node has already given logs.
        None => read::known_header(node, to).await?,
    };
    if let Some(last) = collected.blocks.last()
        && last.number == end.number
        && last.hash != end.hash
    {
        return Err(changed(end.number));
    }
    add_timestamps(node, &mut collected).await?;
    Ok(Read { end, collected })
}

/// Fetches the timestamps that events need and the node did not send along with their logs.
async fn add_timestamps(node: &Node, collected: &mut Collected) -> Result<(), RpcError> {
    let needing = collected
        .events
        .iter()
        .filter(|log| needs_timestamp(&log.event));
    let mut numbers: Vec<u64> = needing.map(|log| log.event.position.block).collect();
    numbers.dedup();
    if numbers.is_empty() {
        return Ok(());
    }
    let headers = read::headers_at(node, &numbers).await?;
    let header_of = |number: u64| {
        let at = headers.binary_search_by_key(&number, |header| header.number);
        at.ok().map(|at| &headers[at])
    };
    for block in &collected.blocks {
        if header_of(block.number).is_some_and(|header| header.hash != block.hash) {
            return Err(changed(block.number));
        }
    }
    let events = collected.events.iter_mut().map(|log| &mut log.event);
    for event in events.filter(|event| needs_timestamp(event)) {
        let number = event.position.block;
        let header = header_of(number).ok_or_else(|| read::missing(number))?;
        event.timestamp = Some(header.timestamp);
    }
    Ok(())
}

fn changed(block: u64) -> RpcError {
    RpcError::unavailable(format!("block {block} changed while it was read"))
}
