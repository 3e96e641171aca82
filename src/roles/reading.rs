//! Who is read from Discord and when: everyone of interest by id after a start, after a lost session, and round and round
//! where no member events come; for claimed roles the whole member list, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::warn;

use super::people::{People, Presence};
use super::preview::Asked;
use crate::discord::backoff::doubled;
use crate::discord::{Discord, Failure, Reason, SeenMember};
use crate::domain::{GuildId, ManualRoles, MembersIntent, SyncOutcome, UserId};

/// People per request of the gateway.
const CHUNK: usize = 100;
/// Requests under way.
const MOST_REQUESTS: usize = 8;
/// Everyone is read again this often where member events come, in case one was missed.
const AGAIN: Duration = Duration::from_secs(3_600);
/// And this often where none come. 3,000 people are 30 requests, of 120 a minute that the gateway allows.
const SWEEP: Duration = Duration::from_secs(60);
/// At the start the gateway's session is waited for, which makes all that was read before it worth little; not for longer.
const SESSION: Duration = Duration::from_secs(5);
/// Pause before a server that could not be read is read again, and the longest one: after a passing failure, and after a
/// refusal, which a server that removed the bot goes on answering for ever.
const RETRY: Duration = Duration::from_secs(10);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_AFTER_REFUSAL: Duration = Duration::from_secs(3_600);

/// Who is read before whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Who paid or verified just now.
    JustNow,
    /// Who has a role of ours, or a subscription to one of the server's plans.
    Concerned,
    /// Who may be in the server.
    Other,
}

/// What Discord answered to one request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) guild: GuildId,
    /// [`People::news`] of the moment of asking.
    pub(super) asked: u64,
    pub(super) read: Read,
}

#[derive(Debug)]
pub(super) enum Read {
    People(
        Vec<UserId>,
        anyhow::Result<Vec<(UserId, Option<SeenMember>)>>,
    ),
    Page(UserId, anyhow::Result<(Vec<SeenMember>, bool)>),
}

/// A server that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    tries: u32,
    sentence: String,
    retry_at: Instant,
}

/// What is to be read, and what is being read.
#[derive(Debug)]
pub(super) struct Reading {
    due: BTreeMap<(Tier, GuildId), BTreeSet<UserId>>,
    /// After whom the next page of a server's member list begins.
    pub(super) pages: BTreeMap<GuildId, UserId>,
    pub(super) requests: JoinSet<Answer>,
    /// Requests under way, by server.
    pub(super) under_way: BTreeMap<GuildId, usize>,
    pub(super) unreadable: BTreeMap<GuildId, Unreadable>,
    /// Servers that the bot was removed from.
    pub(super) gone: BTreeSet<GuildId>,
    /// Servers that the session has not announced yet.
    pub(super) unannounced: BTreeSet<GuildId>,
    /// Nothing is read before.
    pub(super) begin_at: Instant,
    /// When everyone became due last, or the session began.
    pub(super) round_at: Instant,
    /// When all who became due then had been read.
    round_over_at: Option<Instant>,
    /// Who waits for a server to be read and checked.
    pub(super) syncing: BTreeMap<GuildId, Vec<oneshot::Sender<SyncOutcome>>>,
    /// The previews that wait for something to be read.
    pub(super) previews: Vec<Asked>,
}

