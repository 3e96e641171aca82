//! One node: a connection that answered with the right chain id, and calls on it that always end.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use alloy::network::Ethereum;
use alloy::primitives::{B256, U64};
use alloy::providers::{DynProvider, Provider, RootProvider};
use alloy::pubsub::RawSubscription;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::transports::ws::{WebSocketConfig, WsConnect};
use alloy::transports::{RpcError as Transport, TransportError, TransportErrorKind};
use tracing::info;
use url::Url;

use super::error::{LONGEST_ASKED, RpcError};
use super::reconnect::Reconnect;
use super::stream::HttpLogs;
use super::transport::{HttpTransport, OneConnection};

/// Every call ends after this, answered or not.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Connecting, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A websocket that lost its other side without a word is closed after at most two of these.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The largest websocket message: a full answer of 10,000 logs is about 10 MB.
const LARGEST_MESSAGE: usize = 256 << 20;
/// Tries of a call over HTTP before the node counts as failed: a load balancer answers a 502 now and then.
const TRIES: u32 = 3;

/// A connected node.
pub(crate) struct Node {
    /// May hold a key.
    url: Url,
    host: String,
    client: RpcClient,
    http: Option<HttpTransport>,
    chain_id: u64,
    patience: Duration,
    quiet_until: Mutex<Option<Instant>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the client nor the transport: their URL may hold a key.
        f.debug_struct("Node")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Connects and asks for the chain id. `patience` is the longest wait that a rate limit may ask for before the call
    /// fails instead: short where another node could be used meanwhile.
    pub(crate) async fn connect(
        url: &Url,
        chain_id: u64,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        let (client, http) = if matches!(url.scheme(), "ws" | "wss") {
            (websocket(url).await?, None)
        } else {
            let http = HttpTransport {
                client: reqwest::Client::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .build()
                    .map_err(RpcError::from_client)?,
                url: url.clone(),
            };
            (RpcClient::new(http.clone(), false), Some(http))
        };
        let node = Self {
            url: url.clone(),
            host: host(url),
            client,
            http,
            chain_id,
            patience,
            quiet_until: Mutex::new(None),
        };
        node.check_chain().await?;
        Ok(node)
    }

    /// Fails when the node is on another chain, now: what answers behind a URL may be exchanged without a word.
    pub(crate) async fn check_chain(&self) -> Result<(), RpcError> {
        let actual: U64 = self.call("eth_chainId", ()).await?;
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
        let number: Result<U64, RpcError> = self.call("eth_blockNumber", ()).await;
        number.is_ok_and(|number| number.to::<u64>() >= height)
    }

    /// The longest that rate limits may make a call wait before it fails instead.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Host and port; never path or query.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Streamed downloads over the same HTTP connections; `None` over a websocket.
    pub(crate) fn http_logs(&self) -> Option<HttpLogs> {
        let http = self.http.as_ref()?;
        Some(HttpLogs::new(http.client.clone(), http.url.clone()))
    }

