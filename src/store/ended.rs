//! Wallets that a member unlinked or lost to another one while holding roles by them: what somebody did is told from a link
//! that is missing. Nothing of it is left when the roles are gone.

use alloy::primitives::Address;
use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::wallets_of;
use super::tables::ENDED_LINKS;
use crate::domain::{LinkEnd, UserId, Wallet};

impl Store {
    /// The wallets that left a member who still holds roles of ours, and how.
    pub fn ended_links_of(&self, user: UserId) -> anyhow::Result<Vec<(Wallet, LinkEnd)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ENDED_LINKS)?;
        let rows = table.range(wallets_of(user))?;
        rows.map(|row| {
            let (key, was_moved) = row?;
            Ok((wallet(key.value().1), end(was_moved.value())))
        })
        .collect()
    }

    /// Hands all of them to `each`, by member.
    pub fn for_each_ended_link(
        &self,
        mut each: impl FnMut(UserId, Wallet, LinkEnd),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(ENDED_LINKS)?.iter()? {
            let (key, was_moved) = row?;
            let (user, address) = key.value();
            each(UserId(user), wallet(address), end(was_moved.value()));
        }
        Ok(())
    }
}

/// Notes that the wallet is not linked to this member any more. Followed by [`super::forgotten::let_go`].
pub(super) fn note(
    transaction: &WriteTransaction,
    user: UserId,
    wallet: Wallet,
    end: LinkEnd,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(ENDED_LINKS)?;
    table.insert((user.0, &wallet.0.0.0), end == LinkEnd::Moved)?;
    Ok(())
}

/// The wallet is the member's again.
pub(super) fn withdraw(
    transaction: &WriteTransaction,
    user: UserId,
    wallet: Wallet,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(ENDED_LINKS)?;
    table.remove((user.0, &wallet.0.0.0))?;
    Ok(())
}

/// Whether a wallet of this member is noted.
pub(super) fn is_noted(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<bool> {
    let table = transaction.open_table(ENDED_LINKS)?;
    Ok(table.range(wallets_of(user))?.next().transpose()?.is_some())
}

/// Removes what is noted of a member.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut table = transaction.open_table(ENDED_LINKS)?;
    table.retain_in(wallets_of(user), |_, _| false)?;
    Ok(())
}

fn wallet(address: &[u8; 20]) -> Wallet {
    Wallet(Address::from(*address))
}

fn end(was_moved: bool) -> LinkEnd {
    match was_moved {
        true => LinkEnd::Moved,
        false => LinkEnd::Unlinked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Cause, GuildId, Intent, JournalEntry, Link, ModuleAddress, Outcome, RoleAction, RoleChange,
        RoleId, SubscriptionId, Timestamp,
    };

    const ADA: UserId = UserId(1);
    const GRACE: UserId = UserId(2);
    const WALLET: Wallet = Wallet(Address::repeat_byte(1));

    fn link(store: &Store, user: UserId) {
        let link = Link {
            user,
            wallet: WALLET,
            linked_at: Timestamp(0),
            proof: None,
        };
        store.link(&link, 5).unwrap();
    }

    fn change(action: RoleAction, user: UserId, cause: Cause) -> RoleChange {
        RoleChange {
            action,
            guild: GuildId(1),
            user,
            role: RoleId(1),
            cause,
        }
    }

    fn settle(store: &Store, change: RoleChange) {
        let entry = JournalEntry {
            at: Timestamp(0),
            block: 1,
            change,
            outcome: Outcome::Done,
        };
        store.settle(&[entry]).unwrap();
    }

    fn give(store: &Store, user: UserId) {
        let cause = Cause::ExpiredAt {
            module: ModuleAddress(Address::repeat_byte(9)),
            subscription: SubscriptionId::from(7),
            at: Timestamp(1),
        };
        settle(store, change(RoleAction::Grant, user, cause));
    }

    #[test]
    fn how_a_link_ended_is_known_until_the_roles_are_gone() {
        let store = Store::in_memory().unwrap();
        link(&store, ADA);
        give(&store, ADA);
        assert!(store.unlink(ADA, WALLET).unwrap());
        assert_eq!(
            store.ended_links_of(ADA).unwrap(),
            [(WALLET, LinkEnd::Unlinked)]
        );
        link(&store, ADA);
        assert_eq!(store.ended_links_of(ADA).unwrap(), [], "it is back");
        link(&store, GRACE);
        let mut all = Vec::new();
        let each = |user, wallet, end| all.push((user, wallet, end));
        store.for_each_ended_link(each).unwrap();
        assert_eq!(all, [(ADA, WALLET, LinkEnd::Moved)]);
        let revoke = change(RoleAction::Revoke, ADA, Cause::WalletMoved);
        settle(&store, revoke);
        assert_eq!(store.ended_links_of(ADA).unwrap(), []);
    }

    #[test]
    fn nothing_is_noted_of_a_member_without_roles() {
        let store = Store::in_memory().unwrap();
        link(&store, ADA);
        link(&store, GRACE);
        store.unlink(GRACE, WALLET).unwrap();
        for user in [ADA, GRACE] {
            assert_eq!(store.ended_links_of(user).unwrap(), []);
        }
    }

    #[test]
    fn of_a_forgotten_member_no_more_than_the_role_is_left() {
        let store = Store::in_memory().unwrap();
        link(&store, ADA);
        give(&store, ADA);
        store.unlink(ADA, WALLET).unwrap();
        store.forget_member(ADA).unwrap();
        assert_eq!(store.ended_links_of(ADA).unwrap(), []);
        let applied = || store.applied_of(ADA).unwrap();
        assert_eq!(
            (&applied()[0].cause, applied()[0].block),
            (&Cause::Forgotten, 0)
        );
        // What was under way is acknowledged later.
        give(&store, ADA);
        assert_eq!(
            (&applied()[0].cause, applied()[0].block),
            (&Cause::Forgotten, 0)
        );
        let revoke = change(RoleAction::Revoke, ADA, Cause::Forgotten);
        let intent = Intent {
            change: revoke.clone(),
            block: 9,
            just_now: false,
        };
        store.intend(&[intent]).unwrap();
        assert_eq!(applied()[0].block, 0);
        settle(&store, revoke);
        assert_eq!(applied(), []);
        assert!(!store.is_forgotten(ADA).unwrap());
        assert_eq!(store.journal(9).unwrap(), []);
    }
}
