//! Many headers at once: in batches over HTTP, of which what was answered is kept.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy::primitives::U64;
use alloy::rpc::json_rpc::Id;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::answer::{Answer, Body};
use super::connection::Node;
use super::error::RpcError;
use super::header::{Header, expect_number};
use super::stream::call;
use super::transport::HttpTransport;

/// Headers in one JSON-RPC batch.
const HEADERS_PER_BATCH: usize = 50;
/// Batches of headers read at the same time.
const BATCHES_AT_ONCE: usize = 4;
/// Headers read at the same time, each by a call of its own.
const HEADERS_AT_ONCE: usize = 8;

/// The block with this number on the node's present chain; `None` where the node does not have it.
pub(crate) async fn header_at(node: &Node, number: u64) -> Result<Option<Header>, RpcError> {
    let params = (U64::from(number), false);
    expect_number(node.call("eth_getBlockByNumber", params).await?, number)
}

/// The blocks with these numbers on the node's present chain, in no order: in batches over HTTP, else several calls at
/// once. Blocks that the node does not have are left out.
///
/// # Errors
/// When the node answers for some of them with an error, or limits the rate for longer than its patience.
pub async fn headers_at(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let Some(http) = node.http().filter(|_| numbers.len() > 1) else {
        return one_by_one(node, numbers).await;
    };
    let batches: Vec<Vec<u64>> = numbers
        .chunks(HEADERS_PER_BATCH)
        .map(<[u64]>::to_vec)
        .collect();
    let batches: Vec<Vec<Header>> = stream::iter(batches)
        .map(|numbers| in_batches(node, http, numbers))
        .buffered(BATCHES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(batches.concat())
}

/// Asks by batches until every number has an answer. A plan of 25 calls a second answers the first 25 of a batch and
/// refuses the rest: these are asked for again, within that rate.
async fn in_batches(
    node: &Node,
    http: &HttpTransport,
    numbers: Vec<u64>,
) -> Result<Vec<Header>, RpcError> {
    let mut missing = numbers;
    let mut found = Vec::new();
    let mut size = missing.len();
    let mut progress = Instant::now();
    while !missing.is_empty() {
        if node.refuses_batches() {
            found.extend(one_by_one(node, &missing).await?);
            break;
        }
        node.wait_out_quiet_since(progress).await?;
        let asked = &missing[..size.min(missing.len())];
        let sent = Instant::now();
        let (answered, refusal) = match one_batch(http, asked).await {
            Ok(answers) => take(answers, &mut missing, &mut found),
            Err(error) => (0, Some(error)),
        };
        let refusal = refusal.map(|error| node.explain(error, false));
        node.note(sent, refusal.as_ref());
        if answered > 0 {
            progress = Instant::now();
            size = answered;
            continue;
        }
        match refusal {
            Some(RpcError::RateLimited { .. }) => {}
            // Some providers allow no batches, or only small ones.
            refusal => {
                tracing::debug!(error = ?refusal, "a batch of headers was refused");
                found.extend(one_by_one(node, &missing).await?);
                if matches!(refusal, Some(RpcError::BatchRefused { .. })) {
                    node.refuse_batches();
                }
                break;
            }
        }
    }
    Ok(found)
}

/// Moves what was answered from the missing to the found ones. Returns how many were, and why the others were not.
fn take(
    mut answers: Answers,
    missing: &mut Vec<u64>,
    found: &mut Vec<Header>,
) -> (usize, Option<RpcError>) {
    let before = missing.len();
    let mut refusal = None;
    missing.retain(|number| match answers.remove(number) {
        Some(Ok(header)) => {
            found.extend(header);
            false
        }
        Some(Err(error)) => {
            refusal = Some(error);
            true
        }
        None => true,
    });
    (before - missing.len(), refusal)
}

/// What was answered for each number: `None` where the node does not have the block.
type Answers = BTreeMap<u64, Result<Option<Header>, RpcError>>;

/// One batch: what was answered for each number. A number that is missing was not answered.
async fn one_batch(http: &HttpTransport, numbers: &[u64]) -> Result<Answers, RpcError> {
    let calls: Vec<Value> = numbers
        .iter()
        .map(|number| {
            let params = json!([U64::from(*number), false]);
            call(*number, "eth_getBlockByNumber", params)
        })
        .collect();
    let answers = match http.ask(&calls).await? {
        Body::Batch(answers) => answers,
        Body::One(answer) => {
            return Err(match answer.into_result::<Value>() {
                Err(RpcError::Other { message, .. }) => RpcError::BatchRefused { message },
                Err(error) => error,
                Ok(_) => RpcError::unavailable("it answered a batch with one answer"),
            });
        }
    };
    answers.into_iter().map(read).collect()
}

/// The number that was asked for, and what was answered.
fn read(answer: Answer) -> Result<(u64, Result<Option<Header>, RpcError>), RpcError> {
    let number = match &answer.id {
        Id::Number(number) => Some(*number),
        Id::String(text) => text.parse().ok(),
        Id::None => None,
    };
    let header: Result<Option<Header>, RpcError> = answer.into_result();
    let Some(number) = number else {
        header?;
        return Err(RpcError::unavailable("it answered without an id"));
    };
    let header = match header {
        Ok(header) => Ok(expect_number(header, number)?),
        Err(error) => Err(error),
    };
    Ok((number, header))
}

async fn one_by_one(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let headers: Vec<Option<Header>> = stream::iter(numbers.to_vec())
        .map(|number| header_at(node, number))
        .buffered(HEADERS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(headers.into_iter().flatten().collect())
}
