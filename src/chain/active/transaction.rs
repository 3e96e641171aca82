//! In which block a transaction is. Only says where to look in the followed chain: nothing is concluded from it.

use alloy::primitives::{B256, U64};
use serde::Deserialize;

use super::Views;
use crate::chain::node::{Node, RpcError};
use crate::domain::Mined;

/// The parts of a receipt that are needed; chains differ in the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    block_number: Option<U64>,
    /// Missing on chains of before 2017, where it cannot be told.
    status: Option<U64>,
}

impl Views {
    /// In which block a transaction is by the most preferred node that has it; `None` where every node that answers has it in
    /// none.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn mined(&self, transaction: B256) -> anyhow::Result<Option<Mined>> {
        let permit = self.shared.rounds.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let mut said = Err(anyhow::anyhow!("rpc_urls is empty"));
        for endpoint in &self.shared.nodes {
            let asked = async {
                let node = endpoint.connect(self.shared.chain_id).await?;
                receipt(&node, transaction).await
            };
            match asked.await {
                Ok(Some(mined)) => return Ok(Some(mined)),
                Ok(None) => said = Ok(None),
                Err(error) => {
                    let why = endpoint.failed(&error);
                    said = said.map_err(|_| anyhow::anyhow!(why));
                }
            }
        }
        said
    }
}

async fn receipt(node: &Node, transaction: B256) -> Result<Option<Mined>, RpcError> {
    let receipt: Option<Receipt> = node
        .call("eth_getTransactionReceipt", (transaction,))
        .await?;
    let mined = |receipt: Receipt| {
        Some(Mined {
            block: receipt.block_number?.to(),
            succeeded: receipt.status.is_none_or(|status| !status.is_zero()),
        })
    };
    Ok(receipt.and_then(mined))
}
