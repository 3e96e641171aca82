//! Which wallet belongs to which member. Not derivable from the chain: lost links are lost.

use alloy::primitives::Address;
use redb::{
    ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, WriteTransaction,
};

use super::codec::{encode, read, wallets_of};
use super::tables::{FORGOTTEN, LINKS, MEMBER_WALLETS, SEEN_IN};
use super::touched::Touched;
use super::{Store, checks, ended, forgotten, notices};
use crate::domain::{GuildId, Link, LinkEnd, UserId, Wallet};

/// What came of [`Store::link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    /// The wallet was free, or the member's already.
    Linked,
    /// The wallet left this member.
    Moved(UserId),
    /// The member has as many wallets as allowed; nothing changed.
    TooMany,
}

impl Store {
    /// Links a wallet to a member; a wallet belongs to one member at a time, so it leaves its former one. `limit` is
    /// the most wallets that a member may hold.
    pub fn link(&self, link: &Link, limit: usize) -> anyhow::Result<LinkOutcome> {
        let transaction = self.database.begin_write()?;
        let (outcome, touched) = link_within(&transaction, link, limit)?;
        if outcome != LinkOutcome::TooMany {
            transaction.commit()?;
            self.linked(touched);
        }
        Ok(outcome)
    }

    /// Links many wallets in one transaction, as [`Self::link`] would one by one.
    pub fn link_all(&self, links: &[Link], limit: usize) -> anyhow::Result<Vec<LinkOutcome>> {
        let transaction = self.database.begin_write()?;
        let mut all = Touched::default();
        let mut outcomes = Vec::with_capacity(links.len());
        for link in links {
            let (outcome, touched) = link_within(&transaction, link, limit)?;
            all.members.extend(touched.members);
            outcomes.push(outcome);
        }
        transaction.commit()?;
        self.linked(all);
        Ok(outcomes)
    }

    /// Called after the commit of [`link_within`].
    pub(super) fn linked(&self, touched: Touched) {
        self.touched.put(touched);
        self.notice_added.notify_one();
    }

    /// Removes a wallet's link if it belongs to `user`; whether it did.
    pub fn unlink(&self, user: UserId, wallet: Wallet) -> anyhow::Result<bool> {
        let address: &[u8; 20] = &wallet.0.0.0;
        let transaction = self.database.begin_write()?;
        let removed = {
            let removed = transaction
                .open_table(MEMBER_WALLETS)?
                .remove((user.0, address))?
                .is_some();
            if removed {
                transaction.open_table(LINKS)?.remove(address)?;
                ended::note(&transaction, user, wallet, LinkEnd::Unlinked)?;
                forgotten::let_go(&transaction, [user])?;
            }
            removed
        };
        transaction.commit()?;
        if removed {
            self.touched.put(Touched {
                members: [user].into(),
                ..Touched::default()
            });
        }
        Ok(removed)
    }

