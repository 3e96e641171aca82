//! What managers did in a server, and the journal's numbering, which acts and role changes share.

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::{self, decode, encode};
use super::tables::{ACTS, META, META_FALLBACK, META_SEQUENCE, STOPPED};
use crate::domain::{Act, ActEntry, Drift, GuildId, ModuleAddress, Timestamp, UserId};

/// Acts among which the last drift is looked for.
const DRIFTS_LOOKED_AT: usize = 100;

impl Store {
    /// Notes an act in its server's journal. An approval also ends the stop of its role's removals.
    pub fn note_act(&self, entry: &ActEntry) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        append(&transaction, entry)?;
        if let Act::Approved { role, .. } = entry.act {
            let mut stopped = transaction.open_table(STOPPED)?;
            stopped.remove((entry.guild.0, role.0))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Notes that the chain cannot be followed since then, or (`None`) that it is again, and tells it in the journals of these
    /// servers.
    pub fn set_fallback(
        &self,
        since: Option<Timestamp>,
        entries: &[ActEntry],
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            match since {
                Some(since) => {
                    meta.insert(META_FALLBACK, since.0.to_le_bytes().as_slice())?;
                }
                None => {
                    meta.remove(META_FALLBACK)?;
                }
            }
        }
        for entry in entries {
            append(&transaction, entry)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Since when the chain cannot be followed, if it was so last.
    pub fn fallback_since(&self) -> anyhow::Result<Option<Timestamp>> {
        let transaction = self.database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let since = meta.get(META_FALLBACK)?;
        let since = since.and_then(|bytes| bytes.value().try_into().ok());
        Ok(since.map(|bytes| Timestamp(u64::from_le_bytes(bytes))))
    }

    /// Notes in the journal of each server whose gates ask about these modules that their events were contradicted. That no
    /// node tells of what is missing is not said twice in a row.
    pub fn note_drift(
        &self,
        modules: &BTreeSet<ModuleAddress>,
        drift: &Drift,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let gates = self.gates()?.into_iter();
        let of_modules = gates.filter(|gate| modules.contains(&gate.module));
        let guilds: BTreeSet<_> = of_modules.map(|gate| gate.guild).collect();
        let transaction = self.database.begin_write()?;
        for guild in guilds {
            let act = Act::Drift(drift.clone());
            let mut is_told = false;
            if drift.events == 0 {
                let table = transaction.open_table(ACTS)?;
                for entry in newest(&table, guild)?.take(DRIFTS_LOOKED_AT) {
                    let entry = entry?;
                    if matches!(entry.act, Act::Drift(_)) {
                        is_told = entry.act == act;
                        break;
                    }
                }
            }
            if !is_told {
                let by = None;
                append(&transaction, &ActEntry { at, guild, by, act })?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The acts in a server, newest first, at most `limit`.
    pub fn acts(&self, guild: GuildId, limit: usize) -> anyhow::Result<Vec<ActEntry>> {
        let transaction = self.database.begin_read()?;
        newest(&transaction.open_table(ACTS)?, guild)?
            .take(limit)
            .collect()
    }

    /// The servers in which anything was done.
    pub fn servers_with_acts(&self) -> anyhow::Result<BTreeSet<GuildId>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ACTS)?;
        let mut servers = BTreeSet::new();
        let mut from = 0;
        while let Some(row) = table.range((from, 0)..)?.next() {
            let (guild, _) = row?.0.value();
            servers.insert(GuildId(guild));
            match guild.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(servers)
    }

    /// The acts of one person, in every server, oldest first. Reads all acts: for rare questions.
    pub fn acts_by(&self, user: UserId) -> anyhow::Result<Vec<ActEntry>> {
        let transaction = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in transaction.open_table(ACTS)?.iter()? {
            let entry: ActEntry = decode(row?.1.value())?;
            if entry.by == Some(user) {
                found.push(entry);
            }
        }
        Ok(found)
    }
}

/// The acts in a server, newest first.
pub(super) fn newest<'a>(
    table: &'a impl redb::ReadableTable<(u64, u64), &'static [u8]>,
    guild: GuildId,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<ActEntry>> + 'a> {
    let rows = table.range((guild.0, 0)..=(guild.0, u64::MAX))?;
    Ok(rows.rev().map(|row| decode(row?.1.value())))
}

/// Appends an act to its server's journal.
pub(super) fn append(transaction: &WriteTransaction, entry: &ActEntry) -> anyhow::Result<()> {
    let sequence = next_sequence(transaction)?;
    let mut acts = transaction.open_table(ACTS)?;
    acts.insert((entry.guild.0, sequence), encode(entry).as_slice())?;
    Ok(())
}

/// The next number of the journal; none is given twice.
pub(super) fn next_sequence(transaction: &WriteTransaction) -> anyhow::Result<u64> {
    let next = peek_sequence(transaction)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_SEQUENCE, (next + 1).to_le_bytes().as_slice())?;
    Ok(next)
}

/// The number that [`next_sequence`] gives next.
pub(super) fn peek_sequence(transaction: &WriteTransaction) -> anyhow::Result<u64> {
    let meta = transaction.open_table(META)?;
    let next = meta.get(META_SEQUENCE)?;
    let next = next.and_then(|bytes| Some(u64::from_le_bytes(bytes.value().try_into().ok()?)));
    Ok(next.unwrap_or(0))
}

/// To whom something was done.
fn member_of(act: &mut Act) -> Option<&mut UserId> {
    match act {
        Act::Granted { user, .. } | Act::GrantEnded { user, .. } | Act::Invited { user } => {
            Some(user)
        }
        Act::Connected
        | Act::Disconnected { .. }
        | Act::Gate { .. }
        | Act::Settings { .. }
        | Act::RoleMade { .. }
        | Act::Approved { .. }
        | Act::Tested { .. }
        | Act::Drift(_)
        | Act::FallbackBegan
        | Act::FallbackEnded => None,
    }
}

/// What was done stays, but not by whom or to whom. Reads all acts.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut acts = transaction.open_table(ACTS)?;
    codec::rewrite(&mut acts, |_, row| {
        let mut entry: ActEntry = decode(row)?;
        let mut is_about = false;
        for named in entry.by.iter_mut().chain(member_of(&mut entry.act)) {
            if *named == user {
                *named = UserId(0);
                is_about = true;
            }
        }
        Ok(is_about.then(|| encode(&entry)))
    })?;
    Ok(())
}
