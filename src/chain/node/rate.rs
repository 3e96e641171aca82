//! One node's rate limits: what an answer says of them, and the waits that they ask for. They hold for all calls on the node.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::connection::{CALL_TIMEOUT, Node};
use super::error::RpcError;
use super::quiet::Quiet;

/// How long calls that are refused in unknown words are made again, ever more rarely: some providers limit the rate so.
const UNEXPLAINED: Duration = Duration::from_secs(10);
/// The same where another node could be used instead.
const UNEXPLAINED_WITH_OTHERS: Duration = Duration::from_secs(1);
/// JSON-RPC's own codes for a call that the node will never serve.
const NEVER_SERVED: [i64; 3] = [-32_600, -32_601, -32_602];

impl Node {
    /// Keeps what the answer to a call, sent at `sent`, says about the rate of calls: it holds for all calls on the node.
    pub(super) fn note(&self, sent: Instant, error: Option<&RpcError>) {
        match error {
            None => self.quiet().answered(sent),
            Some(RpcError::RateLimited {
                retry_after,
                message,
            }) => self
                .quiet()
                .refused(sent, Instant::now(), *retry_after, message),
            Some(_) => {}
        }
    }

    /// Whether a call that was sent at `sent`, and is being made `since`, was refused in unknown words and is to be made again:
    /// then it counts as a rate limit. What a contract's view answers with may be its own words.
    pub(super) fn waits_out(
        &self,
        method: &str,
        error: &RpcError,
        sent: Instant,
        since: Instant,
    ) -> bool {
        let RpcError::Other { code, message } = error else {
            return false;
        };
        let longest = match self.patience() < CALL_TIMEOUT {
            true => UNEXPLAINED_WITH_OTHERS,
            false => UNEXPLAINED,
        };
        let waits =
            method != "eth_call" && !NEVER_SERVED.contains(code) && since.elapsed() < longest;
        if waits {
            self.quiet().refused(sent, Instant::now(), None, message);
        }
        waits
    }

    /// Returns when no rate limit forbids a request that has been waiting since `started`; fails when that is longer off than
    /// the node's patience.
    pub(crate) async fn wait_out_quiet(&self, started: Instant) -> Result<(), RpcError> {
        loop {
            let now = Instant::now();
            let until = match self.quiet().until(now) {
                None => return Ok(()),
                Some((until, message)) => {
                    if until.saturating_duration_since(started) > self.patience() {
                        return Err(RpcError::RateLimited {
                            retry_after: Some(until - now),
                            message: message.to_owned(),
                        });
                    }
                    until
                }
            };
            tokio::time::sleep_until(until.into()).await;
        }
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.quiet
            .lock()
            .expect("never poisoned: no panic while held")
    }
}
