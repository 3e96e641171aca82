//! How far the journal was told to people, in each server that wants it: to its log channel, and to its members.
//!
//! What is told is made from the journal, so nothing is queued: there is a place in it, moved on when Discord acknowledged.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::decode;
use super::tables::{
    ACTS, CONFIG_SETTINGS, DIGESTS, JOURNAL, SERVER_JOURNAL, SERVER_SETTINGS, TOLD,
};
use crate::domain::{GuildId, Happened, JournalEntry, ServerSettings, Timestamp};

/// To whom a server's journal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// To the managers, in the log channel.
    Log,
    /// To the members whom it concerns, by direct messages.
    Members,
}

impl Stream {
    fn key(self) -> u8 {
        match self {
            Self::Log => 0,
            Self::Members => 1,
        }
    }
}

/// Two numbers in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Everything before it was told.
    pub before: u64,
    /// From there up to this one (exclusive) it is on its way, and may have arrived.
    pub sending: u64,
}

impl Told {
    /// Everything before this number was told, and nothing is on its way.
    pub fn up_to(number: u64) -> Self {
        Self {
            before: number,
            sending: number,
        }
    }
}

impl Store {
    /// How far a server's journal was told; `None` where nobody wants it.
    pub fn told(&self, guild: GuildId, stream: Stream) -> anyhow::Result<Option<Told>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(TOLD)?;
        let row = table.get((guild.0, stream.key()))?;
        Ok(row.map(|row| {
            let (before, sending) = row.value();
            Told { before, sending }
        }))
    }

    /// Notes how far it was told, unless nobody wants it any more.
    pub fn set_told(&self, guild: GuildId, stream: Stream, told: Told) -> anyhow::Result<()> {
        let key = (guild.0, stream.key());
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(TOLD)?;
            if table.get(key)?.is_some() {
                table.insert(key, (told.before, told.sending))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The role changes of a server from this number of the journal on, oldest first, at most `limit`, each with its number.
    pub fn journal_from(
        &self,
        guild: GuildId,
        from: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<(u64, JournalEntry)>> {
        journal_from(&self.database.begin_read()?, guild, from, limit)
    }

    /// The same with what managers, and the program itself, did in the server.
    pub fn happened_from(
        &self,
        guild: GuildId,
        from: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<(u64, Happened)>> {
        // One view of both: what is told ends with the last of them.
        let transaction = self.database.begin_read()?;
        let roles = journal_from(&transaction, guild, from, limit)?;
        let mut happened: Vec<_> = roles
            .into_iter()
            .map(|(number, entry)| (number, Happened::Role(entry)))
            .collect();
        let acts = transaction.open_table(ACTS)?;
        for row in acts
            .range((guild.0, from)..=(guild.0, u64::MAX))?
            .take(limit)
        {
            let (key, entry) = row?;
            happened.push((key.value().1, Happened::Act(decode(entry.value())?)));
        }
        happened.sort_unstable_by_key(|(number, _)| *number);
        // The first `limit` of both kinds together are among the first `limit` of each.
        happened.truncate(limit);
        Ok(happened)
    }

    /// The Monday of the newest week of which a server was told; sets it to `now` where none is noted, because who begins to be
    /// told is not told of the past.
    pub fn last_digest(&self, guild: GuildId, now: Timestamp) -> anyhow::Result<Timestamp> {
        let noted = {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(DIGESTS)?;
            table.get(guild.0)?.map(|monday| Timestamp(monday.value()))
        };
        match noted {
            Some(monday) => Ok(monday),
            None => self.set_digest(guild, now).map(|()| now),
        }
    }

    /// A server was told of the week that began at this moment.
    pub fn set_digest(&self, guild: GuildId, monday: Timestamp) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(DIGESTS)?.insert(guild.0, monday.0)?;
        transaction.commit()?;
        Ok(())
    }
}

fn journal_from(
    transaction: &ReadTransaction,
    guild: GuildId,
    from: u64,
    limit: usize,
) -> anyhow::Result<Vec<(u64, JournalEntry)>> {
    let by_server = transaction.open_table(SERVER_JOURNAL)?;
    let journal = transaction.open_table(JOURNAL)?;
    let mut entries = Vec::new();
    let rows = by_server.range((guild.0, from)..=(guild.0, u64::MAX))?;
    for row in rows.take(limit) {
        let (_, number) = row?.0.value();
        if let Some(entry) = journal.get(number)? {
            entries.push((number, decode(entry.value())?));
        }
    }
    Ok(entries)
}

/// After a change of settings: whoever begins to be told is told of what happens from now on, and of who is not told any more
/// nothing is kept.
pub(super) fn follow_settings(transaction: &WriteTransaction) -> anyhow::Result<()> {
    let mut settings: BTreeMap<u64, ServerSettings> = BTreeMap::new();
    for table in [CONFIG_SETTINGS, SERVER_SETTINGS] {
        for row in transaction.open_table(table)?.iter()? {
            let (guild, own) = row?;
            let above = settings.entry(guild.value()).or_default();
            *above = above.over(decode(own.value())?);
        }
    }
    let next = super::acts::peek_sequence(transaction)?;
    let mut told = transaction.open_table(TOLD)?;
    let wants = |guild: u64, stream: u8| {
        let of = settings.get(&guild);
        of.is_some_and(|of| match stream == Stream::Log.key() {
            true => of.log_channel.is_some(),
            false => of.member_notices == Some(true),
        })
    };
    told.retain(|(guild, stream), _| wants(guild, stream))?;
    for guild in settings.keys() {
        for stream in [Stream::Log, Stream::Members] {
            let key = (*guild, stream.key());
            if wants(*guild, stream.key()) && told.get(key)?.is_none() {
                told.insert(key, (next, next))?;
            }
        }
    }
    let mut digests = transaction.open_table(DIGESTS)?;
    digests.retain(|guild, _| wants(guild, Stream::Log.key()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cause, ChannelId, Outcome, RoleAction, RoleChange, RoleId, UserId};

    const GUILD: GuildId = GuildId(7);

    fn entry(user: u64) -> JournalEntry {
        JournalEntry {
            at: Timestamp(100),
            block: 5,
            change: RoleChange {
                action: RoleAction::Grant,
                guild: GUILD,
                user: UserId(user),
                role: RoleId(9),
                cause: Cause::NoSubscription,
            },
            outcome: Outcome::Done,
        }
    }

    fn set(store: &Store, log: Option<u64>, members: Option<bool>) {
        let settings = ServerSettings {
            log_channel: log.map(ChannelId),
            member_notices: members,
            ..ServerSettings::default()
        };
        store
            .set_settings(GUILD, settings, UserId(1), Timestamp(50))
            .unwrap();
    }

    #[test]
    fn who_begins_to_be_told_is_told_of_what_happens_from_then_on() {
        let store = Store::in_memory().unwrap();
        store.settle(&[entry(1)]).unwrap();
        assert_eq!(store.told(GUILD, Stream::Log).unwrap(), None);
        set(&store, Some(8), None);
        assert_eq!(store.told(GUILD, Stream::Members).unwrap(), None);
        store.settle(&[entry(2), entry(3)]).unwrap();
        let told = store.told(GUILD, Stream::Log).unwrap().unwrap();
        assert_eq!(told.before, told.sending);
        let next = store.journal_from(GUILD, told.before, 10).unwrap();
        let users: Vec<_> = next.iter().map(|(_, entry)| entry.change.user.0).collect();
        assert_eq!(users, [2, 3]);
        let sending = Told {
            before: told.before,
            sending: next[1].0,
        };
        store.set_told(GUILD, Stream::Log, sending).unwrap();
        // Another channel goes on where the former one stopped.
        set(&store, Some(80), Some(true));
        assert_eq!(store.told(GUILD, Stream::Log).unwrap(), Some(sending));
        assert!(store.told(GUILD, Stream::Members).unwrap().is_some());
        set(&store, None, Some(false));
        for stream in [Stream::Log, Stream::Members] {
            assert_eq!(store.told(GUILD, stream).unwrap(), None);
            store.set_told(GUILD, stream, sending).unwrap();
            assert_eq!(store.told(GUILD, stream).unwrap(), None, "unwanted");
        }
    }

    #[test]
    fn a_channel_of_the_configuration_is_told_from_the_start_that_first_names_it() {
        let store = Store::in_memory().unwrap();
        store.settle(&[entry(1)]).unwrap();
        let settings = ServerSettings {
            log_channel: Some(ChannelId(8)),
            ..ServerSettings::default()
        };
        let servers = [(GUILD, settings)].into();
        store.set_config(&[], &servers, Timestamp(60)).unwrap();
        let told = store.told(GUILD, Stream::Log).unwrap().unwrap();
        store.settle(&[entry(2)]).unwrap();
        store.set_config(&[], &servers, Timestamp(70)).unwrap();
        assert_eq!(store.told(GUILD, Stream::Log).unwrap(), Some(told));
        assert_eq!(store.journal_from(GUILD, told.before, 10).unwrap().len(), 1);
        store
            .disconnect(GUILD, true, UserId(1), Timestamp(80))
            .unwrap();
        assert!(store.told(GUILD, Stream::Log).unwrap().is_some());
        store
            .set_config(&[], &Default::default(), Timestamp(90))
            .unwrap();
        assert_eq!(store.told(GUILD, Stream::Log).unwrap(), None);
    }

    #[test]
    fn a_server_is_not_told_of_the_weeks_before_it_asked() {
        let store = Store::in_memory().unwrap();
        let now = Timestamp(1_000_000);
        assert_eq!(store.last_digest(GUILD, now).unwrap(), now);
        assert_eq!(store.last_digest(GUILD, now.plus(5)).unwrap(), now);
        store.set_digest(GUILD, now.plus(9)).unwrap();
        assert_eq!(store.last_digest(GUILD, now).unwrap(), now.plus(9));
    }
}
