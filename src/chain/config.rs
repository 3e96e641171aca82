//! The follower's configuration, and its progress reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;
use url::Url;

use crate::abi::Layouts;
use crate::domain::{Checkpoint, FAILURE_REASONS, ModuleAddress};

pub use crate::domain::LOCAL_CHAIN;
/// How often the newest blocks are read a second time. Twenty seconds are ten blocks of Base.
pub const SECOND_LOOK_EVERY: Duration = Duration::from_secs(20);
/// How closely a module's deployment is searched for, in blocks: reading blocks without logs is cheap.
pub const DEPLOYMENT_WITHIN: u64 = 20_000;
/// How often a long reading says where it is.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// Where and how to follow (`[chain]` of the configuration).
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// `ws(s)://` or `http(s)://`, in order of preference.
    pub rpc_urls: Vec<Url>,
    /// What every node must answer to `eth_chainId`.
    pub chain_id: u64,
    /// Blocks on top of an event's block before it counts.
    pub confirmations: u64,
    /// First block to read for every module; by default each module's deployment.
    pub start_block: Option<u64>,
    /// Where the fields of events and plans are found.
    pub layouts: Arc<Layouts>,
    /// Codes of `ExecutionFailed` that count as a failed payment.
    pub failure_reasons: BTreeSet<u8>,
    /// How often the newest blocks are read a second time: [`SECOND_LOOK_EVERY`], less in tests.
    pub second_look_every: Duration,
    /// How closely a module's deployment is searched for, in blocks: [`DEPLOYMENT_WITHIN`], less in tests.
    pub deployment_within: u64,
}

impl ChainConfig {
    /// These nodes of this chain; for the rest the defaults, without confirmations.
    pub fn new(rpc_urls: Vec<Url>, chain_id: u64) -> Self {
        Self {
            rpc_urls,
            chain_id,
            confirmations: 0,
            start_block: None,
            layouts: Layouts::built_in(),
            failure_reasons: FAILURE_REASONS.into(),
            second_look_every: SECOND_LOOK_EVERY,
            deployment_within: DEPLOYMENT_WITHIN,
        }
    }

    /// Whether the chain is one of local nodes: there a chain that starts over is no fault, and tests make time.
    pub fn is_local(&self) -> bool {
        self.chain_id == LOCAL_CHAIN
    }
}

/// What `index` has done.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexReport {
    /// Events stored since the start.
    pub events: u64,
    /// The store's cursor.
    pub cursor: Checkpoint,
    /// Wall time.
    pub seconds: f64,
    /// Modules of which nothing was read, each with one sentence that says why.
    pub unread: BTreeMap<ModuleAddress, String>,
}

/// What ends the following.
#[derive(Clone)]
pub(super) enum Goal {
    /// The stop signal.
    Follow,
    /// Reaching a block (by default the confirmed tip).
    Index {
        to: Option<u64>,
        progress: OnProgress,
    },
}

/// Hears how far it has come.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far a long reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The first block to read.
    pub from: u64,
    /// Everything up to here is in the store.
    pub at: u64,
    /// The last block to read.
    pub to: u64,
    /// Events stored since the start.
    pub events: u64,
}

/// Says it in the log now and then, where no progress bar does.
#[derive(Debug)]
pub struct ProgressLog {
    said: Instant,
}

impl ProgressLog {
    /// A reading begins; what takes less than a few seconds is not worth a line.
    pub fn begin() -> Self {
        Self {
            said: Instant::now(),
        }
    }

    /// The reading has come this far.
    pub fn note(&mut self, progress: Progress) {
        if self.said.elapsed() >= NOTE_EVERY {
            let Progress { at, to, events, .. } = progress;
            info!(block = at, of = to, events, "reading the chain");
            self.said = Instant::now();
        }
    }
}
