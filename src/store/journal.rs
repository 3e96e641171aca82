//! The journal of every role change, by time, by member and by server.

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::codec::{decode, encode};
use super::tables::{ACTS, HEADERS, JOURNAL, MEMBER_JOURNAL, SERVER_JOURNAL};
use super::{Store, acts, forgotten};
use crate::domain::{GuildId, Happened, JournalEntry, Outcome, Timestamp, UserId};

impl Store {
    /// The newest `limit` journal entries, newest first.
    pub fn journal(&self, limit: usize) -> anyhow::Result<Vec<JournalEntry>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(JOURNAL)?;
        let rows = table.iter()?.rev().take(limit);
        rows.map(|row| decode(row?.1.value())).collect()
    }

    /// The journal's role changes that were made since `from` (machine clock), newest first.
    pub fn made_since(&self, from: Timestamp) -> anyhow::Result<Vec<JournalEntry>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(JOURNAL)?;
        let mut made = Vec::new();
        for row in table.iter()?.rev() {
            let entry: JournalEntry = decode(row?.1.value())?;
            if entry.at < from {
                break;
            }
            if entry.outcome == Outcome::Done {
                made.push(entry);
            }
        }
        Ok(made)
    }

    /// The role changes of a server that were made since `from` (machine clock), newest first.
    pub fn made_in(&self, guild: GuildId, from: Timestamp) -> anyhow::Result<Vec<JournalEntry>> {
        let transaction = self.database.begin_read()?;
        let journal = transaction.open_table(JOURNAL)?;
        let by_server = transaction.open_table(SERVER_JOURNAL)?;
        let mut made = Vec::new();
        for row in by_server.range((guild.0, 0)..=(guild.0, u64::MAX))?.rev() {
            let (_, sequence) = row?.0.value();
            let Some(entry) = journal.get(sequence)? else {
                continue;
            };
            let entry: JournalEntry = decode(entry.value())?;
            if entry.at < from {
                break;
            }
            if entry.outcome == Outcome::Done {
                made.push(entry);
            }
        }
        Ok(made)
    }

    /// What happened in a server before this number of the journal, newest first, at most `limit`, each with its number.
    pub fn happened_in(
        &self,
        guild: GuildId,
        before: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<(u64, Happened)>> {
        let transaction = self.database.begin_read()?;
        let journal = transaction.open_table(JOURNAL)?;
        let by_server = transaction.open_table(SERVER_JOURNAL)?;
        let acts = transaction.open_table(ACTS)?;
        let range = (guild.0, 0)..(guild.0, before);
        let mut happened = Vec::new();
        for row in by_server.range(range.clone())?.rev().take(limit) {
            let (_, sequence) = row?.0.value();
            if let Some(entry) = journal.get(sequence)? {
                happened.push((sequence, Happened::Role(decode(entry.value())?)));
            }
        }
        for row in acts.range(range)?.rev().take(limit) {
            let (key, entry) = row?;
            happened.push((key.value().1, Happened::Act(decode(entry.value())?)));
        }
        happened.sort_unstable_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        happened.truncate(limit);
        Ok(happened)
    }

    /// The chain's time at a block that was followed; `None` where its header is not kept.
    pub fn time_of_block(&self, number: u64) -> anyhow::Result<Option<Timestamp>> {
        let transaction = self.database.begin_read()?;
        let headers = transaction.open_table(HEADERS)?;
        let header = headers.get(number)?;
        Ok(header.map(|header| Timestamp(header.value().1)))
    }
}

/// Appends role changes; of members who asked to be forgotten nothing is noted.
pub(super) fn append(
    transaction: &WriteTransaction,
    entries: &[JournalEntry],
) -> anyhow::Result<()> {
    for entry in entries {
        if forgotten::is_forgotten(transaction, entry.change.user)? {
            continue;
        }
        let sequence = acts::next_sequence(transaction)?;
        let mut journal = transaction.open_table(JOURNAL)?;
        journal.insert(sequence, encode(entry).as_slice())?;
        let mut by_member = transaction.open_table(MEMBER_JOURNAL)?;
        by_member.insert((entry.change.user.0, sequence), ())?;
        let mut by_server = transaction.open_table(SERVER_JOURNAL)?;
        by_server.insert((entry.change.guild.0, sequence), ())?;
    }
    Ok(())
}

/// Removes the role changes of a member.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut journal = transaction.open_table(JOURNAL)?;
    let mut by_member = transaction.open_table(MEMBER_JOURNAL)?;
    let mut by_server = transaction.open_table(SERVER_JOURNAL)?;
    let mut sequences = Vec::new();
    for row in by_member.range((user.0, 0)..=(user.0, u64::MAX))? {
        sequences.push(row?.0.value().1);
    }
    for sequence in sequences {
        let removed = journal.remove(sequence)?;
        let removed = removed
            .map(|row| decode::<JournalEntry>(row.value()))
            .transpose()?;
        if let Some(entry) = removed {
            by_server.remove((entry.change.guild.0, sequence))?;
        }
        by_member.remove((user.0, sequence))?;
    }
    Ok(())
}
