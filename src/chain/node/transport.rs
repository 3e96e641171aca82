//! The two ways to a node, as alloy transports.
//!
//! Over HTTP alloy's own transport drops `Retry-After` when the error has a JSON-RPC body, and puts the whole URL, which
//! may hold a key, into its errors and spans. Over websockets alloy would reconnect by itself, behind the follower's back.

use std::task::{Context, Poll};

use alloy::pubsub::{ConnectionHandle, PubSubConnect};
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::ws::WsConnect;
use alloy::transports::{TransportError, TransportErrorKind, TransportFut, TransportResult};
use tower_service::Service;
use url::Url;

use super::error::{RpcError, retry_after};

/// JSON-RPC over HTTP posts.
#[derive(Clone, Debug)]
pub(crate) struct HttpTransport {
    /// Shared with the streamed downloads of logs, so that both use the same connections.
    pub(crate) client: reqwest::Client,
    /// Where to post; may hold a key.
    pub(crate) url: Url,
}

impl HttpTransport {
    async fn post(self, packet: RequestPacket) -> TransportResult<ResponsePacket> {
        let refused = |error| TransportErrorKind::custom(RpcError::from_client(error));
        let response = self
            .client
            .post(self.url)
            .json(&packet)
            .send()
            .await
            .map_err(refused)?;
        let status = response.status();
        let wait = retry_after(response.headers());
        let body = response.bytes().await.map_err(refused)?;
        if !status.is_success() {
            return Err(TransportErrorKind::custom(RpcError::from_status(
                status, wait, &body,
            )));
        }
        serde_json::from_slice(&body)
            .map_err(|error| TransportError::deser_err(error, String::from_utf8_lossy(&body)))
    }
}

impl Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> TransportFut<'static> {
        Box::pin(self.clone().post(packet))
    }
}

/// A websocket that stays closed once it is closed: the pool decides when and where to connect again.
#[derive(Clone, Debug)]
pub(crate) struct OneConnection(pub(crate) WsConnect);

impl PubSubConnect for OneConnection {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str("connection lost"))
    }
}