    /// The link of a wallet.
    pub fn link_of(&self, wallet: Wallet) -> anyhow::Result<Option<Link>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(LINKS)?;
        read(table.get(&wallet.0.0.0)?)
    }

    /// A member's wallets, in the order of their addresses.
    pub fn wallets_of(&self, user: UserId) -> anyhow::Result<Vec<Wallet>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(MEMBER_WALLETS)?;
        table
            .range(wallets_of(user))?
            .map(|row| {
                let (key, _) = row?;
                Ok(Wallet(Address::from(*key.value().1)))
            })
            .collect()
    }

    /// Hands every (member, wallet) to `each`, by member.
    pub fn for_each_link(&self, mut each: impl FnMut(UserId, Wallet)) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(MEMBER_WALLETS)?.iter()? {
            let (key, _) = row?;
            let (user, wallet) = key.value();
            each(UserId(user), Wallet(Address::from(*wallet)));
        }
        Ok(())
    }

    /// The servers that a member verified from or was seen in.
    pub fn seen_in(&self, user: UserId) -> anyhow::Result<Vec<GuildId>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SEEN_IN)?;
        let rows = table.range((user.0, 0)..=(user.0, u64::MAX))?;
        rows.map(|row| Ok(GuildId(row?.0.value().1))).collect()
    }

    /// Hands every (member, server) that a member verified from or was seen in to `each`.
    pub fn for_each_seen_in(&self, mut each: impl FnMut(UserId, GuildId)) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(SEEN_IN)?.iter()? {
            let (user, guild) = row?.0.value();
            each(UserId(user), GuildId(guild));
        }
        Ok(())
    }

    /// Notes in which servers members were seen. Of those who have linked no wallet nothing is kept: they may have asked to be
    /// forgotten, and the roles that are left to them name their servers.
    pub fn saw(&self, sightings: &[(UserId, GuildId)]) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        for (user, guild) in sightings {
            if is_linked(&transaction, *user)? {
                saw_within(&transaction, *user, *guild)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// How many wallets are linked.
    pub fn link_count(&self) -> anyhow::Result<u64> {
        let transaction = self.database.begin_read()?;
        Ok(transaction.open_table(LINKS)?.len()?)
    }
}

/// Whether a member has linked a wallet.
pub(super) fn is_linked(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<bool> {
    let members = transaction.open_table(MEMBER_WALLETS)?;
    let first = members.range(wallets_of(user))?.next();
    Ok(first.transpose()?.is_some())
}

/// Notes that a member verified from a server or was seen there.
pub(super) fn saw_within(
    transaction: &WriteTransaction,
    user: UserId,
    guild: GuildId,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(SEEN_IN)?;
    table.insert((user.0, guild.0), ())?;
    Ok(())
}

/// [`Store::link`] as a part of a larger transaction; what to tell [`Store::linked`] once that is committed.
pub(super) fn link_within(
    transaction: &WriteTransaction,
    link: &Link,
    limit: usize,
) -> anyhow::Result<(LinkOutcome, Touched)> {
    let wallet: &[u8; 20] = &link.wallet.0.0.0;
    let mut touched = Touched::default();
    let mut links = transaction.open_table(LINKS)?;
    transaction.open_table(FORGOTTEN)?.remove(link.user.0)?;
    let mut members = transaction.open_table(MEMBER_WALLETS)?;
    let former: Option<Link> = read(links.get(wallet)?)?;
    let former = former.map(|former| former.user);
    let held = members.range(wallets_of(link.user))?.count();
    if former != Some(link.user) && held >= limit {
        return Ok((LinkOutcome::TooMany, touched));
    }
    touched.members.insert(link.user);
    notices::withdraw(transaction, link.user, link.wallet)?;
    ended::withdraw(transaction, link.user, link.wallet)?;
    links.insert(wallet, encode(link).as_slice())?;
    members.insert((link.user.0, wallet), ())?;
    let outcome = match former {
        Some(former) if former != link.user => {
            members.remove((former.0, wallet))?;
            touched.members.insert(former);
            notices::note(transaction, former, link.wallet, link.linked_at)?;
            ended::note(transaction, former, link.wallet, LinkEnd::Moved)?;
            forgotten::let_go(transaction, [former])?;
            LinkOutcome::Moved(former)
        }
        _ => LinkOutcome::Linked,
    };
    Ok((outcome, touched))
}

/// Removes the links of a member, and what the sources said of the wallets; how many they were.
pub(super) fn unlink_all(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<usize> {
    let mut members = transaction.open_table(MEMBER_WALLETS)?;
    let mut links = transaction.open_table(LINKS)?;
    let mut wallets = 0;
    for row in members.extract_from_if(wallets_of(user), |_, ()| true)? {
        let address = *row?.0.value().1;
        links.remove(&address)?;
        checks::forget(transaction, Wallet(Address::from(address)))?;
        wallets += 1;
    }
    Ok(wallets)
}
