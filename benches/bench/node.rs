//! The node of the backfill rows, in a process of its own.

use std::sync::Arc;
use std::time::Duration;

use amser_roles::sandbox::log_node::{
    LogNode, LogNodeOptions, RenderedChain, Story, StorySpec, Wording,
};
use serde::{Deserialize, Serialize};

use crate::process;

/// First block of every benchmark's chain.
pub(crate) const FIRST: u64 = 20_000_000;

/// What chain to serve, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeTask {
    pub(crate) blocks: usize,
    pub(crate) logs: usize,
    /// Logs in a spike of this many blocks in the middle, on top.
    pub(crate) spike: Option<(usize, usize)>,
    pub(crate) modules: usize,
    pub(crate) block_timestamps: bool,
    pub(crate) latency_ms: u64,
    pub(crate) max_results: Option<usize>,
    pub(crate) max_blocks: Option<u64>,
    /// Index into `WORDINGS`.
    pub(crate) wording: usize,
    /// Where nothing but payments is told: the number of subscriptions.
    pub(crate) subscriptions: Option<u64>,
    pub(crate) requests_per_second: Option<u64>,
}

impl NodeTask {
    /// A node without limits.
    pub(crate) fn new(blocks: usize, logs: usize) -> Self {
        Self {
            blocks,
            logs,
            spike: None,
            modules: 4,
            block_timestamps: true,
            latency_ms: 20,
            max_results: None,
            max_blocks: None,
            wording: 0,
            subscriptions: None,
            requests_per_second: None,
        }
    }

    pub(crate) fn story(&self) -> Story {
        match self.subscriptions {
            Some(subscriptions) => Story::of_payments(self.spec(), subscriptions),
            None => Story::new(self.spec()),
        }
    }

    fn spec(&self) -> StorySpec {
        let mut logs_per_block: Vec<usize> = (0..self.blocks)
            .map(|block| (block + 1) * self.logs / self.blocks - block * self.logs / self.blocks)
            .collect();
        if let Some((logs, blocks)) = self.spike {
            for block in 0..blocks {
                logs_per_block[self.blocks / 2 + block] += logs / blocks;
            }
        }
        StorySpec {
            first_block: FIRST,
            logs_per_block,
            modules: self.modules,
            foreign_percent: 0,
        }
    }

    pub(crate) fn last_block(&self) -> u64 {
        FIRST + self.blocks as u64 - 1
    }
}

pub(crate) async fn task(arguments: &[String]) -> anyhow::Result<()> {
    let task: NodeTask = process::options(arguments)?;
    let chain = RenderedChain::render(
        FIRST,
        task.last_block(),
        task.story(),
        task.block_timestamps,
    );
    let wordings: [Wording; 8] = amser_roles::sandbox::log_node::WORDINGS;
    let options = LogNodeOptions {
        latency: Duration::from_millis(task.latency_ms),
        max_results: task.max_results,
        max_blocks: task.max_blocks,
        wording: wordings[task.wording],
        requests_per_second: task.requests_per_second,
        ..LogNodeOptions::default()
    };
    let node = LogNode::start(Arc::new(chain), options).await?;
    process::say(&node.url())?;
    // The parent kills this process when it has measured.
    std::future::pending().await
}
