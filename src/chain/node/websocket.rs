//! One websocket to a node, as an alloy transport. It stays closed once it is closed: the pool decides when and where to
//! connect again. Unlike alloy's own it says why it was closed, reads answers in binary frames, and takes `"error": null`
//! for what it is.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use alloy::primitives::B256;
use alloy::pubsub::{ConnectionHandle, ConnectionInterface, PubSubConnect, RawSubscription};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{EthNotification, Id, PubSubItem};
use alloy::transports::ws::WsConnect;
use alloy::transports::{TransportErrorKind, TransportResult};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;
use url::Url;

use super::address::without_keys;
use super::answer::Answer;
use super::error::{RpcError, retry_after};
use super::transport::CONNECT_TIMEOUT;
use crate::http::{Socket, websocket};
use crate::loopback::is_loopback;

/// A websocket whose other side stopped answering is closed after at most two of these.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The largest message in bytes: a full answer of 10,000 logs is about 10 MB.
const LARGEST_MESSAGE: usize = 256 << 20;

/// Why a websocket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// A part of a sentence for a person.
    pub(super) message: String,
    /// Whether a message was too large for one of the sides.
    pub(super) is_too_large: bool,
}

/// Why the connection is closed, once it is.
pub(super) type End = Arc<OnceLock<Closed>>;

/// A client on a new websocket; `end` is set when it is closed.
pub(super) async fn connect(url: &Url, end: &End) -> Result<RpcClient, RpcError> {
    let connecting = RpcClient::connect_pubsub(OneConnection {
        url: url.clone(),
        end: End::clone(end),
    });
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| RpcError::timed_out("connecting"))?
        .map_err(|error| {
            RpcError::from_transport(&error).with_message(|words| without_keys(url, words))
        })
}

/// New heads as a node pushes them.
pub(crate) struct PushedHeads {
    pub(crate) subscription: RawSubscription,
    /// Closed when dropped.
    _connection: RpcClient,
}

impl fmt::Debug for PushedHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connection: its URL may hold a key.
        f.debug_struct("PushedHeads").finish_non_exhaustive()
    }
}

/// Subscribes to new heads over a connection of its own; `within` is the time for the answer.
pub(super) async fn subscribe_heads(
    url: &Url,
    within: Duration,
) -> Result<Option<PushedHeads>, RpcError> {
    let connection = connect(url, &End::default()).await?;
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
    let subscription = tokio::time::timeout(within, subscribing)
        .await
        .map_err(|_| RpcError::timed_out("eth_subscribe"))?
        .map_err(|error| RpcError::from_transport(&error))?;
    Ok(Some(PushedHeads {
        subscription,
        _connection: connection,
    }))
}

/// Connects once.
#[derive(Clone, Debug)]
struct OneConnection {
    /// May hold a key.
    url: Url,
    end: End,
}

impl PubSubConnect for OneConnection {
    fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        // Alloy's type moves a user and password of the URL into a header.
        let request = WsConnect::new(self.url.as_str())
            .into_client_request()
            .map_err(|error| TransportErrorKind::custom(not_connected(error)))?;
        let socket = websocket(request, Some(LARGEST_MESSAGE))
            .await
            .map_err(|error| TransportErrorKind::custom(not_connected(error)))?;
        let (handle, interface) = ConnectionHandle::new();
        tokio::spawn(serve(socket, interface, Arc::clone(&self.end)));
        Ok(handle)
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str("connection lost"))
    }
}

/// Why there is no connection. The URL, which may hold a key, is left out.
fn not_connected(error: Error) -> RpcError {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            RpcError::from_status(response.status(), retry_after(response.headers()), body)
        }
        Error::Io(error) => RpcError::unavailable(error.to_string()),
        Error::Tls(error) => RpcError::unavailable(error.to_string()),
        Error::Protocol(error) => RpcError::unavailable(error.to_string()),
        _ => RpcError::unavailable("the websocket could not be opened"),
    }
}

async fn serve(mut socket: Socket, mut interface: ConnectionInterface, end: End) {
    match run(&mut socket, &mut interface).await {
        Ok(()) => {
            // Nobody is left who could do anything about a failure.
            let _sent = socket.close(None).await;
        }
        Err(closed) => {
            debug!(reason = closed.message, "a websocket was closed");
            end.get_or_init(|| closed);
            interface.close_with_error();
        }
    }
}

/// Carries messages both ways until the client is dropped or the connection ends.
async fn run(socket: &mut Socket, interface: &mut ConnectionInterface) -> Result<(), Closed> {
    let mut awaits_pong = false;
    let mut ping_at = Instant::now() + KEEPALIVE;
    loop {
        tokio::select! {
            request = interface.recv_from_frontend() => {
                let Some(request) = request else {
                    return Ok(());
                };
                ping_at = Instant::now() + KEEPALIVE;
                let message = Message::text(request.get());
                socket.send(message).await.map_err(lost)?;
            }
            () = tokio::time::sleep_until(ping_at) => {
                if awaits_pong {
                    return Err(closed("it has stopped answering on the websocket"));
                }
                awaits_pong = true;
                ping_at = Instant::now() + KEEPALIVE;
                socket.send(Message::Ping(Default::default())).await.map_err(lost)?;
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => take(&text, interface)?,
                Some(Ok(Message::Binary(bytes))) => {
                    let text = str::from_utf8(&bytes).map_err(|_| not_understood())?;
                    take(text, interface)?;
                }
                Some(Ok(Message::Pong(_))) => awaits_pong = false,
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(closed_by(frame.as_ref())),
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(closed_by(None)),
            },
        }
    }
}

/// Hands a message on: an answer, or what was subscribed to.
fn take(text: &str, interface: &ConnectionInterface) -> Result<(), Closed> {
    #[derive(Deserialize)]
    struct Pushed {
        params: EthNotification,
    }
    let item: PubSubItem = match serde_json::from_str::<Answer>(text) {
        Ok(answer) if answer.id == Id::None => {
            debug!(?answer, "an answer does not say to what");
            return Ok(());
        }
        Ok(answer) => PubSubItem::Response(answer.into()),
        Err(_) => match serde_json::from_str::<Pushed>(text) {
            Ok(pushed) => pushed.params.into(),
            Err(_) => return Err(not_understood()),
        },
    };
    // Without anyone who asks, the next request is the end.
    let _ = interface.send_to_frontend(item);
    Ok(())
}

fn closed(message: &str) -> Closed {
    Closed {
        message: message.to_owned(),
        is_too_large: false,
    }
}

fn not_understood() -> Closed {
    closed("it sent a message on the websocket that is not JSON-RPC")
}

fn closed_by(frame: Option<&CloseFrame>) -> Closed {
    let Some(CloseFrame { code, reason }) = frame else {
        return closed("it closed the websocket without a reason");
    };
    let reason = reason.to_lowercase();
    let is_too_large = *code == CloseCode::Size
        || ["too long", "too large", "too big"]
            .iter()
            .any(|words| reason.contains(words));
    let number = u16::from(*code);
    let message = match is_too_large {
        true => {
            format!("it closed the websocket because of a too large answer: {reason} ({number})")
        }
        false => format!("it closed the websocket: {reason} ({number})"),
    };
    Closed {
        message,
        is_too_large,
    }
}

fn lost(error: Error) -> Closed {
    match error {
        Error::Capacity(_) => Closed {
            message: format!("its answer is larger than {} MiB", LARGEST_MESSAGE >> 20),
            is_too_large: true,
        },
        Error::Io(error) => closed(&format!("the websocket was lost: {error}")),
        _ => closed("the websocket was closed without a word"),
    }
}
