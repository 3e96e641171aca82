//! Of which charges that will fail members were warned.

use redb::{ReadableDatabase as _, WriteTransaction};

use super::codec::{scoped_key, split_scoped_key};
use super::tables::WARNED;
use super::{Store, links};
use crate::domain::{ModuleAddress, SubscriptionId, Timestamp, UserId};

impl Store {
    /// When the charge was due of which the member was warned last, and whether the member was told that it failed.
    pub fn warned(
        &self,
        user: UserId,
        module: ModuleAddress,
        subscription: SubscriptionId,
    ) -> anyhow::Result<Option<(Timestamp, bool)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(WARNED)?;
        let row = table.get((user.0, &scoped_key(module, subscription.0)))?;
        Ok(row.map(|row| {
            let (due_at, has_failed) = row.value();
            (Timestamp(due_at), has_failed)
        }))
    }

    /// Of which subscriptions the member was ever warned, with when the charge was due.
    pub fn warned_of(
        &self,
        user: UserId,
    ) -> anyhow::Result<Vec<(ModuleAddress, SubscriptionId, Timestamp)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(WARNED)?;
        let rows = table.range((user.0, &[0; 52])..=(user.0, &[0xff; 52]))?;
        rows.map(|row| {
            let (key, value) = row?;
            let (module, subscription) = split_scoped_key(key.value().1);
            let due_at = Timestamp(value.value().0);
            Ok((module, SubscriptionId(subscription), due_at))
        })
        .collect()
    }

    /// The member was warned of this charge. Nothing is kept of who has linked no wallet (any more).
    pub fn set_warned(
        &self,
        user: UserId,
        module: ModuleAddress,
        subscription: SubscriptionId,
        (due_at, has_failed): (Timestamp, bool),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        if links::is_linked(&transaction, user)? {
            transaction.open_table(WARNED)?.insert(
                (user.0, &scoped_key(module, subscription.0)),
                (due_at.0, has_failed),
            )?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Removes all that a member was warned of.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut table = transaction.open_table(WARNED)?;
    let all = (user.0, &[0; 52])..=(user.0, &[0xff; 52]);
    table.retain_in(all, |_, _| false)?;
    Ok(())
}
