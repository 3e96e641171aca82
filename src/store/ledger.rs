//! The roles that this program gave, what is still to be done to them, and what the brake stopped.

use std::collections::BTreeMap;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::codec::{decode, encode, read};
use super::forgotten::{self, Row, forgotten_row, state_of};
use super::tables::{APPLIED, STOPPED};
use super::{Store, journal};
use crate::domain::{
    Applied, AppliedState, GuildId, Intent, JournalEntry, MemberRole, Outcome, RoleAction,
    RoleChange, RoleId, Timestamp, UserId,
};

impl Store {
    /// Makes intents durable; call before the first request leaves.
    pub fn intend(&self, intents: &[Intent]) -> anyhow::Result<()> {
        let rows = intents
            .iter()
            .map(|Intent { change, block, .. }| (change, AppliedState::intended(change), *block));
        self.put_applied(rows)
    }

    /// These roles are ours without a change: the members held them already when they came to deserve them, for the causes of
    /// these grants.
    pub fn adopt(&self, grants: &[RoleChange], block: u64) -> anyhow::Result<()> {
        let granted = |change| (change, AppliedState::Granted, block);
        self.put_applied(grants.iter().map(granted))
    }

    fn put_applied<'a>(
        &self,
        rows: impl ExactSizeIterator<Item = (&'a RoleChange, AppliedState, u64)>,
    ) -> anyhow::Result<()> {
        if rows.len() == 0 {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(APPLIED)?;
            for (change, state, block) in rows {
                let row = row(&transaction, state, change, block)?;
                table.insert(key(change.member_role()), row.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Journals what came of changes and settles their intents, in one transaction.
    pub fn settle(&self, entries: &[JournalEntry]) -> anyhow::Result<()> {
        self.settle_and_disown(entries, &[])
    }

    /// The same; these roles are not ours, whatever came of their changes.
    pub fn settle_and_disown(
        &self,
        entries: &[JournalEntry],
        disowned: &[MemberRole],
    ) -> anyhow::Result<()> {
        if entries.is_empty() && disowned.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        journal::append(&transaction, entries)?;
        {
            let mut table = transaction.open_table(APPLIED)?;
            for entry in entries {
                let change = &entry.change;
                // Else the intent stays: it is still what should be, and the change will be tried again.
                if entry.outcome == Outcome::Done {
                    let before = state_in(&table, change)?;
                    let after = AppliedState::acknowledged(before, change.action);
                    match after {
                        Some(state) if Some(state) != before => {
                            let row = row(&transaction, state, change, entry.block)?;
                            table.insert(key(change.member_role()), row.as_slice())?;
                        }
                        Some(_newer_intent) => {}
                        None => {
                            table.remove(key(change.member_role()))?;
                        }
                    }
                }
            }
            for of in disowned {
                table.remove(key(*of))?;
            }
        }
        let settled = entries.iter().map(|entry| entry.change.user);
        let users = settled.chain(disowned.iter().map(|(_, user, _)| *user));
        forgotten::let_go(&transaction, users)?;
        transaction.commit()?;
        self.notice_added.notify_one();
        Ok(())
    }

    /// Settles intents whose member is not in the server, and removals that are not to be made for now: nothing was changed,
    /// so nothing is journaled.
    pub fn settle_not_there(&self, changes: &[(MemberRole, RoleAction)]) -> anyhow::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(APPLIED)?;
            for (of @ (_, user, _), action) in changes {
                let row: Option<Row> = read(table.get(key(*of))?)?;
                let Some((state, cause, block)) = row else {
                    continue;
                };
                if state.outstanding() != Some(*action) {
                    continue;
                }
                let is_forgotten = forgotten::is_forgotten(&transaction, *user)?;
                match state.after_leaving(is_forgotten) {
                    Some(state) => {
                        let row = encode(&(state, cause, block));
                        table.insert(key(*of), row.as_slice())?;
                    }
                    None => {
                        table.remove(key(*of))?;
                    }
                }
            }
        }
        forgotten::let_go(&transaction, changes.iter().map(|((_, user, _), _)| *user))?;
        transaction.commit()?;
        Ok(())
    }

    /// Forgets that these roles were given by this program, because they are not held any more.
    pub fn forget_applied(&self, gone: &[MemberRole]) -> anyhow::Result<()> {
        self.settle_and_disown(&[], gone)
    }

    /// Why this program gave (or is taking) a role, if it did.
    pub fn applied(
        &self,
        guild: GuildId,
        user: UserId,
        role: RoleId,
    ) -> anyhow::Result<Option<Applied>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(APPLIED)?;
        let row: Option<Row> = read(table.get((guild.0, user.0, role.0))?)?;
        Ok(row.map(|row| applied((guild, user, role), row)))
    }

    /// The roles of which the brake has stopped removals, and since when.
    pub fn stopped(&self) -> anyhow::Result<BTreeMap<(GuildId, RoleId), Timestamp>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(STOPPED)?;
        let rows = table.iter()?;
        rows.map(|row| {
            let (key, since) = row?;
            let (guild, role) = key.value();
            Ok(((GuildId(guild), RoleId(role)), Timestamp(since.value())))
        })
        .collect()
    }

    /// Stores them: a restart must not let through what waits for an approval.
    pub fn set_stopped(
        &self,
        stopped: &BTreeMap<(GuildId, RoleId), Timestamp>,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(STOPPED)?;
            table.retain(|_, _| false)?;
            for ((guild, role), since) in stopped {
                table.insert((guild.0, role.0), since.0)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Hands every role that this program gave to `each`.
    pub fn for_each_applied(&self, mut each: impl FnMut(Applied)) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(APPLIED)?.iter()? {
            let (key, value) = row?;
            let (guild, user, role) = key.value();
            let of = (GuildId(guild), UserId(user), RoleId(role));
            each(applied(of, decode(value.value())?));
        }
        Ok(())
    }
}

fn applied((guild, user, role): MemberRole, (state, cause, block): Row) -> Applied {
    Applied {
        guild,
        user,
        role,
        state,
        cause,
        block,
    }
}

/// What is stored of a role that is given or taken; of a forgotten member's no more than that.
fn row(
    transaction: &WriteTransaction,
    state: AppliedState,
    change: &RoleChange,
    block: u64,
) -> anyhow::Result<Vec<u8>> {
    Ok(match forgotten::is_forgotten(transaction, change.user)? {
        true => forgotten_row(state),
        false => encode(&(state, &change.cause, block)),
    })
}

fn state_in(
    table: &redb::Table<'_, (u64, u64, u64), &[u8]>,
    change: &RoleChange,
) -> anyhow::Result<Option<AppliedState>> {
    let row = table.get(key(change.member_role()))?;
    row.map(|row| state_of(row.value())).transpose()
}

fn key((guild, user, role): MemberRole) -> (u64, u64, u64) {
    (guild.0, user.0, role.0)
}

#[cfg(test)]
mod tests;
