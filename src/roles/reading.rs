//! Who is read from Discord and when: everyone of interest by id after a start, after a lost session, and round and round
//! where no member events come; for claimed roles the whole member list, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::people::{People, Presence};
use super::{MOST_AT_ONCE, Roles};
use crate::discord::{Discord, Failure, Observation, Reason, SeenMember};
use crate::domain::{
    GuildId, ManualRoles, MembersIntent, ReadingState, RoleAction, SyncOutcome, UserId,
};

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
/// A new session announces each server once, within this time.
const ANNOUNCING: Duration = Duration::from_secs(60);
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
    guild: GuildId,
    /// [`People::news`] of the moment of asking.
    asked: u64,
    read: Read,
}

#[derive(Debug)]
enum Read {
    People(
        Vec<UserId>,
        anyhow::Result<Vec<(UserId, Option<SeenMember>)>>,
    ),
    Page(UserId, anyhow::Result<(Vec<SeenMember>, bool)>),
}

/// A server that cannot be read.
#[derive(Debug)]
struct Unreadable {
    tries: u32,
    sentence: String,
    retry_at: Instant,
}

/// What is to be read, and what is being read.
#[derive(Debug)]
pub(super) struct Reading {
    due: BTreeMap<(Tier, GuildId), BTreeSet<UserId>>,
    /// After whom the next page of a server's member list begins.
    pages: BTreeMap<GuildId, UserId>,
    requests: JoinSet<Answer>,
    /// Requests under way, by server.
    under_way: BTreeMap<GuildId, usize>,
    unreadable: BTreeMap<GuildId, Unreadable>,
    /// Servers that the bot was removed from.
    gone: BTreeSet<GuildId>,
    /// Servers that the session has not announced yet.
    unannounced: BTreeSet<GuildId>,
    /// Nothing is read before.
    begin_at: Instant,
    /// When everyone became due last, or the session began.
    round_at: Instant,
    /// Who waits for a server to be read and checked.
    syncing: BTreeMap<GuildId, Vec<oneshot::Sender<SyncOutcome>>>,
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
            syncing: BTreeMap::new(),
        }
    }

    /// When there is something to do by itself.
    pub(super) fn next_at(&self, intent: MembersIntent) -> Option<Instant> {
        let is_idle = self.due.is_empty() && self.pages.is_empty() && self.requests.is_empty();
        let round = is_idle.then(|| self.round_at + period(intent));
        let now = Instant::now();
        let begin = Some(self.begin_at).filter(|at| *at > now);
        let retries = self
            .unreadable
            .values()
            .map(|unreadable| unreadable.retry_at);
        retries
            .filter(|at| *at > now)
            .chain(round)
            .chain(begin)
            .min()
    }

    /// The next answer; never without a request under way.
    pub(super) async fn answered(&mut self) -> anyhow::Result<Answer> {
        match self.requests.join_next().await {
            Some(answer) => answer.context("reading members failed"),
            None => std::future::pending().await,
        }
    }

    /// Everyone in a server is to be read.
    fn want_server(&mut self, people: &People, guild: GuildId) {
        for (user, _) in people.seated(guild) {
            self.want(tier(people, guild, user), guild, user);
        }
        if people.policy().manual_roles == ManualRoles::Claim && !people.gates(guild).is_empty() {
            self.pages.insert(guild, UserId(0));
        }
    }

    fn want_everyone(&mut self, people: &People, now: Instant) {
        self.round_at = now;
        for guild in people.guilds() {
            self.want_server(people, guild);
        }
    }

    fn want(&mut self, tier: Tier, guild: GuildId, user: UserId) {
        self.due.entry((tier, guild)).or_default().insert(user);
    }

    /// Whether nothing of the server is to be read.
    pub(super) fn is_read(&self, guild: GuildId) -> bool {
        !self.under_way.contains_key(&guild)
            && !self.pages.contains_key(&guild)
            && self.due.keys().all(|(_, other)| *other != guild)
    }

    /// Someone who paid or verified just now is read first wherever they were not read yet.
    pub(super) fn want_first(&mut self, people: &People, user: UserId) {
        let seats = people
            .person(user)
            .into_iter()
            .flat_map(|person| &person.seats);
        for seat in seats.filter(|seat| seat.presence == Presence::Unknown) {
            self.want(Tier::JustNow, seat.guild, user);
        }
    }

    fn may_read(&self, guild: GuildId, now: Instant) -> bool {
        let waits = self
            .unreadable
            .get(&guild)
            .is_some_and(|one| now < one.retry_at);
        !waits && !self.gone.contains(&guild)
    }

    /// Sends as many requests as may be under way.
    fn start(&mut self, people: &People, discord: &Discord, now: Instant) {
        while now >= self.begin_at && self.requests.len() < MOST_REQUESTS {
            let asked = people.news();
            if let Some((guild, users)) = self.take_chunk(now) {
                let discord = discord.clone();
                *self.under_way.entry(guild).or_default() += 1;
                self.requests.spawn(async move {
                    let read = discord.members(guild, &users).await;
                    let read = Read::People(users, read);
                    Answer { guild, asked, read }
                });
                continue;
            }
            let page = self
                .pages
                .iter()
                .find(|(guild, _)| self.may_read(**guild, now));
            let Some((guild, after)) = page.map(|(guild, after)| (*guild, *after)) else {
                return;
            };
            self.pages.remove(&guild);
            *self.under_way.entry(guild).or_default() += 1;
            let discord = discord.clone();
            self.requests.spawn(async move {
                let read = discord.page_of_members(guild, after).await;
                let read = Read::Page(after, read);
                Answer { guild, asked, read }
            });
        }
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

    fn failed(&mut self, guild: GuildId, error: &anyhow::Error) {
        // Whoever waits is told that it failed.
        self.syncing.remove(&guild);
        let sentence = format!("{error:#}");
        let reason = error.downcast_ref::<Failure>().and_then(Failure::reason);
        let longest = match reason {
            Some(Reason::Guild) => LONGEST_AFTER_REFUSAL,
            _ => LONGEST_RETRY,
        };
        let before = self.unreadable.remove(&guild);
        if before
            .as_ref()
            .is_none_or(|before| before.sentence != sentence)
        {
            warn!(%guild, error = sentence, "the server's members could not be read");
        }
        let tries = before.map_or(0, |before| before.tries);
        let pause = RETRY
            .saturating_mul(2_u32.saturating_pow(tries))
            .min(longest);
        let unreadable = Unreadable {
            tries: (tries + 1).min(16),
            sentence,
            retry_at: Instant::now() + pause,
        };
        self.unreadable.insert(guild, unreadable);
    }
}