    /// An alloy provider on the same connection, for requests that the caller times and retries itself.
    pub(crate) fn provider(&self) -> DynProvider {
        RootProvider::<Ethereum>::new(self.client.clone()).erased()
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
            self.wait_out_quiet_since(started).await?;
            let request = self.client.request::<P, R>(method, params.clone());
            let (error, answered) = match tokio::time::timeout(CALL_TIMEOUT, request).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => (understand(&error), error.is_error_resp()),
                Err(_) => (timed_out(method), false),
            };
            match &error {
                RpcError::RateLimited { retry_after, .. } => {
                    let wait = schedule.failed(*retry_after);
                    self.be_quiet_for(wait);
                    if started.elapsed() + wait > self.patience {
                        return Err(error);
                    }
                }
                // An answer is an answer; only a request that was lost on the way is sent again.
                RpcError::Timeout { .. } | RpcError::Unavailable { .. }
                    if self.http.is_some() && !answered =>
                {
                    failures += 1;
                    if failures == TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(schedule.failed(None)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Runs a request that does not go through [`Node::call`], again after each rate limit within the node's
    /// patience.
    pub(crate) async fn waiting_out_limits<R, F>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<R, RpcError>
    where
        F: Future<Output = Result<R, RpcError>>,
    {
        let mut schedule = Reconnect::new();
        let started = Instant::now();
        loop {
            self.wait_out_quiet_since(started).await?;
            match request().await {
                Err(RpcError::RateLimited { retry_after, .. }) => {
                    self.be_quiet_for(schedule.failed(retry_after));
                }
                answered => return answered,
            }
        }
    }

    /// Subscribes to new heads; `None` where the transport or the node cannot, or a second connection is refused.
    ///
    /// They come over a connection of their own. On the one for calls they would come late from a node that leaves
    /// Nagle's algorithm on, as anvil does: it holds a head back until the answer before is acknowledged, and the kernel
    /// delays that acknowledgement by 40 ms on a connection that is also written to.
    pub(crate) async fn subscribe_heads(&self) -> Option<PushedHeads> {
        self.client.pubsub_frontend()?;
        // Many plans allow few connections, and some close the second one only when it is used. Whether the node is gone
        // altogether, the first call says.
        match self.subscribe().await {
            Ok(heads) => heads,
            Err(error) => {
                info!(rpc = self.host, %error, "no subscription to new heads; polling");
                None
            }
        }
    }

    async fn subscribe(&self) -> Result<Option<PushedHeads>, RpcError> {
        let connection = websocket(&self.url).await?;
        let Some(frontend) = connection.pubsub_frontend() else {
            return Ok(None);
        };
        let subscribing = async {
            let id: B256 = connection
                .request("eth_subscribe", ("newHeads",))
                .map_meta(|mut meta| {
                    meta.set_is_subscription();
                    meta
                })
                .await?;
            frontend.get_subscription(id).await
        };
        let subscription = tokio::time::timeout(CALL_TIMEOUT, subscribing)
            .await
            .map_err(|_| timed_out("eth_subscribe"))?
            .map_err(|error| understand(&error))?;
        Ok(Some(PushedHeads {
            subscription,
            _connection: connection,
        }))
    }

    /// Every call on this node waits until then: `Retry-After` holds for all of them, not for the refused one alone.
    pub(crate) fn be_quiet_for(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_ASKED);
        let mut quiet = self
            .quiet_until
            .lock()
            .expect("never poisoned: no panic while held");
        if quiet.is_none_or(|at| at < until) {
            *quiet = Some(until);
        }
    }

    /// Returns when no rate limit forbids a request; fails when that is longer off than the node's patience.
    pub(crate) async fn wait_out_quiet(&self) -> Result<(), RpcError> {
        self.wait_out_quiet_since(Instant::now()).await
    }

    /// The same for a request that has been waiting since `started`.
    async fn wait_out_quiet_since(&self, started: Instant) -> Result<(), RpcError> {
        loop {
            let until = *self
                .quiet_until
                .lock()
                .expect("never poisoned: no panic while held");
            let now = Instant::now();
            match until {
                Some(at) if at > now => {
                    if at.saturating_duration_since(started) > self.patience {
                        return Err(RpcError::RateLimited {
                            retry_after: Some(at - now),
                            message: "it asked to be left alone".to_owned(),
                        });
                    }
                    tokio::time::sleep_until(at.into()).await;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// New heads as a node pushes them.
pub(crate) struct PushedHeads {
    pub(crate) subscription: RawSubscription,
    /// Closed when nobody holds it.
    _connection: RpcClient,
}

impl fmt::Debug for PushedHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As for Node.
        f.debug_struct("PushedHeads").finish_non_exhaustive()
    }
}

async fn websocket(url: &Url) -> Result<RpcClient, RpcError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let connect = WsConnect::new(url.as_str())
        .with_config(config)
        .with_keepalive_interval(KEEPALIVE);
    let connecting = RpcClient::connect_pubsub(OneConnection(connect));
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| timed_out("connecting"))?
        .map_err(|error| understand(&error))
}

/// What a transport's error means; our own HTTP transport has already said.
pub(crate) fn understand(error: &TransportError) -> RpcError {
    match error {
        Transport::Transport(TransportErrorKind::Custom(cause)) => cause
            .downcast_ref::<RpcError>()
            .cloned()
            .unwrap_or_else(|| RpcError::from_transport(error)),
        _ => RpcError::from_transport(error),
    }
}

fn timed_out(what: &str) -> RpcError {
    RpcError::Timeout {
        message: format!("{what} was not answered in time"),
    }
}

/// Host and port of a URL: all of it that may be shown.
pub(crate) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "(no host)".to_owned(),
    }
}
