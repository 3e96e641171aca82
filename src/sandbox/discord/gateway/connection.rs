//! One websocket connection: HELLO, heartbeats, IDENTIFY or RESUME, then orders out and requests in.
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Close;
use super::identify::{Identify, Refused, Resume, identify, token_matches};
use super::members::{RequestMembers, request_members};
use super::session::Order;
use crate::sandbox::discord::log::Rule;
use crate::sandbox::discord::shared::Shared;

/// A client's payload.
#[derive(Deserialize)]
struct Payload {
    op: u8,
    #[serde(default)]
    d: Value,
}

/// Payloads a client may send in a minute.
const PAYLOADS_PER_MINUTE: usize = 120;
/// Payloads above this size are compressed when the client asked for it, so that both forms are in use.
const COMPRESS_FROM: usize = 1024;

/// What a busy machine may be late with its heartbeats, beyond the one that may be missed.
const LENIENCE: Duration = Duration::from_secs(15);

struct Connection {
    shared: Arc<Shared>,
    socket: WebSocket,
    place: Place,
    outbox: UnboundedSender<Order>,
    orders: UnboundedReceiver<Order>,
    session: Option<String>,
    compress: bool,
    /// When the client's recent payloads came.
    recent: VecDeque<Instant>,
    heard: Instant,
}

/// The address at which a client connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The general one.
    Gateway,
    /// The one for sessions that are resumed.
    Resume,
}

/// How long the client's answer to a close frame is waited for.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a connection ends.
enum End {
    /// The client went away, or is dropped.
    Gone,
    Closed(Close),
    ClosedWithoutCode,
}

/// Serves one connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, socket: WebSocket, place: Place) {
    let stop = shared.stop.clone();
    let (outbox, orders) = unbounded_channel();
    let mut connection = Connection {
        shared,
        socket,
        place,
        outbox,
        orders,
        session: None,
        compress: false,
        recent: VecDeque::new(),
        heard: Instant::now(),
    };
    let end = tokio::select! {
        () = stop.cancelled() => End::Closed(Close(1001, "The local Discord stops.")),
        end = connection.run() => end,
    };
    let frame = match end {
        End::Gone => None,
        End::Closed(close) => Some(Some(CloseFrame {
            code: close.0,
            reason: close.1.into(),
        })),
        End::ClosedWithoutCode => Some(None),
    };
    if let Some(frame) = frame {
        // The session counts as disconnected from now on.
        connection.orders.close();
        // The client may be gone already.
        let _gone = connection.socket.send(Message::Close(frame)).await;
        // Dropped at once, with something of the client's unread, the socket would be reset and the frame be lost.
        let answered = async { while let Some(Ok(_)) = connection.socket.recv().await {} };
        let _late = tokio::time::timeout(GOODBYE, answered).await;
    }
    let Connection { shared, orders, .. } = connection;
    // With the receiver gone the session counts as disconnected; waiters then look again.
    drop(orders);
    shared.notify();
}

