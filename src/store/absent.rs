//! Members who linked a wallet, or were given a role, and are in none of the servers: nothing of that is kept for ever.

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::tables::{ABSENT_SINCE, SEEN_IN};
use super::touched::Touched;
use super::{Store, forgotten, links, warned};
use crate::domain::{Timestamp, UserId};

impl Store {
    /// Notes who is in no server now (machine clock). Of those who have not been in one for `after` seconds, removes the links,
    /// in which servers they were seen, and why roles were given to them; who that is.
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
            let mut seen_in = transaction.open_table(SEEN_IN)?;
            for user in &over {
                seen_in.retain_in((user.0, 0)..=(user.0, u64::MAX), |_, ()| false)?;
            }
        }
        for user in &over {
            links::unlink_all(&transaction, *user)?;
            warned::forget(&transaction, *user)?;
            forgotten::forget_reasons(&transaction, *user)?;
        }
        transaction.commit()?;
        self.touched.put(Touched {
            members: over.iter().copied().collect(),
            ..Touched::default()
        });
        Ok(over)
    }

    /// Since when a member is in no server, as far as is noted.
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
    use crate::domain::{Cause, GuildId, RoleAction, RoleChange, RoleId};
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

    #[test]
    fn of_who_left_with_a_role_and_unlinked_no_more_than_the_role_is_left_after_the_time() {
        let store = Store::in_memory().unwrap();
        let link = link(1);
        store.link(&link, 5).unwrap();
        let cause = Cause::Granted {
            by: UserId(9),
            until: Timestamp(5),
        };
        let given = RoleChange {
            action: RoleAction::Grant,
            guild: GuildId(7),
            user: link.user,
            role: RoleId(8),
            cause,
        };
        store.adopt(&[given], 3).unwrap();
        assert!(store.unlink(link.user, link.wallet).unwrap());
        assert_eq!(store.ended_links_of(link.user).unwrap().len(), 1);
        for (now, gone) in [(1_000, 0), (1_100, 1)] {
            let over = store.note_absent(&[link.user].into(), Timestamp(now), 100);
            assert_eq!(over.unwrap().len(), gone);
        }
        assert_eq!(store.ended_links_of(link.user).unwrap(), []);
        let applied = store.applied_of(link.user).unwrap();
        assert_eq!(
            (&applied[0].cause, applied[0].block),
            (&Cause::Forgotten, 0)
        );
        assert!(store.take_touched().members.contains(&link.user));
        assert!(store.is_forgotten(link.user).unwrap());
    }
}
