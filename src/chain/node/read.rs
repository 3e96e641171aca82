//! Reads: headers, code, and the contracts' views.

use alloy::primitives::{Address, B256, Bytes, U64};
use alloy::sol_types::SolCall;
use serde_json::{Value, json};

use super::connection::Node;
use super::error::RpcError;
use super::header::{Header, expect_number};
use super::many::{Answers, PER_BATCH, many};
use crate::abi::{Layouts, SubscriptionModule};
use crate::domain::{ModuleAddress, Plan, PlanId};

/// The newest block, where the node knows one.
pub(crate) async fn latest(node: &Node) -> Result<Option<Header>, RpcError> {
    node.call("eth_getBlockByNumber", ("latest", false)).await
}

/// The newest block that is final, where the node knows the tag.
pub(crate) async fn finalized(node: &Node) -> Result<Option<Header>, RpcError> {
    node.call("eth_getBlockByNumber", ("finalized", false))
        .await
}

/// The block with this number on the node's present chain; `None` where the node does not have it.
pub(crate) async fn header_at(node: &Node, number: u64) -> Result<Option<Header>, RpcError> {
    let params = (U64::from(number), false);
    expect_number(node.call("eth_getBlockByNumber", params).await?, number)
}

/// The same for a block that the node must have.
pub(crate) async fn known_header(node: &Node, number: u64) -> Result<Header, RpcError> {
    let header = header_at(node, number).await?;
    header.ok_or_else(|| missing(number))
}

/// A node does not have a block, not yet or not any more.
pub(crate) fn missing(number: u64) -> RpcError {
    RpcError::unavailable(format!("it does not have block {number}"))
}

/// The blocks with these numbers on the node's present chain, in ascending order. Blocks that the node does not have are
/// left out.
///
/// # Errors
/// When the node answers for some of them with an error, or limits the rate for longer than its patience.
pub(crate) async fn headers_at(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let call = |number: &u64| (*number, json!([U64::from(*number), false]));
    let calls = numbers.iter().map(call).collect();
    let answers: Answers<Option<Header>> =
        many(node, "eth_getBlockByNumber", calls, PER_BATCH).await?;
    let headers = answers
        .into_iter()
        .map(|(number, header)| expect_number(header?, number));
    headers.filter_map(Result::transpose).collect()
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

/// A plan's terms, by `getPlan` at this block (`None`: at the newest); or a sentence on why it gave none.
pub(crate) async fn plan(
    node: &Node,
    layouts: &Layouts,
    module: ModuleAddress,
    plan: PlanId,
    block: Option<u64>,
) -> Result<Result<Plan, String>, RpcError> {
    let call = SubscriptionModule::getPlanCall { planId: plan.0 };
    let answer = call_view(node, module, &call, block).await?;
    let trouble = match answer.map(|answer| layouts.plan(&answer)) {
        Some(Ok(terms)) => return Ok(Ok(terms)),
        Some(Err(error)) => error.to_string(),
        None => "reverts".to_owned(),
    };
    Ok(Err(format!("getPlan({plan}) of {module} {trouble}")))
}

/// The bytes that a contract's view answers at a block (`None`: at the newest); `None` where the contract refuses the call.
pub(crate) async fn call_view<C: SolCall>(
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
