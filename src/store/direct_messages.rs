//! What is remembered about direct messages to a member: whether they want any, and whether they can be sent.

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::codec::{encode, read, wallets_of};
use super::tables::{DIRECT_MESSAGES, MEMBER_JOURNAL, NOTICES};
use super::{Store, links};
use crate::domain::{ChannelId, DirectMessages, Timestamp, UserId};

impl Store {
    /// What is remembered about direct messages to a member.
    pub fn direct_messages(&self, user: UserId) -> anyhow::Result<DirectMessages> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(DIRECT_MESSAGES)?;
        Ok(read(table.get(user.0)?)?.unwrap_or_default())
    }

    /// The member wants no direct messages, or wants them again. Also of who has linked no wallet: the wish is theirs.
    pub fn opt_out(&self, user: UserId, opted_out: bool) -> anyhow::Result<()> {
        self.change_direct_messages(user, |_| Ok(true), |row| row.opted_out = opted_out)
    }

    /// A channel was opened with the member; `closed_until`: Discord refused a message in it, and none is tried before. Nothing
    /// is kept of who is not known otherwise: they may have asked to be forgotten a moment ago.
    pub fn note_direct_channel(
        &self,
        user: UserId,
        channel: Option<ChannelId>,
        closed_until: Timestamp,
    ) -> anyhow::Result<()> {
        let is_known = |transaction: &WriteTransaction| {
            let is_told = transaction
                .open_table(NOTICES)?
                .range(wallets_of(user))?
                .next()
                .is_some();
            let is_journaled = transaction
                .open_table(MEMBER_JOURNAL)?
                .range((user.0, 0)..=(user.0, u64::MAX))?
                .next()
                .is_some();
            Ok(links::is_linked(transaction, user)? || is_told || is_journaled)
        };
        self.change_direct_messages(user, is_known, |row| {
            row.channel = channel;
            row.closed_until = closed_until;
        })
    }

    fn change_direct_messages(
        &self,
        user: UserId,
        is_kept: impl FnOnce(&WriteTransaction) -> anyhow::Result<bool>,
        change: impl FnOnce(&mut DirectMessages),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        if !is_kept(&transaction)? {
            return Ok(());
        }
        {
            let mut table = transaction.open_table(DIRECT_MESSAGES)?;
            let before: DirectMessages = read(table.get(user.0)?)?.unwrap_or_default();
            let mut row = before;
            change(&mut row);
            if row == before {
                return Ok(());
            }
            table.insert(user.0, encode(&row).as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Removes what is remembered about direct messages to a member.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    transaction.open_table(DIRECT_MESSAGES)?.remove(user.0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{Link, Wallet};

    const USER: UserId = UserId(5);

    #[test]
    fn of_who_is_not_known_only_the_wish_is_kept() {
        let store = Store::in_memory().unwrap();
        let channel = Some(ChannelId(9));
        let note = || store.note_direct_channel(USER, channel, Timestamp(7));
        note().unwrap();
        assert_eq!(store.direct_messages(USER).unwrap(), Default::default());
        store.opt_out(USER, true).unwrap();
        note().unwrap();
        let wish = DirectMessages {
            opted_out: true,
            ..DirectMessages::default()
        };
        assert_eq!(store.direct_messages(USER).unwrap(), wish);
        let link = Link {
            user: USER,
            wallet: Wallet(Address::repeat_byte(1)),
            linked_at: Timestamp(1),
            proof: None,
        };
        store.link(&link, 5).unwrap();
        note().unwrap();
        let noted = DirectMessages {
            opted_out: true,
            closed_until: Timestamp(7),
            channel,
        };
        assert_eq!(store.direct_messages(USER).unwrap(), noted);
        store.forget_member(USER).unwrap();
        assert_eq!(store.direct_messages(USER).unwrap(), Default::default());
    }
}
