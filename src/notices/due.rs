//! What is to be said now, read from the store: at most one message for each lane.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Names;
use super::alerts::{self, Facts, Holding};
use super::deliver::{Job, Lane, What, nonce};
use super::digest::{WEEK, digest, newest_monday};
use super::members::{Around, is_repeated, is_told, together};
use super::warnings::Warning;
use crate::domain::{
    AlertPhase, AlertRow, ChainStatus, ChannelId, DiscordStatus, DriftMode, GuildId, JournalEntry,
    Message, ModuleAddress, ReadingState, ServerSettings, Timestamp, UserId,
};
use crate::store::{Notice, Store, Stream, Told};
use crate::text;

/// Entries of the journal that are looked at for one message.
const WINDOW: usize = 200;
/// Entries of a member's journal that are looked at for the change before.
const MEMBER_WINDOW: usize = 50;
/// Messages that may be sent to channels while many are sent to members.
const FOR_CHANNELS: usize = 4;
/// Acts of managers that are looked at for who made a gate.
const MOST_ACTS: usize = 200;
/// Discord's most characters in one message.
const MOST_CHARACTERS: usize = 2_000;
/// A moved wallet is news for so many seconds; whoever could not be told by then never is.
const MOVED_NEWS: u64 = 7 * 86_400;
/// A digest waits for so many seconds, of this run, for what the chain says.
const DIGEST_WAITS: u64 = 3_600;

/// What is looked at.
pub(super) struct Look {
    pub(super) store: Store,
    pub(super) chain: ChainStatus,
    pub(super) discord: DiscordStatus,
    pub(super) mode: DriftMode,
    pub(super) names: Names,
    pub(super) chain_id: u64,
    pub(super) time: Timestamp,
    /// Since when there are notices (machine clock).
    pub(super) begun: Timestamp,
    pub(super) instant: Instant,
    pub(super) hold: Duration,
    /// Lanes in which nothing can be said now.
    pub(super) taken: BTreeSet<Lane>,
    /// Messages that may be sent.
    pub(super) room: usize,
    pub(super) holding: Holding,
    pub(super) warnings: Vec<Warning>,
    pub(super) at_risk: Option<BTreeMap<GuildId, usize>>,
}

/// What is to be said, and what is looked at again.
pub(super) struct Found {
    pub(super) jobs: Vec<Job>,
    pub(super) holding: Holding,
    pub(super) warnings: Vec<Warning>,
    pub(super) settings: BTreeMap<GuildId, ServerSettings>,
}

/// What is to be said now.
pub(super) fn jobs(mut look: Look) -> anyhow::Result<Found> {
    let settings = look.store.all_settings()?;
    let alerts = look.alerts(&settings)?;
    let mut jobs = Vec::new();
    for (guild, of) in &settings {
        let channel = |channel| Lane::Channel(*guild, channel);
        if let Some(lane) = look.free(of.alert_channel.or(of.log_channel).map(channel)) {
            let is_due = |((of, _), row): &(&alerts::Key, &AlertRow)| {
                of == guild && row.phase != AlertPhase::Standing
            };
            let first = alerts.iter().filter(is_due).min_by_key(|(_, row)| row.at);
            let job = first.map(|(key, row)| alert_job(lane, key.clone(), row.clone()));
            look.put(&mut jobs, job);
        }
        if let Some(lane) = look.free(of.log_channel.map(channel)) {
            let mut job = look.log_job(lane, *guild)?;
            if job.is_none() {
                job = look.digest_job(lane, *guild)?;
            }
            look.put(&mut jobs, job);
        }
        let members = (of.member_notices == Some(true)).then_some(Lane::Members(*guild));
        if let Some(lane) = look.free(members) {
            let job = look.members_job(lane, *guild)?;
            look.put(&mut jobs, job);
        }
    }
    for notice in look.store.notices()? {
        if notice.moved_at.plus(MOVED_NEWS) < look.time {
            let former = notice.former;
            tracing::warn!(%former, "the former owner of a wallet was not told: Discord would not for too long");
            look.store.remove_notice(&notice)?;
        } else if let Some(lane) = look.free(Some(Lane::Member(notice.former))) {
            look.put(&mut jobs, Some(moved_job(lane, notice)));
        }
    }
    for warning in std::mem::take(&mut look.warnings) {
        match look.free(Some(Lane::Member(warning.user))) {
            Some(_) => {
                look.put(&mut jobs, warning.job(&look.store, &look.names)?);
            }
            None => look.warnings.push(warning),
        }
    }
    Ok(Found {
        jobs,
        holding: look.holding,
        warnings: look.warnings,
        settings,
    })
}

