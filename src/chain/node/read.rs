//! Single reads: headers, code, and the contracts' views.

use alloy::primitives::{Address, B256, Bloom, Bytes, U64};
use alloy::sol_types::SolCall;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::Node;
use super::error::RpcError;
use crate::abi::{Layouts, PlanAnswerError, SubscriptionModule};
use crate::domain::{Checkpoint, ModuleAddress, Plan, PlanId, Timestamp};

/// Headers in one JSON-RPC batch.
const HEADERS_PER_BATCH: usize = 50;
/// Batches of headers read at the same time.
const BATCHES_AT_ONCE: usize = 4;
/// Headers read at the same time, each by a call of its own.
const HEADERS_AT_ONCE: usize = 8;

/// The parts of a block header that following needs; whatever else a chain adds or leaves out does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawHeader")]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: Timestamp,
    pub(crate) logs_bloom: Option<Bloom>,
    pub(crate) transactions_root: Option<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeader {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    logs_bloom: Option<Bloom>,
    transactions_root: Option<B256>,
}

impl From<RawHeader> for Header {
    fn from(raw: RawHeader) -> Self {
        Self {
            number: raw.number.to(),
            hash: raw.hash,
            parent_hash: raw.parent_hash,
            timestamp: Timestamp(raw.timestamp.to()),
            logs_bloom: raw.logs_bloom,
            transactions_root: raw.transactions_root,
        }
    }
}

impl Header {
    /// The block's place, for the store.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            number: self.number,
            hash: self.hash,
            timestamp: self.timestamp,
        }
    }
}

/// The newest block, where the node knows one.
pub(crate) async fn latest(node: &Node) -> Result<Option<Header>, RpcError> {
    node.call("eth_getBlockByNumber", ("latest", false)).await
}

/// The block with this number on the node's present chain; `None` where the node does not have it.
pub(crate) async fn header_at(node: &Node, number: u64) -> Result<Option<Header>, RpcError> {
    node.call("eth_getBlockByNumber", (U64::from(number), false))
        .await
}

/// The blocks with these numbers on the node's present chain, in no order: in batches over HTTP, else several calls at
/// once. Blocks that the node does not have are left out.
pub(crate) async fn headers_at(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let Some(http) = node.http_logs().filter(|_| numbers.len() > 1) else {
        return headers_one_by_one(node, numbers).await;
    };
    let http = &http;
    let batches = numbers.chunks(HEADERS_PER_BATCH).map(<[u64]>::to_vec);
    let batches: Vec<Vec<Header>> = stream::iter(batches.collect::<Vec<_>>())
        .map(|numbers| async move {
            let batch = node.waiting_out_limits(|| http.get_headers(&numbers));
            match batch.await {
                Ok(headers) => Ok(headers),
                Err(error @ RpcError::RateLimited { .. }) => Err(error),
                // Some providers allow no batches, or only small ones.
                Err(error) => {
                    tracing::debug!(%error, "a batch of headers was refused");
                    headers_one_by_one(node, &numbers).await
                }
            }
        })
        .buffered(BATCHES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(batches.concat())
}

async fn headers_one_by_one(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let headers: Vec<Option<Header>> = stream::iter(numbers.to_vec())
        .map(|number| header_at(node, number))
        .buffered(HEADERS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(headers.into_iter().flatten().collect())
}

/// The block with this hash; `None` where the node does not have it.
pub(crate) async fn header_of(node: &Node, hash: B256) -> Result<Option<Header>, RpcError> {
    node.call("eth_getBlockByHash", (hash, false)).await
}

/// Whether there is a contract at `address` at this block (`None`: at the newest).
pub(crate) async fn has_code(
    node: &Node,
    address: Address,
    block: Option<u64>,
) -> Result<bool, RpcError> {
    let code: Bytes = node.call("eth_getCode", (address, at(block))).await?;
    Ok(!code.is_empty())
}

/// What a contract answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewed<T> {
    /// This.
    Value(T),
    /// The contract refused the call, or failed in it.
    Refused,
    /// Nothing that can be decoded: the node does not have the contract yet, or it is another contract.
    Nothing,
}

/// The module's processor at a block (`None`: at the newest).
pub(crate) async fn payment_processor(
    node: &Node,
    module: ModuleAddress,
    block: Option<u64>,
) -> Result<Viewed<Address>, RpcError> {
    let call = SubscriptionModule::paymentProcessorCall {};
    view(node, module, &call, block).await
}

/// Why `getPlan` gave no terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanTrouble {
    #[error("getPlan({plan}) of {module} reverts")]
    Refused { module: ModuleAddress, plan: PlanId },
    #[error("getPlan({plan}) of {module} {error}")]
    Answer {
        module: ModuleAddress,
        plan: PlanId,
        error: PlanAnswerError,
    },
}

/// A plan's terms, by `getPlan` at the newest block.
pub(crate) async fn plan(
    node: &Node,
    layouts: &Layouts,
    module: ModuleAddress,
    plan: PlanId,
) -> Result<Result<Plan, PlanTrouble>, RpcError> {
    let call = SubscriptionModule::getPlanCall { planId: plan.0 };
    let Some(answer) = call_view(node, module, &call, None).await? else {
        return Ok(Err(PlanTrouble::Refused { module, plan }));
    };
    let terms = layouts.plan(&answer);
    Ok(terms.map_err(|error| PlanTrouble::Answer {
        module,
        plan,
        error,
    }))
}

async fn view<C: SolCall>(
    node: &Node,
    module: ModuleAddress,
    call: &C,
    block: Option<u64>,
) -> Result<Viewed<C::Return>, RpcError> {
    let answer = call_view(node, module, call, block).await?;
    Ok(answer.map_or(Viewed::Refused, |answer| {
        C::abi_decode_returns_validate(&answer).map_or(Viewed::Nothing, Viewed::Value)
    }))
}

/// The bytes of the answer; `None` where the contract refuses the call.
async fn call_view<C: SolCall>(
    node: &Node,
    module: ModuleAddress,
    call: &C,
    block: Option<u64>,
) -> Result<Option<Bytes>, RpcError> {
    let request = json!({ "to": module.0, "data": Bytes::from(call.abi_encode()) });
    match node.call("eth_call", (request, at(block))).await {
        Ok(answer) => Ok(Some(answer)),
        Err(RpcError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn at(block: Option<u64>) -> Value {
    block.map_or_else(|| json!("latest"), |number| json!(U64::from(number)))
}
