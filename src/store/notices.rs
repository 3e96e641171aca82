//! Former owners of wallets who are still to be told that another member linked them. Noted in the transaction that
//! moves the wallet, so that neither a visitor who hangs up nor a stop in between keeps them from it.

use alloy::primitives::Address;
use redb::{AccessGuard, ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::wallets_of;
use super::tables::NOTICES;
use crate::domain::{Timestamp, UserId, Wallet};

type Key = (u64, &'static [u8; 20]);
type Row<'a> = (AccessGuard<'a, Key>, AccessGuard<'a, u64>);

/// A wallet left a member, who does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who had the wallet.
    pub former: UserId,
    /// The wallet.
    pub wallet: Wallet,
    /// When another member linked it.
    pub moved_at: Timestamp,
}

impl Store {
    /// Who is still to be told, by member.
    pub fn notices(&self) -> anyhow::Result<Vec<Notice>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(NOTICES)?;
        table.iter()?.map(read).collect()
    }

    /// Of which moves a member is still to be told.
    pub fn notices_of(&self, user: UserId) -> anyhow::Result<Vec<Notice>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(NOTICES)?;
        table.range(wallets_of(user))?.map(read).collect()
    }

    /// Whether there is still this to tell: the wallet did not come back, and the member did not ask to be forgotten.
    pub fn notice_stands(&self, notice: &Notice) -> anyhow::Result<bool> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(NOTICES)?;
        let moved_at = table.get((notice.former.0, &notice.wallet.0.0.0))?;
        Ok(moved_at.is_some_and(|moved_at| moved_at.value() == notice.moved_at.0))
    }

    /// The member was told, or cannot be.
    pub fn remove_notice(&self, notice: &Notice) -> anyhow::Result<()> {
        let key = (notice.former.0, &notice.wallet.0.0.0);
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(NOTICES)?;
            // The wallet may have come back and left again meanwhile.
            let is_same = table
                .get(key)?
                .is_some_and(|moved_at| moved_at.value() == notice.moved_at.0);
            if is_same {
                table.remove(key)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Returns when there may be something new to tell since the last return: a wallet moved, or the journal grew.
    pub async fn notice_added(&self) {
        self.notice_added.notified().await;
    }
}

/// Notes that the wallet left `former`.
pub(super) fn note(
    transaction: &WriteTransaction,
    former: UserId,
    wallet: Wallet,
    moved_at: Timestamp,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(NOTICES)?;
    table.insert((former.0, &wallet.0.0.0), moved_at.0)?;
    Ok(())
}

/// The wallet is the member's again: that it had left is no news any more.
pub(super) fn withdraw(
    transaction: &WriteTransaction,
    owner: UserId,
    wallet: Wallet,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(NOTICES)?;
    table.remove((owner.0, &wallet.0.0.0))?;
    Ok(())
}

/// Removes all notices to a member.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut table = transaction.open_table(NOTICES)?;
    table.retain_in(wallets_of(user), |_, _| false)?;
    Ok(())
}

fn read(row: Result<Row<'_>, redb::StorageError>) -> anyhow::Result<Notice> {
    let (key, moved_at) = row?;
    let (former, wallet) = key.value();
    Ok(Notice {
        former: UserId(former),
        wallet: Wallet(Address::from(*wallet)),
        moved_at: Timestamp(moved_at.value()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Link;
    use crate::store::LinkOutcome;

    const WALLET: Wallet = Wallet(Address::repeat_byte(1));

    fn link(store: &Store, user: u64, at: u64) -> LinkOutcome {
        let link = Link {
            user: UserId(user),
            wallet: WALLET,
            linked_at: Timestamp(at),
            proof: None,
        };
        store.link(&link, 5).unwrap()
    }

    fn notice(former: u64, at: u64) -> Notice {
        Notice {
            former: UserId(former),
            wallet: WALLET,
            moved_at: Timestamp(at),
        }
    }

    #[test]
    fn a_wallet_that_moves_leaves_a_notice_until_it_is_told_or_came_back() {
        let store = Store::in_memory().unwrap();
        link(&store, 1, 10);
        link(&store, 1, 11);
        assert_eq!(store.notices().unwrap(), []);
        assert_eq!(link(&store, 2, 12), LinkOutcome::Moved(UserId(1)));
        assert_eq!(store.notices().unwrap(), [notice(1, 12)]);
        link(&store, 3, 13);
        assert_eq!(store.notices().unwrap(), [notice(1, 12), notice(2, 13)]);
        link(&store, 1, 14);
        assert_eq!(store.notices().unwrap(), [notice(2, 13), notice(3, 14)]);
        store.remove_notice(&notice(2, 9)).unwrap();
        store.remove_notice(&notice(3, 14)).unwrap();
        assert_eq!(store.notices().unwrap(), [notice(2, 13)]);
        store.forget_member(UserId(2)).unwrap();
        assert_eq!(store.notices().unwrap(), []);
    }

    #[test]
    fn a_store_from_before_there_were_notices_gets_their_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        drop(Store::open(&path).unwrap());
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        assert!(transaction.delete_table(NOTICES).unwrap());
        transaction.commit().unwrap();
        drop(database);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.notices().unwrap(), []);
    }
}
