//! Many calls of one method: in batches over HTTP, else several at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy::rpc::json_rpc::{Id, RpcRecv};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::answer::{Answer, Body};
use super::connection::Node;
use super::error::RpcError;
use super::stream::call;
use super::transport::HttpTransport;

/// Calls in one JSON-RPC batch that most nodes take.
pub(crate) const PER_BATCH: usize = 50;
/// Batches under way at the same time.
const BATCHES_AT_ONCE: usize = 4;
/// Calls under way at the same time, each by itself.
const CALLS_AT_ONCE: usize = 8;

/// The parameters of each call, by a number of the caller's.
pub(crate) type Calls = BTreeMap<u64, Value>;
/// What was answered to each call; what a contract refused ([`RpcError::Refused`]) is an answer too.
pub(crate) type Answers<T> = BTreeMap<u64, Result<T, RpcError>>;

/// The answers to all of these calls of `method`, in batches of so many as long as the node takes them.
///
/// # Errors
/// When the node answers to some of them with an error of its own, or limits the rate for longer than its patience.
pub(crate) async fn many<T: RpcRecv>(
    node: &Node,
    method: &'static str,
    calls: Calls,
    per_batch: usize,
) -> Result<Answers<T>, RpcError> {
    let Some(http) = node.http().filter(|_| calls.len() > 1) else {
        return one_by_one(node, method, &calls).await;
    };
    let answers: Vec<Answers<T>> = stream::iter(calls)
        .chunks(per_batch)
        .map(|calls| in_batches(node, http, method, calls.into_iter().collect()))
        .buffered(BATCHES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(answers.into_iter().flatten().collect())
}

/// Asks by batches until every call has an answer. A plan of 25 calls a second answers the first 25 of a batch and
/// refuses the rest: these are asked again, within that rate.
async fn in_batches<T: RpcRecv>(
    node: &Node,
    http: &HttpTransport,
    method: &'static str,
    calls: Calls,
) -> Result<Answers<T>, RpcError> {
    let mut missing = calls;
    let mut found = Answers::new();
    let mut size = missing.len();
    let mut progress = Instant::now();
    while !missing.is_empty() {
        if node.refuses_batches() {
            found.extend(one_by_one(node, method, &missing).await?);
            break;
        }
        node.wait_out_quiet(progress).await?;
        let sent = Instant::now();
        let (answered, refusal) = match one_batch(http, method, missing.iter().take(size)).await {
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
            // Batches as such are served.
            Some(error) if !found.is_empty() && node.waits_out(method, &error, sent, progress) => {}
            // Many providers allow a hundred calls in a batch, or fifty.
            _ if size > PER_BATCH => size = PER_BATCH,
            // Some providers allow no batches, or only small ones.
            refusal => {
                tracing::debug!(method, error = ?refusal, "a batch was refused");
                found.extend(one_by_one(node, method, &missing).await?);
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
fn take<T>(
    answers: Answers<T>,
    missing: &mut Calls,
    found: &mut Answers<T>,
) -> (usize, Option<RpcError>) {
    let before = missing.len();
    let mut refusal = None;
    for (id, answer) in answers {
        match answer {
            Ok(_) | Err(RpcError::Refused { .. }) => {
                if missing.remove(&id).is_some() {
                    found.insert(id, answer);
                }
            }
            Err(error) => refusal = Some(error),
        }
    }
    (before - missing.len(), refusal)
}

/// One batch: what was answered to each call. A call that is missing was not answered.
async fn one_batch<T: RpcRecv>(
    http: &HttpTransport,
    method: &str,
    calls: impl Iterator<Item = (&u64, &Value)>,
) -> Result<Answers<T>, RpcError> {
    let calls: Vec<Value> = calls
        .map(|(id, params)| call(*id, method, params.clone()))
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

/// The call that was answered, and what was.
fn read<T: RpcRecv>(answer: Answer) -> Result<(u64, Result<T, RpcError>), RpcError> {
    let id = match &answer.id {
        Id::Number(id) => Some(*id),
        Id::String(text) => text.parse().ok(),
        Id::None => None,
    };
    let result = answer.into_result::<T>();
    match id {
        Some(id) => Ok((id, result)),
        None => {
            result?;
            Err(RpcError::unavailable("it answered without an id"))
        }
    }
}

async fn one_by_one<T: RpcRecv>(
    node: &Node,
    method: &'static str,
    calls: &Calls,
) -> Result<Answers<T>, RpcError> {
    let one = async |(id, params): (u64, Value)| match node.call::<Value, T>(method, params).await {
        Err(error) if !matches!(error, RpcError::Refused { .. }) => Err(error),
        answer => Ok((id, answer)),
    };
    stream::iter(calls.clone())
        .map(one)
        .buffered(CALLS_AT_ONCE)
        .try_collect()
        .await
}