impl Reading {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: BTreeMap::new(),
            pages: BTreeMap::new(),
            requests: JoinSet::new(),
            under_way: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            gone: BTreeSet::new(),
            unannounced: BTreeSet::new(),
            begin_at: now + SESSION,
            round_at: now,
            round_over_at: None,
            syncing: BTreeMap::new(),
            previews: Vec::new(),
        }
    }

    /// Whether everyone who can be was read a while ago, and everyone is to be read again.
    pub(super) fn is_round_over(&mut self, intent: MembersIntent, now: Instant) -> bool {
        let period = match intent {
            MembersIntent::Used => AGAIN,
            MembersIntent::Refused | MembersIntent::Never => SWEEP,
        };
        // From the end of the round before: who waits for everyone to be read finds a moment in which they are.
        self.is_idle(now) && now >= *self.round_over_at.get_or_insert(now) + period
    }

    fn is_idle(&self, now: Instant) -> bool {
        let due = self.due.keys().map(|(_, guild)| guild);
        let mut waiting = due.chain(self.pages.keys());
        self.requests.is_empty() && !waiting.any(|guild| self.may_read(*guild, now))
    }

    /// Everyone in a server is to be read.
    pub(super) fn want_server(&mut self, people: &People, guild: GuildId) {
        for (user, _) in people.seated(guild) {
            self.want(people, guild, user);
        }
        self.want_list(people, guild);
    }

    /// The whole member list is to be read, if the server's gates claim their roles.
    pub(super) fn want_list(&mut self, people: &People, guild: GuildId) {
        let rules = people.rules(guild);
        if rules.policy.manual_roles == ManualRoles::Claim && !rules.gates.is_empty() {
            self.pages.insert(guild, UserId(0));
        }
    }

    pub(super) fn want_everyone(&mut self, people: &People, now: Instant) {
        self.round_at = now;
        self.round_over_at = None;
        for guild in people.guilds() {
            self.want_server(people, guild);
        }
    }

    pub(super) fn want(&mut self, people: &People, guild: GuildId, user: UserId) {
        let tier = match people.concerns(user, guild) {
            true => Tier::Concerned,
            false => Tier::Other,
        };
        self.want_in(tier, guild, user);
    }

    /// A server's member list is to be read on after this one, unless it is to be read from its beginning again.
    pub(super) fn want_page(&mut self, guild: GuildId, after: UserId) {
        self.pages.entry(guild).or_insert(after);
    }

    fn want_in(&mut self, tier: Tier, guild: GuildId, user: UserId) {
        self.due.entry((tier, guild)).or_default().insert(user);
    }

    /// Whether nothing of the server is to be read.
    pub(super) fn is_read(&self, guild: GuildId) -> bool {
        !self.under_way.contains_key(&guild)
            && !self.pages.contains_key(&guild)
            && self.due.keys().all(|(_, other)| *other != guild)
    }

    /// Whether Discord did not let the server be read when it was tried last.
    pub(super) fn is_unreadable(&self, guild: GuildId) -> bool {
        self.unreadable.contains_key(&guild) || self.gone.contains(&guild)
    }

    /// Someone who paid or verified just now is read first wherever they were not read yet.
    pub(super) fn want_first(&mut self, people: &People, user: UserId) {
        let seats = people.person(user).into_iter().flat_map(|one| &one.seats);
        for seat in seats.filter(|seat| seat.presence == Presence::Unknown) {
            self.want_in(Tier::JustNow, seat.guild, user);
        }
    }

    fn may_read(&self, guild: GuildId, now: Instant) -> bool {
        let unreadable = self.unreadable.get(&guild);
        unreadable.is_none_or(|one| one.retry_at <= now) && !self.gone.contains(&guild)
    }

    /// Sends as many requests as may be under way.
    pub(super) fn start(
        &mut self,
        people: &People,
        discord: &Discord,
        intent: MembersIntent,
        now: Instant,
    ) {
        if intent != MembersIntent::Used {
            // Discord refuses the list; who holds a claimed role by hand is not known then.
            self.pages.clear();
        }
        while now >= self.begin_at && self.requests.len() < MOST_REQUESTS {
            let (asked, discord) = (people.news(), discord.clone());
            let guild = if let Some((guild, users)) = self.take_chunk(now) {
                self.requests.spawn(async move {
                    let read = discord.members(guild, &users).await;
                    let read = Read::People(users, read);
                    Answer { guild, asked, read }
                });
                guild
            } else if let Some((guild, after)) = self.take_page(now) {
                self.requests.spawn(async move {
                    let read = discord.page_of_members(guild, after).await;
                    let read = Read::Page(after, read);
                    Answer { guild, asked, read }
                });
                guild
            } else {
                return;
            };
            *self.under_way.entry(guild).or_default() += 1;
        }
    }

    /// The next page of a server's member list to read.
    fn take_page(&mut self, now: Instant) -> Option<(GuildId, UserId)> {
        let mut guilds = self.pages.keys().copied();
        let guild = guilds.find(|guild| self.may_read(*guild, now))?;
        self.pages.remove_entry(&guild)
    }

    /// The next people to read, of one server.
    fn take_chunk(&mut self, now: Instant) -> Option<(GuildId, Vec<UserId>)> {
        let mut keys = self.due.keys();
        let guild = keys.find(|(_, guild)| self.may_read(*guild, now))?.1;
        let mut users = Vec::new();
        for tier in [Tier::JustNow, Tier::Concerned, Tier::Other] {
            let Some(due) = self.due.get_mut(&(tier, guild)) else {
                continue;
            };
            while users.len() < CHUNK
                && let Some(user) = due.pop_first()
            {
                users.push(user);
            }
            if due.is_empty() {
                self.due.remove(&(tier, guild));
            }
        }
        users.sort_unstable();
        users.dedup();
        Some((guild, users))
    }

    pub(super) fn failed(&mut self, guild: GuildId, error: &anyhow::Error, now: Instant) {
        // Whoever waits is told that it failed.
        self.syncing.remove(&guild);
        // One of several that were under way when the first failed.
        if !self.may_read(guild, now) {
            return;
        }
        let sentence = format!("{error:#}");
        let reason = error.downcast_ref::<Failure>().and_then(Failure::reason);
        let longest = match reason {
            Some(Reason::Guild) => LONGEST_AFTER_REFUSAL,
            _ => LONGEST_RETRY,
        };
        let before = self.unreadable.remove(&guild);
        if before.as_ref().map(|before| &before.sentence) != Some(&sentence) {
            warn!(%guild, error = sentence, "the server's members could not be read");
        }
        let tries = before.map_or(0, |before| before.tries);
        let unreadable = Unreadable {
            tries: tries.saturating_add(1),
            sentence,
            retry_at: now + doubled((RETRY, longest), tries),
        };
        self.unreadable.insert(guild, unreadable);
    }
}

#[cfg(test)]
mod tests;
