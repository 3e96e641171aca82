//! Gateway sessions: what each client subscribed to, and the events it can replay after a drop.
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::{GuildId, UserId};
use serde_json::Value;
use serenity::model::gateway::GatewayIntents;
use tokio::sync::mpsc::UnboundedSender;

use super::Close;
use super::starts::Starts;

/// What a connection is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Send this payload.
    Send(Arc<str>),
    /// Close with a code.
    Close(Close),
    /// Close without a code.
    CloseWithoutCode,
    /// Drop the TCP connection without a word.
    Drop,
}

/// Events kept for RESUME; a client that missed more gets INVALID_SESSION.
const REPLAY: usize = 10_000;

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) intents: GatewayIntents,
    /// (this shard, number of shards).
    pub(crate) shard: (u32, u32),
    pub(crate) large_threshold: usize,
    seq: u64,
    replay: VecDeque<(u64, Arc<str>)>,
    outbox: Option<UnboundedSender<Order>>,
}

impl Session {
    pub(crate) fn new(
        intents: GatewayIntents,
        shard: (u32, u32),
        large_threshold: usize,
        outbox: UnboundedSender<Order>,
    ) -> Self {
        Self {
            intents,
            shard,
            large_threshold,
            seq: 0,
            replay: VecDeque::new(),
            outbox: Some(outbox),
        }
    }

    /// Whether GUILD_CREATE may list members.
    pub(crate) fn sees_presences(&self) -> bool {
        self.intents.contains(GatewayIntents::GUILD_PRESENCES)
    }

    /// Whether this shard is the one for the guild.
    /// <https://discord.com/developers/docs/events/gateway#sharding>
    pub(crate) fn serves(&self, guild: GuildId) -> bool {
        (guild.0 >> 22) % u64::from(self.shard.1) == u64::from(self.shard.0)
    }

    pub(crate) fn connected(&self) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| !outbox.is_closed())
    }

    /// Numbers an event, keeps it for replay and sends it if there is a connection.
    pub(crate) fn push(&mut self, event: &str, data: &str) {
        self.seq += 1;
        let payload: Arc<str> =
            format!(r#"{{"op":0,"t":"{event}","s":{},"d":{data}}}"#, self.seq).into();
        if self.replay.len() == REPLAY {
            self.replay.pop_front();
        }
        self.replay.push_back((self.seq, Arc::clone(&payload)));
        self.order(Order::Send(payload));
    }

    fn order(&mut self, order: Order) {
        if let Some(outbox) = &self.outbox
            && outbox.send(order).is_err()
        {
            self.outbox = None;
        }
    }

    /// Takes up the session on a new connection: replays what came after `seq`. False when that is no longer known.
    fn resume(&mut self, seq: u64, outbox: UnboundedSender<Order>) -> bool {
        let oldest = self.replay.front().map_or(self.seq + 1, |(seq, _)| *seq);
        if seq > self.seq || seq + 1 < oldest {
            return false;
        }
        self.outbox = Some(outbox);
        let missed: Vec<_> = self
            .replay
            .iter()
            .filter(|(at, _)| *at > seq)
            .map(|(_, payload)| Arc::clone(payload))
            .collect();
        for payload in missed {
            self.order(Order::Send(payload));
        }
        self.push("RESUMED", r#"{"_trace":[]}"#);
        true
    }
}

/// All sessions, by their id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: BTreeMap<String, Session>,
    /// Sessions ever begun, and RESUMEs that succeeded: what tests look at.
    pub(crate) identified: u64,
    pub(crate) resumed: u64,
    /// Those among them at the address that READY named.
    pub(crate) resumed_where_told: u64,
    /// The limits of IDENTIFY.
    pub(crate) starts: Starts,
    /// Requests for members that were answered: what tests look at.
    pub(crate) member_requests: u64,
    /// How many of them named whom.
    pub(crate) members_requested: BTreeMap<UserId, u64>,
    /// When a guild's whole list was last requested.
    pub(crate) whole_lists: BTreeMap<GuildId, Instant>,
    /// The next request for members is answered with RATE_LIMITED and this time.
    pub(crate) member_requests_limited: Option<Duration>,
    /// Heartbeats are not acknowledged while set: a zombie connection.
    pub(crate) deaf: bool,
}

impl Sessions {
    pub(crate) fn any(&self) -> bool {
        !self.by_id.is_empty()
    }

    pub(crate) fn connected(&self) -> usize {
        self.by_id
            .values()
            .filter(|session| session.connected())
            .count()
    }

    pub(crate) fn begin(&mut self, id: String, session: Session) -> &mut Session {
        self.identified += 1;
        // A session that nobody can resume any more is dropped with its replay buffer.
        self.by_id
            .retain(|_, old| old.connected() || old.shard != session.shard);
        self.by_id.entry(id).or_insert(session)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.by_id.get_mut(id)
    }

