//! One of `rpc_urls`, as the signature checks see it: its connection, and when it failed last.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use url::Url;

use super::signature::CheckError;
use crate::chain::node::error::LONGEST_ASKED;
use crate::chain::node::{Endpoint, Node, RpcError};

/// The longest that connecting waits for a rate limit to pass before the next node is asked instead.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);

/// A node that may be asked, and what the checks before this one found there.
#[derive(Debug)]
pub(super) struct Candidate {
    endpoint: Endpoint,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When it failed last; `None` once it has worked again.
    failed: Option<Instant>,
    /// Until when it asked to be left alone.
    quiet_until: Option<Instant>,
}

impl Candidate {
    pub(super) fn new(url: &Url, chain_id: u64) -> Self {
        Self {
            endpoint: Endpoint::new(url, chain_id, RATE_LIMIT_WAIT),
            state: Mutex::default(),
        }
    }

    pub(super) async fn connect(&self) -> Result<Arc<Node>, RpcError> {
        self.endpoint.connect().await
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
            let rpc = self.endpoint.host();
            warn!(rpc, "RPC node is slow to check a signature");
        }
    }

    /// It gave no verdict.
    pub(super) fn failed(&self, error: &CheckError) {
        let was_failing = {
            let mut state = self.state();
            if let CheckError::Node(error) = error {
                match error {
                    // A node that answers, only too early, keeps its connection.
                    RpcError::RateLimited { retry_after, .. } => {
                        if let Some(wait) = retry_after {
                            state.quiet_until = Some(Instant::now() + (*wait).min(LONGEST_ASKED));
                        }
                    }
                    _ => self.endpoint.reconnect(),
                }
            }
            state.failed.replace(Instant::now()).is_some()
        };
        let rpc = self.endpoint.host();
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
