//! Requests for members on one connection, 100 ids each, and their answers.
//! <https://discord.com/developers/docs/events/gateway-events#request-guild-members>

use std::collections::btree_map::{Entry, OccupiedEntry};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::event::{Chunk, Nonce, RateLimited};
use crate::discord::requests::{Ask, Members};

/// How long an answer may take, from the sending of the request.
const PATIENCE: Duration = Duration::from_secs(15);
/// Discord closes a connection over which more than 120 payloads come in 60 s. Heartbeats and the like need the rest.
const LIMIT: usize = 110;
const WINDOW: Duration = Duration::from_secs(61);

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
    members: Members,
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
            members: Members::new(),
            chunks: 0,
        };
        self.sent.insert(self.last_nonce, sent);
        json!({ "op": 8, "d": data }).to_string()
    }

    /// A part of an answer.
    pub(super) fn chunk(&mut self, chunk: Chunk) {
        let Some(mut sent) = self.sent(&chunk.of) else {
            return;
        };
        let found = chunk.members.into_iter();
        let found = found.map(|member| (member.user, Some(member)));
        let missing = chunk.not_found.into_iter().map(|user| (user, None));
        sent.get_mut().members.extend(found.chain(missing));
        sent.get_mut().chunks += 1;
        if sent.get().chunks >= chunk.chunk_count {
            let sent = sent.remove();
            // Whoever asked may have given up.
            let _unheard = sent.ask.answer.send(Some(sent.members));
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
        let sent = self.sent(&limited.of).map(OccupiedEntry::remove);
        self.again.extend(sent.map(|sent| sent.ask));
    }

    /// The request that an answer is to, if it still waits.
    fn sent(&mut self, of: &Nonce) -> Option<OccupiedEntry<'_, u64, Sent>> {
        match self.sent.entry(of.number()?) {
            Entry::Occupied(sent) => Some(sent),
            Entry::Vacant(_) => None,
        }
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
            let _unheard = first.remove().ask.answer.send(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::discord::SeenMember;
    use crate::domain::{GuildId, UserId};

    fn ask() -> (Ask, oneshot::Receiver<Option<Members>>) {
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
            not_found: vec![],
            chunk_count: count,
            of: of(nonce),
        }
    }

    fn of(nonce: u64) -> Nonce {
        Nonce {
            nonce: Some(nonce.to_string()),
        }
    }

    fn member(user: u64) -> SeenMember {
        SeenMember {
            user: UserId(user),
            name: String::new(),
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
        let members = [5, 6].map(|user| (UserId(user), Some(member(user))));
        let members = members.to_vec();
        assert_eq!(answered.try_recv(), Ok(Some(members)));
    }

    #[test]
    fn a_limited_request_is_sent_again_after_the_pause() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let (one, mut answered) = ask();
        pending.send(one, now);
        let limited = RateLimited {
            retry_after: 2.5,
            of: of(1),
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
        assert_eq!(answered.try_recv(), Ok(None));
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