    /// RESUME; false means INVALID_SESSION.
    pub(crate) fn resume(&mut self, id: &str, seq: u64, outbox: UnboundedSender<Order>) -> bool {
        let resumed = self
            .by_id
            .get_mut(id)
            .is_some_and(|session| session.resume(seq, outbox));
        self.resumed += u64::from(resumed);
        resumed
    }

    /// Forgets a session, so that RESUME fails.
    pub(crate) fn end(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// Forgets all sessions, so that no RESUME succeeds.
    pub(crate) fn forget_all(&mut self) {
        self.by_id.clear();
    }

    /// Ends the sessions that have one of these intents: their connections are closed, and no RESUME succeeds.
    pub(crate) fn end_with(&mut self, intents: GatewayIntents, close: Close) {
        let ended = self
            .by_id
            .extract_if(.., |_, session| session.intents.intersects(intents));
        for (_, mut session) in ended {
            session.order(Order::Close(close));
        }
    }

    /// Orders every connection, resumable or not.
    pub(crate) fn order_all(&mut self, order: &Order) {
        for session in self.by_id.values_mut() {
            session.order(order.clone());
        }
    }

    /// Sends a guild's event to the sessions that serve it and asked for one of `intent` (none: all).
    pub(crate) fn dispatch(
        &mut self,
        guild: GuildId,
        intent: GatewayIntents,
        event: &str,
        data: &Value,
    ) {
        if self.any() {
            let data = data.to_string();
            for session in self.listening(guild, intent) {
                session.push(event, &data);
            }
        }
    }

    /// The same with data made for each session.
    pub(crate) fn dispatch_with(
        &mut self,
        guild: GuildId,
        intent: GatewayIntents,
        event: &str,
        data: impl Fn(&Session) -> Value,
    ) {
        for session in self.listening(guild, intent) {
            let data = data(session).to_string();
            session.push(event, &data);
        }
    }

    /// Sends an interaction to the connected session that serves the guild; false when there is none.
    pub(crate) fn interact(&mut self, guild: GuildId, data: &Value) -> bool {
        let session = self
            .by_id
            .values_mut()
            .find(|session| session.connected() && session.serves(guild));
        session.is_some_and(|session| {
            session.push("INTERACTION_CREATE", &data.to_string());
            true
        })
    }

    fn listening(
        &mut self,
        guild: GuildId,
        intent: GatewayIntents,
    ) -> impl Iterator<Item = &mut Session> {
        self.by_id.values_mut().filter(move |session| {
            session.serves(guild) && (intent.is_empty() || session.intents.intersects(intent))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn sent(inbox: &mut UnboundedReceiver<Order>) -> Vec<String> {
        std::iter::from_fn(|| inbox.try_recv().ok())
            .map(|order| match order {
                Order::Send(payload) => {
                    let payload: Value = serde_json::from_str(&payload).unwrap();
                    format!("{}{}", payload["t"].as_str().unwrap(), payload["s"])
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_resumed_session_gets_what_it_missed_and_nothing_twice() {
        let (outbox, mut inbox) = unbounded_channel();
        let mut sessions = Sessions::default();
        let intents = GatewayIntents::GUILDS;
        sessions.begin("s".into(), Session::new(intents, (0, 1), 250, outbox));
        let guild = GuildId(1);
        sessions.dispatch(guild, GatewayIntents::GUILDS, "A", &json!({}));
        assert_eq!(sent(&mut inbox), ["A1"]);
        drop(inbox);
        sessions.dispatch(guild, GatewayIntents::GUILDS, "B", &json!({}));
        let (outbox, mut inbox) = unbounded_channel();
        assert!(sessions.resume("s", 1, outbox.clone()));
        assert_eq!(sent(&mut inbox), ["B2", "RESUMED3"]);
        assert!(
            !sessions.resume("s", 99, outbox.clone()),
            "a sequence from the future"
        );
        assert!(!sessions.resume("other", 1, outbox), "an unknown session");
    }

    #[test]
    fn events_reach_only_sessions_with_the_intent_and_the_shard() {
        let (outbox, mut inbox) = unbounded_channel();
        let mut sessions = Sessions::default();
        sessions.begin(
            "s".into(),
            Session::new(GatewayIntents::GUILDS, (1, 2), 250, outbox),
        );
        let ours = GuildId(1 << 22);
        let theirs = GuildId(2 << 22);
        sessions.dispatch(ours, GatewayIntents::GUILD_MEMBERS, "A", &json!({}));
        sessions.dispatch(theirs, GatewayIntents::GUILDS, "B", &json!({}));
        sessions.dispatch(ours, GatewayIntents::GUILDS, "C", &json!({}));
        sessions.dispatch(ours, GatewayIntents::empty(), "D", &json!({}));
        assert_eq!(sent(&mut inbox), ["C1", "D2"]);
    }
}