fn period(intent: MembersIntent) -> Duration {
    match intent {
        MembersIntent::Used => AGAIN,
        MembersIntent::Refused | MembersIntent::Never => SWEEP,
    }
}

fn tier(people: &People, guild: GuildId, user: UserId) -> Tier {
    if people.concerns(user, guild) {
        Tier::Concerned
    } else {
        Tier::Other
    }
}

impl Roles {
    /// Takes an observation, and others that are waiting.
    pub(super) fn take_observations(&mut self, first: Observation) {
        self.take_observation(first);
        for _ in 1..MOST_AT_ONCE {
            let Ok(next) = self.inputs.observations.try_recv() else {
                return;
            };
            self.take_observation(next);
        }
    }

    fn take_observation(&mut self, observation: Observation) {
        let now = Instant::now();
        match observation {
            Observation::Connected => {
                self.reading.begin_at = now;
                self.reading.unannounced = self.people.guilds();
                self.reading.want_everyone(&self.people, now);
            }
            Observation::GuildAvailable(guild) => {
                let was_gone = self.reading.gone.remove(&guild)
                    | self.reading.unreadable.remove(&guild).is_some();
                let is_announced = self.reading.unannounced.remove(&guild)
                    && now < self.reading.round_at + ANNOUNCING;
                if was_gone || !is_announced {
                    self.reading.want_server(&self.people, guild);
                }
            }
            Observation::GuildGone(guild) => {
                self.reading.gone.insert(guild);
            }
            // The worker reads the roles again.
            Observation::RolesChanged(_) => {}
            Observation::RoleDeleted { guild, role } => self.people.strike_role(guild, role),
            Observation::MemberSeen {
                guild,
                user,
                roles,
                pending,
            } => self.people.see(guild, user, &roles, pending),
            Observation::MemberLeft { guild, user } => self.people.left(guild, user),
        }
    }