impl Look {
    /// The lane, if something can be said in it now. Channels have places that members, of whom there are many, do not take.
    fn free(&self, lane: Option<Lane>) -> Option<Lane> {
        let is_channel = matches!(lane, Some(Lane::Channel(..)));
        let kept = if is_channel { 0 } else { FOR_CHANNELS };
        lane.filter(|lane| self.room > kept && !self.taken.contains(lane))
    }

    fn put(&mut self, jobs: &mut Vec<Job>, job: Option<Job>) {
        if let Some(job) = job {
            self.taken.insert(job.lane);
            self.room -= 1;
            jobs.push(job);
        }
    }

    /// The rows of alerts, those that begin and end now included.
    fn alerts(
        &mut self,
        settings: &BTreeMap<GuildId, ServerSettings>,
    ) -> anyhow::Result<BTreeMap<alerts::Key, AlertRow>> {
        let channels: BTreeMap<GuildId, ChannelId> = settings
            .iter()
            .filter_map(|(guild, of)| Some((*guild, of.alert_channel.or(of.log_channel)?)))
            .collect();
        let mut rows = self.store.alerts()?;
        if channels.is_empty() && rows.is_empty() {
            return Ok(rows);
        }
        let mut modules: BTreeMap<GuildId, BTreeSet<ModuleAddress>> = BTreeMap::new();
        for gate in self.store.gates()? {
            modules.entry(gate.guild).or_default().insert(gate.module);
        }
        let unknown = self.store.unknown_logs()?;
        let unknown = unknown.iter().map(|logs| ModuleAddress(logs.address));
        let facts = Facts {
            chain: &self.chain,
            discord: &self.discord,
            mode: self.mode,
            chain_id: self.chain_id,
            modules: &modules,
            unknown: &unknown.collect(),
            channels: &channels,
            time: self.time,
            instant: self.instant,
        };
        let changes = alerts::changes(&facts, &rows, &mut self.holding, self.hold);
        if !changes.is_empty() {
            self.store.set_alerts(&changes)?;
        }
        for (key, row) in changes {
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
        Ok(rows)
    }

    /// The next lines of the log. What is on its way is noted before it is sent, so that after a crash the same lines go under
    /// the same nonce.
    fn log_job(&self, lane: Lane, guild: GuildId) -> anyhow::Result<Option<Job>> {
        let Some(told) = self.store.told(guild, Stream::Log)? else {
            return Ok(None);
        };
        let happened = self.store.happened_from(guild, told.before, WINDOW)?;
        let is_resumed = told.sending > told.before;
        let mut lines: Vec<String> = Vec::new();
        let (mut length, mut sending) = (0, told.before);
        for (number, happened) in &happened {
            if is_resumed && *number >= told.sending {
                break;
            }
            if let Some(line) = text::log_line(happened, self.chain_id) {
                length += line.chars().count() + 1;
                if length > MOST_CHARACTERS {
                    break;
                }
                lines.push(line);
            }
            sending = number + 1;
        }
        let told = Told {
            before: told.before,
            sending: told.sending.max(sending),
        };
        if told.sending == told.before {
            return Ok(None);
        }
        if lines.is_empty() {
            let passed = Told::up_to(told.sending);
            self.store.set_told(guild, Stream::Log, passed)?;
            return Ok(None);
        }
        self.store.set_told(guild, Stream::Log, told)?;
        Ok(Some(Job {
            lane,
            to: None,
            message: Message {
                content: lines.join("\n"),
                nonce: nonce(&[
                    b"log",
                    &guild.0.to_be_bytes(),
                    &told.before.to_be_bytes(),
                    &told.sending.to_be_bytes(),
                ]),
                button: None,
            },
            what: What::Journal(guild, Stream::Log, told),
        }))
    }

    /// The next change of which a member is told, marked as on its way.
    fn members_job(&self, lane: Lane, guild: GuildId) -> anyhow::Result<Option<Job>> {
        let Some(told) = self.store.told(guild, Stream::Members)? else {
            return Ok(None);
        };
        let mut entries = self.store.journal_from(guild, told.before, WINDOW)?;
        if told.sending > told.before {
            entries.retain(|(number, _)| *number < told.sending);
        }
        // The names of roles come with the reading of the server.
        let server = self.discord.servers.get(&guild);
        if entries.is_empty() && told.sending == told.before
            || server.is_some_and(|server| server.reading == ReadingState::NotYet)
        {
            return Ok(None);
        }
        let first = self.first_told(guild, &entries)?;
        let Some(first) = first else {
            let last = entries.last().map_or(told.before, |(number, _)| number + 1);
            let passed = Told::up_to(last.max(told.sending));
            self.store.set_told(guild, Stream::Members, passed)?;
            return Ok(None);
        };
        let entries = &entries[first..];
        let (roles, count) = together(entries);
        let (before, entry) = &entries[0];
        let sending = entries[count - 1].0 + 1;
        let told = Told {
            before: *before,
            sending,
        };
        self.store.set_told(guild, Stream::Members, told)?;
        let named: Vec<_> = roles
            .iter()
            .map(|role| (self.names)(guild, *role))
            .collect();
        let server = named.first().map(|(server, _)| server.clone());
        let roles: Vec<_> = named.into_iter().filter_map(|(_, role)| role).collect();
        let change = &entry.change;
        let server = server.unwrap_or_default();
        Ok(Some(Job {
            lane,
            to: Some(change.user),
            message: Message {
                content: text::role_notice(change.action, &roles, &server, &change.cause),
                nonce: nonce(&[
                    b"member",
                    &guild.0.to_be_bytes(),
                    &told.before.to_be_bytes(),
                    &told.sending.to_be_bytes(),
                ]),
                button: Some(super::stop_button()),
            },
            what: What::Journal(guild, Stream::Members, told),
        }))
    }

    /// Which of these changes is the first that its member is told of.
    fn first_told(
        &self,
        guild: GuildId,
        entries: &[(u64, JournalEntry)],
    ) -> anyhow::Result<Option<usize>> {
        let acts = self.store.acts(guild, MOST_ACTS)?;
        for (index, (number, entry)) in entries.iter().enumerate() {
            let paid = entry.change.cause.mark();
            let paid_at = match paid {
                Some(mark) => self.store.time_of_block(mark.position.block)?,
                None => None,
            };
            let around = Around {
                paid_at,
                decided_at: self.store.time_of_block(entry.block)?,
                linked_at: self.newest_link(entry.change.user)?,
                acts: &acts,
            };
            let user = entry.change.user;
            if is_told(entry, around, self.time)
                && self.takes_messages(user)?
                && !is_repeated(
                    entry,
                    &self.store.journal_before(user, *number, MEMBER_WINDOW)?,
                )
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn newest_link(&self, user: UserId) -> anyhow::Result<Option<Timestamp>> {
        let links = self.store.links_of(user)?;
        Ok(links.iter().map(|link| link.linked_at).max())
    }

    fn takes_messages(&self, user: UserId) -> anyhow::Result<bool> {
        let known = self.store.direct_messages(user)?;
        Ok(!known.opted_out && self.time >= known.closed_until)
    }

    /// The weekly digest, when it is due.
    fn digest_job(&self, lane: Lane, guild: GuildId) -> anyhow::Result<Option<Job>> {
        let monday = newest_monday(self.time);
        if self.store.last_digest(guild, self.time)? >= monday {
            return Ok(None);
        }
        if self.at_risk.is_none() && self.time < monday.max(self.begun).plus(DIGEST_WAITS) {
            return Ok(None);
        }
        let at_risk = self.at_risk.as_ref();
        let at_risk = at_risk.map(|all| all.get(&guild).copied().unwrap_or_default());
        let since = Timestamp(monday.0.saturating_sub(WEEK));
        let mut made = self.store.made_in(guild, since)?;
        made.retain(|entry| entry.at < monday);
        Ok(Some(Job {
            lane,
            to: None,
            message: Message {
                content: text::digest(&digest(&made, at_risk)),
                nonce: nonce(&[b"digest", &guild.0.to_be_bytes(), &monday.0.to_be_bytes()]),
                button: None,
            },
            what: What::Digest(guild, monday),
        }))
    }
}

fn alert_job(lane: Lane, key: alerts::Key, row: AlertRow) -> Job {
    let is_start = row.phase == AlertPhase::Starting;
    let content = match is_start {
        true => text::alert_begins(&row.text),
        false => text::alert_ends(&row.text),
    };
    Job {
        lane,
        to: None,
        message: Message {
            content: content.chars().take(MOST_CHARACTERS).collect(),
            nonce: nonce(&[
                b"alert",
                &key.0.0.to_be_bytes(),
                key.1.as_bytes(),
                &row.at.0.to_be_bytes(),
                &[u8::from(is_start)],
            ]),
            button: None,
        },
        what: What::Alert(key, row),
    }
}

fn moved_job(lane: Lane, notice: Notice) -> Job {
    let Notice {
        former,
        wallet,
        moved_at,
    } = notice;
    Job {
        lane,
        to: Some(former),
        message: Message {
            content: text::wallet_moved(wallet, moved_at),
            nonce: nonce(&[
                wallet.0.as_slice(),
                &former.0.to_be_bytes(),
                &moved_at.0.to_be_bytes(),
            ]),
            button: None,
        },
        what: What::Moved(notice),
    }
}
