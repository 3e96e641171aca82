//! Requests for members over the gateway, 100 ids each, and their answers.
//! <https://discord.com/developers/docs/events/gateway-events#request-guild-members>

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::event::{Chunk, RateLimited};
use super::shard_of;
use crate::discord::people::SeenMember;
use crate::domain::{GuildId, UserId};

/// How long an answer may take, from the sending of the request.
const PATIENCE: Duration = Duration::from_secs(15);
/// Discord closes a connection over which more than 120 payloads come in 60 s. Heartbeats and the like need the rest.
const LIMIT: usize = 110;
const WINDOW: Duration = Duration::from_secs(61);

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Who is in the server, and who is certainly not.
    Members {
        found: Vec<SeenMember>,
        missing: Vec<UserId>,
    },
    /// Nothing came in time.
    Silence,
}

/// A request on its way to the connection.
#[derive(Debug)]
pub(super) struct Ask {
    guild: GuildId,
    users: Vec<UserId>,
    answer: oneshot::Sender<Answer>,
}

/// The way from those who ask to the connections that are up, by shard.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<Vec<Option<mpsc::UnboundedSender<Ask>>>>);

impl Requests {
    /// Asks over the connection that serves the server. `None` while there is none; an error when it is lost before the
    /// answer.
    pub(crate) async fn ask(
        &self,
        guild: GuildId,
        users: &[UserId],
    ) -> Option<Result<Answer, oneshot::error::RecvError>> {
        let (answer, answered) = oneshot::channel();
        {
            let shards = self.0.lock().expect("the list of shards does not panic");
            let total = u32::try_from(shards.len())
                .ok()
                .filter(|total| *total > 0)?;
            let asks = shards[shard_of(guild, total) as usize].as_ref()?;
            let users = users.to_vec();
            asks.send(Ask {
                guild,
                users,
                answer,
            })
            .ok()?;
        }
        Some(answered.await)
    }

    /// So many connections are set up from now on; none is up yet.
    pub(super) fn reset(&self, total: u32) {
        let mut shards = self.0.lock().expect("the list of shards does not panic");
        *shards = (0..total).map(|_| None).collect();
    }

    /// A connection is up and takes requests, or is not and takes none.
    pub(super) fn set(&self, shard: u32, asks: Option<mpsc::UnboundedSender<Ask>>) {
        let mut shards = self.0.lock().expect("the list of shards does not panic");
        if let Some(place) = shards.get_mut(shard as usize) {
            *place = asks;
        }
    }
}

/// What one connection was asked for and has not answered.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the order of sending, which is that of their deadlines.
    sent: BTreeMap<u64, Sent>,
    last_nonce: u64,
    /// To be sent again.
    again: VecDeque<Ask>,
    /// When requests were sent within the last [`WINDOW`].
    recent: VecDeque<Instant>,
    /// Discord wants none before.
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    ask: Ask,
    deadline: Instant,
    found: Vec<SeenMember>,
    chunks: u32,
}