    /// Wants who is new, and whoever is due again; sends the requests.
    pub(super) fn read_on(&mut self) {
        let now = Instant::now();
        for (guild, user) in self.people.take_unread() {
            self.reading
                .want(tier(&self.people, guild, user), guild, user);
        }
        let intent = self.inputs.discord_status.borrow().members_intent;
        let is_idle = self.reading.due.is_empty() && self.reading.pages.is_empty();
        if is_idle && now >= self.reading.round_at + period(intent) {
            self.reading.want_everyone(&self.people, now);
        }
        self.reading.start(&self.people, &self.discord, now);
    }

    /// Takes what was read.
    pub(super) fn take_answer(&mut self, Answer { guild, asked, read }: Answer) {
        if let Some(requests) = self.reading.under_way.get_mut(&guild) {
            *requests -= 1;
            if *requests == 0 {
                self.reading.under_way.remove(&guild);
            }
        }
        let failure = match read {
            Read::People(_, Ok(shown)) => {
                for (user, shown) in &shown {
                    let shown = shown
                        .as_ref()
                        .map(|one| (one.roles.as_slice(), one.pending));
                    self.people.read(guild, *user, shown, asked);
                }
                None
            }
            Read::People(users, Err(error)) => {
                for user in users {
                    let tier = tier(&self.people, guild, user);
                    self.reading.want(tier, guild, user);
                }
                Some(error)
            }
            Read::Page(after, Ok((page, is_full))) => {
                if after == UserId(0) {
                    self.people.forget_claimed(guild);
                }
                if let Some(last) = page.last().filter(|_| is_full) {
                    self.reading.pages.insert(guild, last.user);
                }
                for member in page {
                    self.people.see_listed(
                        guild,
                        member.user,
                        &member.roles,
                        member.pending,
                        asked,
                    );
                }
                None
            }
            Read::Page(after, Err(error)) => {
                self.reading.pages.insert(guild, after);
                Some(error)
            }
        };
        match failure {
            Some(error) => {
                self.reading.failed(guild, &error);
                let state = ReadingState::Failed(format!("{error:#}"));
                self.discord.show_reading(guild, state);
            }
            None => {
                self.reading.unreadable.remove(&guild);
                if self.reading.is_read(guild) {
                    info!(%guild, "server read");
                    self.discord.show_reading(guild, ReadingState::Done);
                }
            }
        }
    }

    /// Reads a server for whoever asked; the answer follows in [`Self::tell_synced`].
    pub(super) fn sync(&mut self, guild: GuildId, answer: oneshot::Sender<SyncOutcome>) {
        if self.people.roles_of(guild).is_empty() {
            let _gone = answer.send(SyncOutcome::default());
            return;
        }
        self.reading.syncing.entry(guild).or_default().push(answer);
        self.reading.unreadable.remove(&guild);
        self.reading.want_server(&self.people, guild);
        let seated: Vec<_> = self.people.seated(guild).map(|(user, _)| user).collect();
        for user in seated {
            self.people.touch(user);
        }
    }

    /// Answers those whose server was read, now that what came of it is decided.
    pub(super) fn tell_synced(&mut self) {
        let is_read = |guild: &GuildId| self.reading.is_read(*guild);
        let read: Vec<_> = self
            .reading
            .syncing
            .keys()
            .copied()
            .filter(is_read)
            .collect();
        for guild in read {
            let mut synced = SyncOutcome {
                at_tip: self.inputs.chain.borrow().at_tip,
                ..SyncOutcome::default()
            };
            for (_, seat) in self.people.seated(guild) {
                synced.members += usize::from(seat.presence >= Presence::Pending);
                for (_, state) in &seat.applied {
                    match state.outstanding() {
                        Some(RoleAction::Grant) => synced.grants += 1,
                        Some(RoleAction::Revoke) => synced.revokes += 1,
                        None => {}
                    }
                }
            }
            let held = self.held_back.iter().filter(|((of, _), _)| *of == guild);
            synced.held_back = held.map(|(_, held)| held.removals).sum();
            for answer in self.reading.syncing.remove(&guild).into_iter().flatten() {
                // Whoever asked may have gone.
                let _gone = answer.send(synced);
            }
        }
    }
}
