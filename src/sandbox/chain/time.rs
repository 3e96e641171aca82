//! Blocks, the chain's clock, and chains that change their mind.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::B256;
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::TransactionRequest;
use alloy::rpc::types::anvil::{MineOptions, ReorgOptions, TransactionData};
use anyhow::{Context, Result};

use super::{LocalChain, NodeKind};

/// The newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its timestamp in Unix seconds: the chain's clock.
    pub timestamp: u64,
}

impl LocalChain {
    /// The newest block.
    ///
    /// # Errors
    /// When the chain does not answer; the same holds for every function here.
    pub async fn head(&self) -> Result<Head> {
        self.block(BlockNumberOrTag::Latest).await
    }

    /// The block with this number on the present chain.
    pub async fn block(&self, number: impl Into<BlockNumberOrTag>) -> Result<Head> {
        let number = number.into();
        let block = self
            .provider
            .get_block_by_number(number)
            .await
            .context("read a block")?;
        let header = block
            .with_context(|| format!("there is no block {number}"))?
            .header;
        Ok(Head {
            number: header.number,
            hash: header.hash,
            timestamp: header.timestamp,
        })
    }

    /// Makes this many blocks, empty but for what is pending.
    pub async fn mine(&self, blocks: u64) -> Result<Head> {
        if self.kind != NodeKind::Anvil {
            return self.mine_on_other(blocks).await;
        }
        self.provider
            .anvil_mine(Some(blocks), None)
            .await
            .context("mine blocks")?;
        self.head().await
    }

    /// Makes one block this many seconds after the newest one; the clock runs on from there.
    pub async fn advance_time(&self, seconds: u64) -> Result<Head> {
        let head = self.head().await?;
        self.advance_to(head.timestamp.saturating_add(seconds))
            .await
    }

    /// Makes one block with this timestamp, which must not be earlier than the newest block's. Nodes other than anvil may
    /// make it a few seconds later.
    pub async fn advance_to(&self, timestamp: u64) -> Result<Head> {
        if self.kind != NodeKind::Anvil {
            return self.advance_other_to(timestamp).await;
        }
        let options = MineOptions::Options {
            timestamp: Some(timestamp),
            blocks: Some(1),
        };
        self.provider
            .evm_mine(Some(options))
            .await
            .context("mine a block at a given time")?;
        self.head().await
    }

    /// Replaces the newest `depth` blocks by as many others: each transaction goes into the block that its number
    /// says, counted from 0 at the first replaced block; the rest are empty, and what was in the old blocks is gone.
    ///
    /// The clock goes back with the chain: the first new block comes one step after the last kept one.
    pub async fn reorg(
        &self,
        depth: u64,
        transactions: Vec<(TransactionRequest, u64)>,
    ) -> Result<Head> {
        let tx_block_pairs = transactions
            .into_iter()
            .map(|(request, block)| (TransactionData::JSON(request), block))
            .collect();
        self.provider
            .anvil_reorg(ReorgOptions {
                depth,
                tx_block_pairs,
            })
            .await
            .context("reorganise the chain")?;
        self.head().await
    }

    /// Replaces the newest `depth` blocks by others that hold nothing of the protocol. The first holds a transaction that
    /// does nothing: empty blocks would be the same as empty ones before, and nothing would have changed.
    pub async fn reorg_to_others(&self, depth: u64) -> Result<Head> {
        let keeper = super::keeper();
        let nothing = TransactionRequest::default()
            .from(keeper)
            .to(keeper)
            .input(rand::random::<[u8; 8]>().to_vec().into())
            .gas_limit(100_000)
            .gas_price(0);
        self.reorg(depth, vec![(nothing, 0)]).await
    }

    /// Removes the newest `depth` blocks and puts nothing in their place: the head jumps back.
    pub async fn rollback(&self, depth: u64) -> Result<Head> {
        self.provider
            .anvil_rollback(Some(depth))
            .await
            .context("roll the chain back")?;
        self.head().await
    }

    /// From now on makes a block every so many seconds; 0 makes one for each transaction again.
    pub async fn set_block_time(&self, seconds: u64) -> Result<()> {
        if seconds == 0 {
            return self
                .provider
                .anvil_set_auto_mine(true)
                .await
                .context("mine each transaction");
        }
        self.provider
            .anvil_set_interval_mining(seconds)
            .await
            .context("mine at intervals")
    }

    /// Makes no block until `mine`, an advance, or `set_block_time` is called. Transactions then wait in the pool, so
    /// send them from another task.
    pub async fn stop_mining(&self) -> Result<()> {
        self.provider
            .anvil_set_auto_mine(false)
            .await
            .context("stop mining")
    }

    pub(super) async fn set_timestamp_step(&self, seconds: u64) -> Result<()> {
        self.provider
            .anvil_set_block_timestamp_interval(seconds)
            .await
            .context("set the step between timestamps")
    }
}
