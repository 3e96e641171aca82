//! Members who linked a wallet and are in none of the servers: what they proved is not kept for ever.

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::tables::{ABSENT_SINCE, SEEN_IN};
use crate::domain::{Timestamp, UserId};

impl Store {
    /// Notes who is in no server now (machine clock). Of those who have not been in one for `after` seconds, removes the links
    /// and in which servers they were seen; who that is.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn note_absent(
        &self,
        absent: &BTreeSet<UserId>,
        now: Timestamp,
        after: u64,
    ) -> anyhow::Result<Vec<UserId>> {
        let mut over = Vec::new();
        let transaction = self.database.begin_write()?;
        {
            let mut since = transaction.open_table(ABSENT_SINCE)?;
            since.retain(|user, _| absent.contains(&UserId(user)))?;
            for user in absent {
                let noted = since.get(user.0)?.map(|at| at.value());
                match noted {
                    None => drop(since.insert(user.0, now.0)?),
                    Some(at) if Timestamp(at).plus(after) <= now => over.push(*user),
                    Some(_) => {}
                }
            }
            // Before the links: a crash in between leaves links, of which the next look is about again.
            let mut seen_in = transaction.open_table(SEEN_IN)?;
            for user in &over {
                seen_in.retain_in((user.0, 0)..=(user.0, u64::MAX), |_, ()| false)?;
            }
        }
        transaction.commit()?;
        for user in &over {
            for wallet in self.wallets_of(*user)? {
                self.unlink(*user, wallet)?;
            }
        }
        Ok(over)
    }

    /// Since when a member with a linked wallet is in no server, as far as is noted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn absent_since(&self, user: UserId) -> anyhow::Result<Option<Timestamp>> {
        let transaction = self.database.begin_read()?;
        let since = transaction.open_table(ABSENT_SINCE)?.get(user.0)?;
        Ok(since.map(|at| Timestamp(at.value())))
    }
}

/// Removes the note about a member.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    transaction.open_table(ABSENT_SINCE)?.remove(user.0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GuildId;
    use crate::store::backup::tests::link;

    #[test]
    fn links_go_after_the_time_and_whoever_comes_back_before_keeps_them() {
        let store = Store::in_memory().unwrap();
        for n in 1..=3 {
            store.link(&link(n), 5).unwrap();
        }
        for n in 1..=3 {
            store.saw(&[(UserId(n), GuildId(7))]).unwrap();
        }
        let note = |absent: &[u64], now: u64| {
            let absent = absent.iter().copied().map(UserId).collect();
            store.note_absent(&absent, Timestamp(now), 100).unwrap()
        };
        assert_eq!(note(&[1, 2], 1_000), []);
        assert_eq!(
            store.absent_since(UserId(1)).unwrap(),
            Some(Timestamp(1_000))
        );
        assert_eq!(note(&[1], 1_050), [], "2 came back");
        assert_eq!(note(&[1, 2], 1_099), []);
        assert_eq!(note(&[1, 2], 1_100), [UserId(1)]);
        assert_eq!(store.link_count().unwrap(), 2);
        assert_eq!(note(&[2], 1_198), []);
        assert_eq!(note(&[2], 1_199), [UserId(2)]);
        assert_eq!(note(&[], 1_200), []);
        assert_eq!(store.absent_since(UserId(2)).unwrap(), None);
        assert_eq!(store.wallets_of(UserId(3)).unwrap().len(), 1);
        let seen_in = |n| store.seen_in(UserId(n)).unwrap();
        assert_eq!((seen_in(2), seen_in(3)), (vec![], vec![GuildId(7)]));
    }
}
