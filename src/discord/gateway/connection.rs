//! One websocket to the gateway, from its handshake to its end: HELLO, IDENTIFY or RESUME, heartbeats, events.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::ZlibDecoder;
use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use serenity::model::gateway::GatewayIntents;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::close::{self, Next};
use super::event::{self, Event, Payload};
use super::events::Events;
use super::pending::Pending;
use super::starts::{Start, Starts};
use crate::discord::requests::Ask;
use crate::http::{Socket, websocket};

/// How long the handshake (TCP, TLS, websocket) and then HELLO may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long Discord may take to begin or to resume a session.
const READY: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Unlike 1000 and 1001, any other code keeps the session for a resume.
const KEEPS_SESSION: u16 = 4000;

/// What a shard is and needs.
pub(super) struct Shard {
    pub(super) id: u32,
    pub(super) total: u32,
    /// Where new sessions begin.
    pub(super) url: String,
    pub(super) token: SecretString,
    pub(super) intents: GatewayIntents,
    pub(super) starts: Arc<Starts>,
    pub(super) events: Arc<Events>,
    pub(super) stop: CancellationToken,
}

/// A session that can be resumed.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// Where it is resumed.
    pub(super) url: String,
    /// The number of the last event.
    pub(super) sequence: u64,
}

pub(super) struct End {
    pub(super) next: Next,
    /// For the log.
    pub(super) why: String,
}

impl End {
    fn new(next: Next, why: impl Into<String>) -> Self {
        Self {
            next,
            why: why.into(),
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::new(Next::Resume, error.to_string())
    }
}

struct Connection<'a> {
    shard: &'a Shard,
    socket: Socket,
    session: &'a mut Option<Session>,
    /// Whether the last heartbeat was answered.
    is_acknowledged: bool,
    pending: Pending,
    /// Requests for members, once the session is up.
    asks: Option<mpsc::UnboundedReceiver<Ask>>,
}

#[derive(Deserialize)]
struct Hello {
    /// Milliseconds.
    heartbeat_interval: u64,
}

/// Connects, resumes the session or begins one with `start`, which is taken then, and stays until the end.
pub(super) async fn connect(
    shard: &Shard,
    url: &str,
    session: &mut Option<Session>,
    start: &mut Option<Start<'_>>,
) -> End {
    let opened = tokio::time::timeout(HANDSHAKE, handshake(url));
    let socket = match shard.stop.run_until_cancelled(opened).await {
        Some(Ok(Ok(socket))) => socket,
        Some(Ok(Err(end))) => return end,
        Some(Err(_elapsed)) => return End::new(Next::Resume, "no handshake in time"),
        None => return End::new(Next::Stop, "stopped"),
    };
    let mut connection = Connection {
        shard,
        socket,
        session,
        is_acknowledged: true,
        pending: Pending::default(),
        asks: None,
    };
    let end = match connection.hello(start).await {
        Ok(heartbeat) => connection.serve(heartbeat).await,
        Err(end) => end,
    };
    let goodbye = CloseFrame {
        code: match end.next {
            Next::Resume => CloseCode::from(KEEPS_SESSION),
            _ => CloseCode::Normal,
        },
        reason: "".into(),
    };
    // The other side may be gone already.
    let _gone = tokio::time::timeout(GOODBYE, connection.socket.close(Some(goodbye))).await;
    end
}

