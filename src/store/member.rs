//! Everything that is stored about one member: to show it, and to forget it.

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::codec::decode;
use super::tables::{CHALLENGES, FORGOTTEN, JOURNAL, LINK_REQUESTS, MEMBER_JOURNAL, SEEN_IN};
use super::touched::Touched;
use super::verify::{Challenge, LinkRequest};
use super::{
    Store, absent, acts, direct_messages, forgotten, grants, journal, links, merchants, notices,
    servers, sessions, warned,
};
use crate::domain::{Applied, JournalEntry, UserId};

impl Store {
    /// The newest `limit` journal entries of a member, newest first.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn journal_of(&self, user: UserId, limit: usize) -> anyhow::Result<Vec<JournalEntry>> {
        self.journal_before(user, u64::MAX, limit)
    }

    /// The same of those before this number of the journal.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn journal_before(
        &self,
        user: UserId,
        number: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<JournalEntry>> {
        let transaction = self.database.begin_read()?;
        let journal = transaction.open_table(JOURNAL)?;
        let by_member = transaction.open_table(MEMBER_JOURNAL)?;
        let rows = by_member.range((user.0, 0)..(user.0, number))?.rev();
        let mut entries = Vec::new();
        for row in rows.take(limit) {
            let (key, _) = row?;
            if let Some(entry) = journal.get(key.value().1)? {
                entries.push(decode(entry.value())?);
            }
        }
        Ok(entries)
    }

    /// The roles that this program gave to a member, in every server. Reads all of them: for rare questions.
    pub fn applied_of(&self, user: UserId) -> anyhow::Result<Vec<Applied>> {
        let mut found = Vec::new();
        self.for_each_applied(|applied| {
            if applied.user == user {
                found.push(applied);
            }
        })?;
        Ok(found)
    }

    /// The member's runs of `/verify` that are still remembered. Reads all of the last hour's.
    pub fn requests_of(&self, user: UserId) -> anyhow::Result<Vec<LinkRequest>> {
        let transaction = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in transaction.open_table(LINK_REQUESTS)?.iter()? {
            let request: LinkRequest = decode(row?.1.value())?;
            if request.user == user {
                found.push(request);
            }
        }
        Ok(found)
    }

    /// The texts that the member was asked to sign, replaced ones too. Reads all of the last hour's.
    pub fn challenges_of(&self, user: UserId) -> anyhow::Result<Vec<Challenge>> {
        let transaction = self.database.begin_read()?;
        let mut found = Vec::new();
        for row in transaction.open_table(CHALLENGES)?.iter()? {
            let challenge: Challenge = decode(row?.1.value())?;
            if challenge.user == user {
                found.push(challenge);
            }
        }
        Ok(found)
    }

    /// Whether the member asked to be forgotten while roles were still to be taken away, and has linked no wallet since.
    pub fn is_forgotten(&self, user: UserId) -> anyhow::Result<bool> {
        let transaction = self.database.begin_read()?;
        Ok(transaction.open_table(FORGOTTEN)?.get(user.0)?.is_some())
    }

    /// Hands every such member to `each`.
    pub fn for_each_forgotten(&self, mut each: impl FnMut(UserId)) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(FORGOTTEN)?.iter()? {
            each(UserId(row?.0.value()));
        }
        Ok(())
    }

    /// Removes the links, `/verify` runs, sessions and journal of a member; how many wallets they had. Of roles that this program
    /// gave it stays that it did, until they are taken away, which no journal tells; then that is gone too.
    pub fn forget_member(&self, user: UserId) -> anyhow::Result<usize> {
        self.forget_requests(user)?;
        let transaction = self.database.begin_write()?;
        let wallets = links::unlink_all(&transaction, user)?;
        journal::forget(&transaction, user)?;
        transaction
            .open_table(SEEN_IN)?
            .retain_in((user.0, 0)..=(user.0, u64::MAX), |_, ()| false)?;
        absent::forget(&transaction, user)?;
        acts::forget(&transaction, user)?;
        servers::forget(&transaction, user)?;
        merchants::forget(&transaction, user)?;
        notices::forget(&transaction, user)?;
        direct_messages::forget(&transaction, user)?;
        warned::forget(&transaction, user)?;
        sessions::end_of(&transaction, user)?;
        forgotten::forget_reasons(&transaction, user)?;
        grants::forget(&transaction, user)?;
        transaction.commit()?;
        self.touched.put(Touched {
            members: [user].into(),
            ..merchants::touched()
        });
        Ok(wallets)
    }
}
