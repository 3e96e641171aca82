//! One node: a connection that answered with the right chain id, and calls on it that always end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use alloy::primitives::U64;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use tracing::info;
use url::Url;

pub(crate) use super::address::host;
use super::address::without_keys;
use super::answer::Body;
use super::error::RpcError;
use super::quiet::Quiet;
use super::range_limit::RangeLimit;
use super::reconnect::Reconnect;
use super::stream::{self, LogsAnswer, OnLog};
use super::transport::HttpTransport;
use super::websocket::{self, End, PushedHeads};
use crate::chain::filter::LogQuery;
use crate::chain::logs::Log;

/// Every call ends after this, answered or not.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of a call over HTTP before the node counts as failed: a load balancer answers a 502 now and then.
const TRIES: u32 = 3;
/// The same for a call that was not answered in time, where no other node could be used instead.
const TRIES_TIMED_OUT: u32 = 2;

/// A connected node.
pub struct Node {
    /// May hold a key.
    url: Url,
    host: String,
    transport: Transport,
    /// Why the websocket is closed, once it is.
    end: End,
    chain_id: u64,
    patience: Duration,
    /// Used by `rate` alone.
    pub(super) quiet: Mutex<Quiet>,
    range_limit: Arc<Mutex<RangeLimit>>,
    refuses_batches: AtomicBool,
}

enum Transport {
    Http(HttpTransport),
    Websocket(RpcClient),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the transport: its URL may hold a key.
        f.debug_struct("Node")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Connects and asks for the chain id. `patience` is the longest wait that a rate limit may ask for before the call
    /// fails instead: short where another node could be used meanwhile.
    ///
    /// # Errors
    /// When it cannot be reached, or is on another chain.
    pub async fn connect(url: &Url, chain_id: u64, patience: Duration) -> Result<Self, RpcError> {
        let end = End::default();
        let transport = match url.scheme() {
            "ws" | "wss" => Transport::Websocket(websocket::connect(url, &end).await?),
            _ => Transport::Http(HttpTransport::new(url)?),
        };
        let node = Self {
            url: url.clone(),
            host: host(url),
            transport,
            end,
            chain_id,
            patience,
            quiet: Mutex::default(),
            range_limit: Arc::default(),
            refuses_batches: AtomicBool::new(false),
        };
        node.check_chain().await?;
        Ok(node)
    }

    /// Fails when the node is on another chain now: a URL may lead to another node than before.
    pub(crate) async fn check_chain(&self) -> Result<(), RpcError> {
        let actual: U64 = self.call("eth_chainId", [(); 0]).await?;
        if actual.to::<u64>() == self.chain_id {
            return Ok(());
        }
        Err(RpcError::WrongChain {
            expected: self.chain_id,
            actual: actual.to(),
        })
    }

    /// Whether the node has this block, now.
    pub(crate) async fn is_at(&self, height: u64) -> bool {
        let number: Result<U64, RpcError> = self.call("eth_blockNumber", [(); 0]).await;
        number.is_ok_and(|number| number.to::<u64>() >= height)
    }

    /// The longest that rate limits may make a call wait before it fails instead.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Keeps what is learned of the range limit here, for the connections that come after this one.
    pub(super) fn share_range_limit(&mut self, known: &Arc<Mutex<RangeLimit>>) {
        self.range_limit = Arc::clone(known);
    }