impl Connection {
    async fn run(&mut self) -> End {
        let interval = self.shared.read(|world| world.options.heartbeat_interval);
        let hello = json!({ "op": 10, "d": { "heartbeat_interval": millis(interval) } });
        if self.send(&hello.to_string()).await.is_err() {
            return End::Gone;
        }
        loop {
            let silent_until = self.heard + interval * 2 + LENIENCE;
            let step = tokio::select! {
                order = self.orders.recv() => self.obey(order).await,
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.take(message).await,
                    Some(Err(_)) | None => Err(End::Gone),
                },
                () = tokio::time::sleep_until(silent_until.into()) => {
                    Err(End::Closed(Close::SESSION_TIMED_OUT))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn obey(&mut self, order: Option<Order>) -> Result<(), End> {
        match order {
            Some(Order::Send(payload)) => self.send(&payload).await,
            Some(Order::Close(close)) => Err(End::Closed(close)),
            Some(Order::CloseWithoutCode) => Err(End::ClosedWithoutCode),
            Some(Order::Drop) | None => Err(End::Gone),
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), End> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => {
                // 1000 and 1001 end the session, any other code keeps it for RESUME.
                if let Some((id, frame)) = self.session.as_ref().zip(frame)
                    && matches!(frame.code, 1000 | 1001)
                {
                    self.shared.change(|world| world.sessions.end(id));
                }
                // Reading on sends the answer that ends the closing handshake.
                let _closed = self.socket.recv().await;
                return Err(End::Gone);
            }
            Message::Binary(_) => {
                return Err(self.violation(Close::DECODE_ERROR, "sent a binary frame"));
            }
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        let now = Instant::now();
        self.heard = now;
        self.recent.push_back(now);
        while self
            .recent
            .front()
            .is_some_and(|at| now.duration_since(*at).as_secs() >= 60)
        {
            self.recent.pop_front();
        }
        if self.recent.len() > PAYLOADS_PER_MINUTE {
            return Err(self.violation(
                Close::RATE_LIMITED,
                "sent more than 120 payloads in a minute",
            ));
        }
        let payload: Payload = self.decode(serde_json::from_str(&text))?;
        self.answer(payload).await
    }

    async fn answer(&mut self, payload: Payload) -> Result<(), End> {
        match (payload.op, self.session.clone()) {
            (1, _) => {
                if self.shared.read(|world| world.sessions.deaf) {
                    return Ok(());
                }
                self.send(r#"{"op":11}"#).await
            }
            (2, None) => {
                let asked: Identify = self.parse(payload.d)?;
                self.compress = asked.compress;
                let outbox = self.outbox.clone();
                let opened = self.shared.change(|world| identify(world, &asked, outbox));
                match opened {
                    Ok(session) => {
                        self.session = Some(session);
                        Ok(())
                    }
                    Err(Refused::Close(close)) => Err(End::Closed(close)),
                    Err(Refused::TooSoon) => {
                        let what = "A gateway client identified again too soon.";
                        self.shared.violate(Rule::Gateway, what);
                        self.send(r#"{"op":9,"d":false}"#).await
                    }
                }
            }
            (6, None) => {
                let asked: Resume = self.parse(payload.d)?;
                if !self.shared.read(|world| token_matches(world, &asked.token)) {
                    return Err(End::Closed(Close::AUTHENTICATION_FAILED));
                }
                let outbox = self.outbox.clone();
                let where_told = self.place == Place::Resume;
                let resumed = self.shared.change(|world| {
                    let sessions = &mut world.sessions;
                    let resumed = sessions.resume(&asked.session_id, asked.seq, outbox);
                    sessions.resumed_where_told += u64::from(resumed && where_told);
                    resumed
                });
                if resumed {
                    self.session = Some(asked.session_id);
                    return Ok(());
                }
                self.send(r#"{"op":9,"d":false}"#).await
            }
            (2 | 6, Some(_)) => {
                Err(self.violation(Close::ALREADY_AUTHENTICATED, "identified twice"))
            }
            (3 | 4 | 8 | 31, None) => {
                Err(self.violation(Close::NOT_AUTHENTICATED, "sent a payload before IDENTIFY"))
            }
            // Presence, voice state and soundboard sounds concern nobody here.
            (3 | 4 | 31, Some(_)) => Ok(()),
            (8, Some(session)) => {
                let asked: RequestMembers = self.parse(payload.d)?;
                let answered = self
                    .shared
                    .change(|world| request_members(world, &session, &asked));
                answered.map_err(|why| self.violation(Close::DECODE_ERROR, &why))
            }
            (op, _) => Err(self.violation(Close::UNKNOWN_OPCODE, &format!("sent opcode {op}"))),
        }
    }

    fn parse<T: DeserializeOwned>(&self, data: Value) -> Result<T, End> {
        self.decode(serde_json::from_value(data))
    }

    fn decode<T>(&self, decoded: serde_json::Result<T>) -> Result<T, End> {
        decoded.map_err(|error| {
            self.violation(
                Close::DECODE_ERROR,
                &format!("sent a payload that is not understood: {error}"),
            )
        })
    }

    fn violation(&self, close: Close, what: &str) -> End {
        self.shared
            .violate(Rule::Gateway, format!("A gateway client {what}."));
        End::Closed(close)
    }

    async fn send(&mut self, payload: &str) -> Result<(), End> {
        let large = self.compress && payload.len() >= COMPRESS_FROM;
        let message = match large.then(|| deflate(payload)).flatten() {
            Some(bytes) => Message::Binary(bytes.into()),
            None => Message::Text(payload.into()),
        };
        self.socket.send(message).await.map_err(|_| End::Gone)
    }
}

fn deflate(payload: &str) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(payload.as_bytes()).ok()?;
    encoder.finish().ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
