//! What a log node is told: its latency, its limits and its faults.

use std::time::Duration;

use super::Wording;

/// How the node behaves.
#[derive(Clone, Debug)]
pub struct LogNodeOptions {
    /// Chain id that it tells.
    pub chain_id: u64,
    /// Time before each answer.
    pub latency: Duration,
    /// Most logs in one answer.
    pub max_results: Option<usize>,
    /// Most blocks in one call.
    pub max_blocks: Option<u64>,
    /// Calls for logs of more blocks are never answered.
    pub hangs_above: Option<u64>,
    /// Whose words its refusals are in.
    pub wording: Wording,
    /// What goes wrong with every so many-th call for logs.
    pub fault: Option<(u64, Fault)>,
    /// Requests that are answered in one second; a batch is one. The others get HTTP 429.
    pub requests_per_second: Option<u64>,
    /// Whether every header's bloom is full, as Base's nearly are: it excludes nothing.
    pub full_blooms: bool,
    /// The newest block at first, if that is not the chain's last one: see `LogNode::set_head`.
    pub head: Option<u64>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 429 with `Retry-After`.
    RateLimit,
    /// HTTP 503 without a body.
    Unavailable,
    /// `"result": null`.
    Null,
    /// The body ends in the middle of a log.
    Truncated,
    /// "Query timeout exceeded", for more than one block.
    Timeout,
    /// Every log is sent twice.
    Duplicates,
}

impl Default for LogNodeOptions {
    fn default() -> Self {
        Self {
            chain_id: 8453,
            latency: Duration::ZERO,
            max_results: None,
            max_blocks: None,
            hangs_above: None,
            wording: Wording::Geth,
            fault: None,
            requests_per_second: None,
            full_blooms: false,
            head: None,
        }
    }
}