    /// How many blocks one call for logs may span, as far as is known.
    pub(crate) fn range_limit(&self) -> MutexGuard<'_, RangeLimit> {
        let limit = self.range_limit.lock();
        limit.expect("never poisoned: no panic while held")
    }

    /// Whether this connection, a websocket, is closed: no call on it will be answered.
    pub(crate) fn is_closed(&self) -> bool {
        self.end.get().is_some()
    }

    /// Host and port; never path or query.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The HTTP transport; `None` over a websocket.
    pub(super) fn http(&self) -> Option<&HttpTransport> {
        match &self.transport {
            Transport::Http(http) => Some(http),
            Transport::Websocket(_) => None,
        }
    }

    /// Whether the node was seen to refuse batches of calls.
    pub(super) fn refuses_batches(&self) -> bool {
        self.refuses_batches.load(Ordering::Relaxed)
    }

    /// From now on each call goes by itself.
    pub(super) fn refuse_batches(&self) {
        if !self.refuses_batches.swap(true, Ordering::Relaxed) {
            info!(
                rpc = self.host,
                "the node refuses batches; asking one by one"
            );
        }
    }

    /// One attempt at a call, without a limit of time: for callers that time and try again themselves.
    pub(crate) async fn ask<R: RpcRecv>(
        &self,
        method: &'static str,
        params: impl RpcSend,
    ) -> Result<R, RpcError> {
        let answer = self.request(method, params).await.flatten();
        answer.map_err(|error| self.explain(error, false))
    }

    /// The node's answer, or why it could not be asked.
    async fn request<R: RpcRecv>(
        &self,
        method: &'static str,
        params: impl RpcSend,
    ) -> Result<Result<R, RpcError>, RpcError> {
        match &self.transport {
            Transport::Http(http) => match http.ask(&stream::call(1, method, params)).await? {
                Body::One(answer) if answer.outcome.is_err() => Ok(answer.into_result()),
                Body::One(answer) => answer.into_result().map(Ok),
                Body::Batch(_) => Err(RpcError::unavailable("it answered one call with a list")),
            },
            Transport::Websocket(client) => {
                let answer = client.request(method, params).await;
                Ok(answer.map_err(|error| RpcError::from_transport(&error)))
            }
        }
    }

    /// One call. Waits out rate limits within the node's patience; over HTTP a lost request is tried again.
    pub(crate) async fn call<P, R>(&self, method: &'static str, params: P) -> Result<R, RpcError>
    where
        P: RpcSend,
        R: RpcRecv,
    {
        let mut schedule = Reconnect::new();
        let started = Instant::now();
        let mut failures = 0;
        loop {
            self.wait_out_quiet(started).await?;
            let sent = Instant::now();
            let request = self.request(method, params.clone());
            let (answer, is_answered) = match tokio::time::timeout(CALL_TIMEOUT, request).await {
                Ok(Ok(answer)) => (answer, true),
                Ok(Err(error)) => (Err(error), false),
                Err(_) => (Err(RpcError::timed_out(method)), false),
            };
            let answer = answer.map_err(|error| self.explain(error, false));
            self.note(sent, answer.as_ref().err());
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if matches!(error, RpcError::RateLimited { .. })
                || is_answered && self.waits_out(method, &error, sent, started)
            {
                continue;
            }
            // An answer is an answer; only a request that was lost on the way is sent again.
            let tries = match is_answered {
                true => 1,
                false => tries_of_lost(&error, self.patience),
            };
            failures += 1;
            if failures >= tries {
                return Err(error);
            }
            tokio::time::sleep(schedule.failed(None)).await;
        }
    }

    /// One attempt to read logs, each handed out as it arrives, until `on_log` breaks off; and, where `end` names a block,
    /// that block's header from the same node: in one batch with the logs, or on the same websocket.
    ///
    /// # Errors
    /// What the node refused, or why it could not be asked. Logs that were handed out before count for nothing then.
    pub async fn logs(
        &self,
        query: &LogQuery,
        end: Option<u64>,
        on_log: OnLog<'_>,
    ) -> Result<LogsAnswer, RpcError> {
        self.wait_out_quiet(Instant::now()).await?;
        let within = self.range_limit().first_byte_within(query.blocks.count());
        let sent = Instant::now();
        let was_open = !self.is_closed();
        let answer = match &self.transport {
            Transport::Http(http) => self.logs_over_http(http, query, end, within, on_log).await,
            Transport::Websocket(client) => {
                stream::by_websocket(client, query, end, within, on_log).await
            }
        };
        if answer.is_ok() {
            self.range_limit().took(sent.elapsed());
        }
        let answer = answer.map_err(|error| self.explain(error, was_open));
        self.note(sent, answer.as_ref().err());
        answer
    }

    async fn logs_over_http(
        &self,
        http: &HttpTransport,
        query: &LogQuery,
        end: Option<u64>,
        within: Duration,
        on_log: OnLog<'_>,
    ) -> Result<LogsAnswer, RpcError> {
        let Some(end) = end else {
            return stream::logs(http, query, within, on_log).await;
        };
        if self.refuses_batches() {
            return stream::logs_then_header(http, query, end, within, on_log).await;
        }
        let mut is_handed_out = false;
        let mut watched = |log: &Log<'_>| {
            is_handed_out = true;
            on_log(log)
        };
        match stream::logs_and_header(http, query, end, within, &mut watched).await {
            Err(RpcError::BatchRefused { .. }) if !is_handed_out => {
                let answer = stream::logs_then_header(http, query, end, within, on_log).await?;
                // The same calls work one by one: it was the batch that was refused.
                self.refuse_batches();
                Ok(answer)
            }
            Err(RpcError::BatchRefused { message }) => {
                self.refuse_batches();
                Err(RpcError::Unavailable { message })
            }
            answer => answer,
        }
    }

    /// The error without keys, and with the reason why the websocket is closed. A message too large for it means too many
    /// logs if logs were asked for (`is_for_logs`).
    pub(super) fn explain(&self, error: RpcError, is_for_logs: bool) -> RpcError {
        match (error, self.end.get()) {
            (RpcError::Unavailable { .. }, Some(closed)) if closed.is_too_large && is_for_logs => {
                RpcError::TooManyResults {
                    suggested: None,
                    message: closed.message.clone(),
                }
            }
            (RpcError::Unavailable { .. }, Some(closed)) => {
                RpcError::unavailable(closed.message.clone())
            }
            (error, _) => error,
        }
        .with_message(|sentence| without_keys(&self.url, sentence))
    }

    /// Subscribes to new heads; `None` where the transport or the node cannot, or a second connection is refused.
    ///
    /// They come over a connection of their own. On the one for calls they would come late from a node that leaves
    /// Nagle's algorithm on, as anvil does: it holds a head back until the answer before is acknowledged, and the kernel
    /// delays that acknowledgement by 40 ms on a connection that is also written to.
    pub(crate) async fn subscribe_heads(&self) -> Option<PushedHeads> {
        if matches!(self.transport, Transport::Http(_)) {
            return None;
        }
        // Many plans allow few connections. Whether the node is gone altogether, the first call says.
        match websocket::subscribe_heads(&self.url, CALL_TIMEOUT).await {
            Ok(heads) => heads,
            Err(error) => {
                info!(rpc = self.host, %error, "no subscription to new heads; polling");
                None
            }
        }
    }
}

/// How often a call is sent over HTTP before its loss counts.
fn tries_of_lost(error: &RpcError, patience: Duration) -> u32 {
    match error {
        // Where there is another node, this one is left as soon as it hangs.
        RpcError::Timeout { .. } if patience < CALL_TIMEOUT => 1,
        RpcError::Timeout { .. } => TRIES_TIMED_OUT,
        RpcError::Unavailable { .. } => TRIES,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_hangs_is_left_after_one_timeout_where_there_is_another() {
        let hangs = RpcError::timed_out("eth_chainId");
        assert_eq!(tries_of_lost(&hangs, Duration::from_secs(2)), 1);
        assert_eq!(tries_of_lost(&hangs, Duration::from_secs(120)), 2);
        let bad_gateway = RpcError::unavailable("HTTP 502");
        assert_eq!(tries_of_lost(&bad_gateway, Duration::from_secs(2)), 3);
    }
}
