//! Calls of contracts' views on one node, many together through Multicall3 where that is deployed.

use alloy::primitives::{Address, Bytes, U64, address};
use alloy::sol_types::SolCall;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tracing::debug;

use crate::abi::Multicall3::{Call3, Result as Returned, aggregate3Call};
use crate::chain::node::{Answers, Node, RpcError, many, read};
use crate::domain::Checkpoint;

/// Where Multicall3 is on every chain that has it.
pub const MULTICALL: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
/// So many calls in one call of it: together they need about a tenth of the gas that nodes allow a call.
pub(super) const HEAVY: usize = 150;
/// As [`HEAVY`], of views that read a word or two of storage.
pub(super) const LIGHT: usize = 500;
/// Calls in one JSON-RPC batch, where Multicall3 is not deployed.
const PER_BATCH: usize = 250;
/// Such calls at the same time.
const CALLS_AT_ONCE: usize = 4;

/// A call of a view.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) to: Address,
    pub(super) data: Bytes,
}

/// What one call came to.
pub(super) enum Outcome {
    Said(Bytes),
    /// The contract refused it, or failed in it.
    Refused,
}

impl Call {
    pub(super) fn new(to: Address, call: &impl SolCall) -> Self {
        let data = call.abi_encode().into();
        Self { to, data }
    }
}

impl Outcome {
    /// What the view returned; `None` where it refused, or said something else than a view of this kind would. A node that
    /// does not have the contract answers nothing.
    pub(super) fn read<C: SolCall>(&self) -> Option<C::Return> {
        match self {
            Self::Said(answer) => C::abi_decode_returns_validate(answer).ok(),
            Self::Refused => None,
        }
    }
}

/// The block at which a node is asked.
pub(super) struct At {
    tag: Value,
    /// Set where the node takes no hash: its block of this number may change meanwhile.
    number: Option<u64>,
    has_multicall: bool,
}

impl At {
    /// This block, which the node has.
    pub(super) async fn block(node: &Node, block: Checkpoint) -> Result<Self, RpcError> {
        // By its hash no other block can be answered for; but not every node takes one there.
        let by_hash = json!({ "blockHash": block.hash });
        match has_multicall(node, &by_hash).await {
            Ok(has_multicall) => Ok(Self {
                tag: by_hash,
                number: None,
                has_multicall,
            }),
            Err(RpcError::Other { .. }) => {
                let tag = json!(U64::from(block.number));
                Ok(Self {
                    has_multicall: has_multicall(node, &tag).await?,
                    number: Some(block.number),
                    tag,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The node's newest block.
    pub(super) async fn latest(node: &Node) -> Result<Self, RpcError> {
        let tag = json!("latest");
        Ok(Self {
            has_multicall: has_multicall(node, &tag).await?,
            number: None,
            tag,
        })
    }

    /// Makes these calls, `per_call` of them in one call of Multicall3: [`HEAVY`] or [`LIGHT`].
    pub(super) async fn call(
        &self,
        node: &Node,
        calls: &[Call],
        per_call: usize,
    ) -> Result<Vec<Outcome>, RpcError> {
        let pieces: Vec<Vec<Outcome>> = stream::iter(calls.chunks(per_call).map(<[_]>::to_vec))
            .map(|calls| async move {
                let together = match self.has_multicall {
                    true => self.together(node, &calls).await?,
                    false => None,
                };
                match together {
                    Some(outcomes) => Ok(outcomes),
                    None => self.one_by_one(node, &calls).await,
                }
            })
            .buffered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(pieces.into_iter().flatten().collect())
    }

    /// All of these in one call; `None` where that did not work, which says nothing about any one of them.
    async fn together(
        &self,
        node: &Node,
        calls: &[Call],
    ) -> Result<Option<Vec<Outcome>>, RpcError> {
        let asked = calls.iter().map(|call| Call3 {
            target: call.to,
            allowFailure: true,
            callData: call.data.clone(),
        });
        let call = aggregate3Call {
            calls: asked.collect(),
        };
        let request = json!({ "to": MULTICALL, "data": Bytes::from(call.abi_encode()) });
        let answer: Bytes = match node.call("eth_call", (request, &self.tag)).await {
            Ok(answer) => answer,
            Err(RpcError::Refused { message }) => {
                debug!(message, "Multicall3 failed");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let returned = aggregate3Call::abi_decode_returns_validate(&answer).ok();
        let returned = returned.filter(|returned| returned.len() == calls.len());
        Ok(returned.map(|returned| {
            let outcome = |one: Returned| match one.success {
                true => Outcome::Said(one.returnData),
                false => Outcome::Refused,
            };
            returned.into_iter().map(outcome).collect()
        }))
    }

    /// Each of these by itself.
    pub(super) async fn one_by_one(
        &self,
        node: &Node,
        calls: &[Call],
    ) -> Result<Vec<Outcome>, RpcError> {
        let request = |call: &Call| json!([{ "to": call.to, "data": call.data }, self.tag]);
        let asked = (0..).zip(calls.iter().map(request)).collect();
        let mut answers: Answers<Bytes> = many(node, "eth_call", asked, PER_BATCH).await?;
        (0..calls.len() as u64)
            .map(|id| match answers.remove(&id) {
                Some(Ok(answer)) => Ok(Outcome::Said(answer)),
                Some(Err(RpcError::Refused { .. })) => Ok(Outcome::Refused),
                Some(Err(error)) => Err(error),
                None => Err(RpcError::unavailable("it left a call unanswered")),
            })
            .collect()
    }

    /// Whether everything that was answered was about this block.
    pub(super) async fn check(&self, node: &Node, block: Checkpoint) -> Result<(), RpcError> {
        let Some(number) = self.number else {
            return Ok(());
        };
        let now = read::header_at(node, number).await?;
        match now.map(|header| header.checkpoint()) == Some(block) {
            true => Ok(()),
            false => Err(RpcError::unavailable(
                "its chain changed while it was asked",
            )),
        }
    }
}

async fn has_multicall(node: &Node, at: &Value) -> Result<bool, RpcError> {
    let code: Bytes = node.call("eth_getCode", (MULTICALL, at)).await?;
    Ok(!code.is_empty())
}