impl Pending {
    /// When the next request may be sent.
    pub(super) fn free_at(&mut self, now: Instant) -> Instant {
        while self.recent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.recent.pop_front();
        }
        let budget = match self.recent.front() {
            Some(oldest) if self.recent.len() >= LIMIT => *oldest + WINDOW,
            _ => now,
        };
        budget.max(self.paused_until.unwrap_or(now))
    }

    /// One that is to be sent again.
    pub(super) fn take_again(&mut self) -> Option<Ask> {
        self.again.pop_front()
    }

    /// The payload to send now.
    pub(super) fn send(&mut self, ask: Ask, now: Instant) -> String {
        self.last_nonce += 1;
        self.recent.push_back(now);
        let nonce = self.last_nonce.to_string();
        let data =
            json!({ "guild_id": ask.guild, "user_ids": ask.users, "limit": 0, "nonce": nonce });
        let sent = Sent {
            ask,
            deadline: now + PATIENCE,
            found: Vec::new(),
            chunks: 0,
        };
        self.sent.insert(self.last_nonce, sent);
        json!({ "op": 8, "d": data }).to_string()
    }

    /// A part of an answer.
    pub(super) fn chunk(&mut self, chunk: Chunk) {
        let Some((nonce, sent)) = chunk
            .nonce
            .and_then(|nonce| Some((nonce, self.sent.get_mut(&nonce)?)))
        else {
            return;
        };
        sent.found.extend(chunk.members);
        sent.chunks += 1;
        if sent.chunks >= chunk.count
            && let Some(sent) = self.sent.remove(&nonce)
        {
            // Whoever asked may have given up.
            let _unheard = sent.ask.answer.send(Answer::Members {
                found: sent.found,
                missing: chunk.not_found,
            });
        }
    }

    /// A request is to be sent again later.
    pub(super) fn limited(&mut self, limited: &RateLimited, now: Instant) {
        let wait = Duration::try_from_secs_f64(limited.retry_after).unwrap_or(WINDOW);
        tracing::info!(
            seconds = wait.as_secs_f64(),
            "Discord limits requests for members"
        );
        self.paused_until = Some(now + wait.min(WINDOW));
        let sent = limited.nonce.and_then(|nonce| self.sent.remove(&nonce));
        self.again.extend(sent.map(|sent| sent.ask));
    }

    /// When the next request will have waited long enough for its answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.sent.values().next().map(|sent| sent.deadline)
    }

    /// Gives up those whose answer is overdue.
    pub(super) fn give_up(&mut self, now: Instant) {
        while let Some(first) = self
            .sent
            .first_entry()
            .filter(|first| first.get().deadline <= now)
        {
            let _unheard = first.remove().ask.answer.send(Answer::Silence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> (Ask, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            guild: GuildId(7),
            users: vec![UserId(5), UserId(6)],
            answer,
        };
        (ask, answered)
    }

    fn chunk(nonce: u64, count: u32, user: u64) -> Chunk {
        Chunk {
            members: vec![member(user)],
            count,
            not_found: vec![],
            nonce: Some(nonce),
        }
    }

    fn member(user: u64) -> SeenMember {
        SeenMember {
            user: UserId(user),
            roles: vec![],
            pending: false,
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_last_part_came() {
        let mut pending = Pending::default();
        let (one, mut answered) = ask();
        let payload = pending.send(one, Instant::now());
        assert!(payload.contains(r#""user_ids":["5","6"]"#), "{payload}");
        pending.chunk(chunk(1, 2, 5));
        pending.chunk(chunk(99, 1, 8));
        assert!(answered.try_recv().is_err());
        pending.chunk(chunk(1, 2, 6));
        let found = vec![member(5), member(6)];
        let missing = vec![];
        assert_eq!(
            answered.try_recv().unwrap(),
            Answer::Members { found, missing }
        );
    }

    #[test]
    fn a_limited_request_is_sent_again_after_the_pause() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let (one, mut answered) = ask();
        pending.send(one, now);
        let limited = RateLimited {
            retry_after: 2.5,
            nonce: Some(1),
        };
        pending.limited(&limited, now);
        assert_eq!(pending.free_at(now), now + Duration::from_millis(2_500));
        let again = pending.take_again().unwrap();
        pending.send(again, now);
        pending.chunk(chunk(2, 1, 5));
        assert!(answered.try_recv().is_ok());
    }

    #[test]
    fn an_answer_that_does_not_come_is_given_up() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let (one, mut answered) = ask();
        pending.send(one, now);
        pending.give_up(now);
        assert!(answered.try_recv().is_err());
        pending.give_up(pending.deadline().unwrap());
        assert_eq!(answered.try_recv(), Ok(Answer::Silence));
    }

    #[test]
    fn no_more_are_sent_in_a_minute_than_discord_takes() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let mut now = start;
        let mut sent = VecDeque::new();
        while sent.len() < 1_000 {
            now = pending.free_at(now);
            pending.send(ask().0, now);
            sent.push_back(now);
        }
        let minute = Duration::from_secs(60);
        for (index, at) in sent.iter().enumerate() {
            let within = sent
                .iter()
                .skip(index)
                .take_while(|other| **other < *at + minute);
            assert!(within.count() <= LIMIT);
        }
        assert!(now - start <= Duration::from_secs(10 * 61));
    }
}
