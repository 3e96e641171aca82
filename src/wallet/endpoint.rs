//! One of `rpc_urls`, as the signature checks see it: its connection, and when it failed last.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use url::Url;

use super::signature::CheckError;
use crate::chain::node::RpcError;
use crate::chain::node::connection::{Node, host};
use crate::chain::node::error::LONGEST_ASKED;

/// The longest that connecting waits for a rate limit to pass before the next node is asked instead.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);

/// A URL and what the checks before this one found there.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// May hold a key.
    url: Url,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that the next check uses.
    node: Option<Arc<Node>>,
    /// When it failed last; `None` once it has worked again.
    failed: Option<Instant>,
    /// Until when it asked to be left alone.
    quiet_until: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(url: &Url) -> Self {
        Self {
            url: url.clone(),
            state: Mutex::default(),
        }
    }

    /// The connection of the check before, or a new one. No check waits for another one's attempt to connect: of several
    /// new connections the last is kept.
    pub(super) async fn connect(&self, chain_id: u64) -> Result<Arc<Node>, RpcError> {
        let known = self.state().node.clone();
        if let Some(node) = known {
            return Ok(node);
        }
        let node = Arc::new(Node::connect(&self.url, chain_id, RATE_LIMIT_WAIT).await?);
        self.state().node = Some(Arc::clone(&node));
        Ok(node)
    }

    /// Whether it failed less than `time` ago and has not worked since.
    pub(super) fn failed_within(&self, time: Duration) -> bool {
        let failed = self.state().failed;
        failed.is_some_and(|at| at.elapsed() < time)
    }

    /// Whether it asked not to be called now.
    pub(super) fn is_quiet(&self) -> bool {
        let until = self.state().quiet_until;
        until.is_some_and(|at| at > Instant::now())
    }

    /// It gave a verdict.
    pub(super) fn worked(&self) {
        self.state().failed = None;
    }

    /// It has not answered in the time after which the next node is asked.
    pub(super) fn is_slow(&self) {
        let was_failing = self.state().failed.replace(Instant::now()).is_some();
        if !was_failing {
            warn!(
                rpc = host(&self.url),
                "RPC node is slow to check a signature"
            );
        }
    }

    /// It gave no verdict.
    pub(super) fn failed(&self, error: &CheckError) {
        let was_failing = {
            let mut state = self.state();
            if let CheckError::Node(error) = error {
                // The connection may be lost; a node that answers, only too early, keeps its own.
                state.node = None;
                if let RpcError::RateLimited {
                    retry_after: Some(wait),
                    ..
                } = error
                {
                    state.quiet_until = Some(Instant::now() + (*wait).min(LONGEST_ASKED));
                }
            }
            state.failed.replace(Instant::now()).is_some()
        };
        let rpc = host(&self.url);
        if was_failing {
            debug!(rpc, %error, "RPC node still cannot check a signature");
        } else {
            warn!(rpc, %error, "RPC node could not check a signature");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("never poisoned: no panic while held")
    }
}