impl Connection<'_> {
    /// Waits for HELLO and sends IDENTIFY or RESUME; when heartbeats are due.
    async fn hello(&mut self, start: &mut Option<Start<'_>>) -> Result<Interval, End> {
        let hello = tokio::time::timeout(HANDSHAKE, receive(&mut self.socket)).await;
        let text = hello.map_err(|_| End::new(Next::Resume, "no HELLO in time"))??;
        let hello = serde_json::from_str(&text);
        let hello = hello.and_then(|payload: Payload<'_>| serde_json::from_str(payload.data()));
        let Hello { heartbeat_interval } =
            hello.map_err(|_| End::new(Next::Resume, "no HELLO came first"))?;
        let period = Duration::from_millis(heartbeat_interval.max(1));
        // Spread, so that not all clients of the world come together after an outage.
        let first = Instant::now() + period.mul_f64(rand::random());
        let mut heartbeat = tokio::time::interval_at(first, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let token = self.shard.token.expose_secret().trim();
        let hello = match &*self.session {
            Some(session) => json!({ "op": 6, "d": {
                "token": token,
                "session_id": session.id,
                "seq": session.sequence,
            }}),
            None => {
                if let Some(start) = start.take() {
                    start.used();
                }
                json!({ "op": 2, "d": {
                    "token": token,
                    "intents": self.shard.intents.bits(),
                    "shard": [self.shard.id, self.shard.total],
                    "compress": true,
                    "properties": {
                        "os": std::env::consts::OS,
                        "browser": env!("CARGO_PKG_NAME"),
                        "device": env!("CARGO_PKG_NAME"),
                    },
                }})
            }
        };
        self.send(hello.to_string()).await?;
        Ok(heartbeat)
    }

    /// Serves the connection to its end.
    async fn serve(&mut self, mut heartbeat: Interval) -> End {
        let mut overdue = std::pin::pin!(tokio::time::sleep(READY));
        loop {
            let now = Instant::now();
            let free_at = self.pending.free_at(now);
            let deadline = self.pending.deadline();
            let step = tokio::select! {
                received = receive(&mut self.socket) => match received {
                    Ok(text) => self.take(&text).await,
                    Err(end) => Err(end),
                },
                () = self.shard.stop.cancelled() => Err(End::new(Next::Stop, "stopped")),
                _ = heartbeat.tick() => self.beat().await,
                () = &mut overdue, if self.asks.is_none() => {
                    Err(End::new(Next::Resume, "no session in time"))
                }
                ask = next_ask(&mut self.pending, &mut self.asks, free_at) => {
                    let request = self.pending.send(ask, Instant::now());
                    self.send(request).await
                }
                () = tokio::time::sleep_until(deadline.unwrap_or(now)), if deadline.is_some() => {
                    self.pending.give_up(Instant::now());
                    Ok(())
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if !std::mem::replace(&mut self.is_acknowledged, false) {
            return Err(End::new(Next::Resume, "a heartbeat was not acknowledged"));
        }
        self.send_heartbeat().await
    }

    async fn send_heartbeat(&mut self) -> Result<(), End> {
        let sequence = self.session.as_ref().map(|session| session.sequence);
        self.send(json!({ "op": 1, "d": sequence }).to_string())
            .await
    }

    /// Takes a payload in.
    async fn take(&mut self, text: &str) -> Result<(), End> {
        let Ok(payload) = serde_json::from_str::<Payload<'_>>(text) else {
            tracing::warn!("Discord sent a gateway payload that cannot be read");
            return Ok(());
        };
        match payload.op {
            0 => self.dispatch(&payload),
            1 => return self.send_heartbeat().await,
            7 => return Err(End::new(Next::Resume, "Discord asked for it")),
            9 => {
                let can_be_resumed = payload.data() == "true" && self.session.is_some();
                let next = if can_be_resumed {
                    Next::Resume
                } else {
                    Next::Identify
                };
                return Err(End::new(next, "the session is invalid"));
            }
            11 => self.is_acknowledged = true,
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, payload: &Payload<'_>) {
        if let (Some(session), Some(sequence)) = (&mut *self.session, payload.s) {
            session.sequence = sequence;
        }
        let name = payload.t.as_deref().unwrap_or_default();
        match event::decode(name, payload.data()) {
            Ok(Event::Ready(ready)) => {
                *self.session = Some(Session {
                    id: ready.session_id.clone(),
                    url: ready.resume_gateway_url.clone(),
                    sequence: payload.s.unwrap_or_default(),
                });
                self.shard
                    .events
                    .ready(self.shard.id, self.shard.total, &ready);
                self.up(true);
            }
            Ok(Event::Resumed) => self.up(false),
            Ok(Event::Members(chunk)) => self.pending.chunk(chunk),
            Ok(Event::RateLimited(limited)) => self.pending.limited(&limited, Instant::now()),
            Ok(event) => self.shard.events.see(event),
            // Not the data: it names members.
            Err(error) => tracing::warn!(name, %error, "Discord sent an event that cannot be read"),
        }
    }

    fn up(&mut self, is_new: bool) {
        let (sender, asks) = mpsc::unbounded_channel();
        self.asks = Some(asks);
        self.shard.events.up(self.shard.id, is_new, sender);
    }

    async fn send(&mut self, payload: String) -> Result<(), End> {
        let sent = self.socket.send(Message::Text(payload.into()));
        // A connection that takes nothing any more is dead.
        match tokio::time::timeout(HANDSHAKE, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_elapsed) => Err(End::new(Next::Resume, "nothing can be sent")),
        }
    }
}

async fn handshake(url: &str) -> Result<Socket, End> {
    let mut url: Url = url
        .parse()
        .map_err(|error| End::new(Next::Identify, format!("the gateway's address: {error}")))?;
    url.set_query(Some("v=10&encoding=json"));
    Ok(websocket(url.as_str(), None).await?)
}

/// The next text, or the end.
async fn receive(socket: &mut Socket) -> Result<String, End> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Binary(bytes))) => {
                let mut text = String::new();
                let inflated = ZlibDecoder::new(&*bytes).read_to_string(&mut text);
                inflated.map_err(|error| End::new(Next::Resume, error.to_string()))?;
                return Ok(text);
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                let why = code.map_or("closed without a code".to_owned(), |code| {
                    format!("closed with {code}")
                });
                return Err(End::new(close::next(code), why));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(End::new(Next::Resume, "closed")),
        }
    }
}

/// The next request for members, as soon as one may be sent.
async fn next_ask(
    pending: &mut Pending,
    asks: &mut Option<mpsc::UnboundedReceiver<Ask>>,
    free_at: Instant,
) -> Ask {
    tokio::time::sleep_until(free_at).await;
    if let Some(again) = pending.take_again() {
        return again;
    }
    let next = match asks {
        Some(asks) => asks.recv().await,
        None => None,
    };
    match next {
        Some(ask) => ask,
        None => std::future::pending().await,
    }
}
