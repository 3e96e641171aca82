//! What is thrown away with age.

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::Store;
use super::codec::decode;
use super::tables::{JOURNAL, MEMBER_JOURNAL, SERVER_JOURNAL};
use crate::domain::{JournalEntry, Timestamp};

/// Entries that are removed in one transaction: other writers wait for it.
const AT_ONCE: usize = 1_000;

impl Store {
    /// Removes the role changes of the journal that were made before this moment (machine clock), oldest first, up to the first
    /// one that was not; how many. What managers did stays: it says who may lose a role because of that.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget_journal(&self, before: Timestamp) -> anyhow::Result<u64> {
        let mut forgotten = 0;
        loop {
            let old = self.oldest_entries(before)?;
            if old.is_empty() {
                return Ok(forgotten);
            }
            let transaction = self.database.begin_write()?;
            {
                let mut journal = transaction.open_table(JOURNAL)?;
                let mut by_member = transaction.open_table(MEMBER_JOURNAL)?;
                let mut by_server = transaction.open_table(SERVER_JOURNAL)?;
                for (sequence, entry) in &old {
                    journal.remove(sequence)?;
                    by_member.remove((entry.change.user.0, *sequence))?;
                    by_server.remove((entry.change.guild.0, *sequence))?;
                }
            }
            transaction.commit()?;
            forgotten += old.len() as u64;
        }
    }

    fn oldest_entries(&self, before: Timestamp) -> anyhow::Result<Vec<(u64, JournalEntry)>> {
        let transaction = self.database.begin_read()?;
        let mut old = Vec::new();
        for row in transaction.open_table(JOURNAL)?.iter()?.take(AT_ONCE) {
            let (sequence, entry) = row?;
            let entry: JournalEntry = decode(entry.value())?;
            if entry.at >= before {
                break;
            }
            old.push((sequence.value(), entry));
        }
        Ok(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cause, GuildId, Outcome, RoleAction, RoleChange, RoleId, UserId};
    use crate::store::journal;

    #[test]
    fn what_is_older_goes_from_every_index_and_the_rest_stays() {
        let store = Store::in_memory().unwrap();
        let entry = |n: u64| JournalEntry {
            at: Timestamp(n),
            block: n,
            change: RoleChange {
                action: RoleAction::Grant,
                guild: GuildId(n % 2),
                user: UserId(n % 3),
                role: RoleId(1),
                cause: Cause::NoSubscription,
            },
            outcome: Outcome::Done,
        };
        let entries: Vec<_> = (0..2_500).map(entry).collect();
        let transaction = store.database.begin_write().unwrap();
        journal::append(&transaction, &entries).unwrap();
        transaction.commit().unwrap();
        assert_eq!(store.forget_journal(Timestamp(2_400)).unwrap(), 2_400);
        assert_eq!(store.forget_journal(Timestamp(2_400)).unwrap(), 0);
        let left = store.journal(usize::MAX).unwrap();
        assert_eq!(left.len(), 100);
        assert!(left.iter().all(|entry| entry.at >= Timestamp(2_400)));
        let of_members = (0..3).map(|n| store.journal_of(UserId(n), usize::MAX).unwrap().len());
        assert_eq!(of_members.sum::<usize>(), 100);
        let of_servers = (0..2).map(|n| store.happened_in(GuildId(n), u64::MAX, 9_999).unwrap());
        assert_eq!(of_servers.map(|all| all.len()).sum::<usize>(), 100);
    }
}
