//! Headers by their numbers, one or many.

use alloy::primitives::U64;
use serde_json::json;

use super::connection::Node;
use super::error::RpcError;
use super::header::{Header, expect_number};
use super::many::{Answers, many};

/// The block with this number on the node's present chain; `None` where the node does not have it.
pub(crate) async fn header_at(node: &Node, number: u64) -> Result<Option<Header>, RpcError> {
    let params = (U64::from(number), false);
    expect_number(node.call("eth_getBlockByNumber", params).await?, number)
}

/// The blocks with these numbers on the node's present chain, in ascending order. Blocks that the node does not have are
/// left out.
///
/// # Errors
/// When the node answers for some of them with an error, or limits the rate for longer than its patience.
pub async fn headers_at(node: &Node, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
    let calls = numbers
        .iter()
        .map(|number| (*number, json!([U64::from(*number), false])))
        .collect();
    let answers: Answers<Option<Header>> = many(node, "eth_getBlockByNumber", calls).await?;
    answers
        .into_iter()
        .filter_map(|(number, header)| {
            header
                .and_then(|header| expect_number(header, number))
                .transpose()
        })
        .collect()
}
