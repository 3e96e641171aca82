//! What ends the following, and how long it may take without progress.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::Progress;
use super::follow::Follower;

/// How long an index waits for a node that can be used: whoever started it is told then, instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// What ends the following.
pub(super) enum Goal {
    /// The stop signal.
    Follow,
    /// Having come to a block.
    Index {
        to: Option<u64>,
        progress: Box<dyn Fn(Progress) + Send + Sync>,
    },
}

impl Goal {
    /// Returns when no node could be used for too long; never for the service, which waits for better days.
    pub(super) async fn out_of_patience(&self) {
        match self {
            Self::Follow => std::future::pending().await,
            Self::Index { .. } => tokio::time::sleep(PATIENCE).await,
        }
    }
}

impl fmt::Debug for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follow => "Follow",
            Self::Index { .. } => "Index",
        })
    }
}

impl Follower {
    /// Ends an index that has been failing for too long without storing anything.
    pub(super) fn check_patience(
        &self,
        failing: &mut Option<(u64, Instant)>,
    ) -> anyhow::Result<()> {
        let commits = self.committer.ledger.commits();
        match failing {
            Some((before, since)) if *before == commits => {
                if matches!(self.goal, Goal::Index { .. }) && since.elapsed() > PATIENCE {
                    return Err(self.unusable());
                }
            }
            _ => *failing = Some((commits, Instant::now())),
        }
        Ok(())
    }

    pub(super) fn unusable(&self) -> anyhow::Error {
        anyhow!(
            "no node of chain.rpc_urls could be used for {} seconds ({})",
            PATIENCE.as_secs(),
            self.status
                .borrow()
                .trouble
                .as_deref()
                .unwrap_or("none answered"),
        )
    }
}
