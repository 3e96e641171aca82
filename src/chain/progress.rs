//! How far a long reading has come, for a progress bar or for the log.

use std::time::{Duration, Instant};

use tracing::info;

/// How often a long reading says where it is.
const EVERY: Duration = Duration::from_secs(5);

/// How far the reading has come.
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
        if self.said.elapsed() >= EVERY {
            let Progress { at, to, events, .. } = progress;
            info!(block = at, of = to, events, "reading the chain");
            self.said = Instant::now();
        }
    }
}
