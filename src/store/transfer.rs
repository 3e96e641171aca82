//! Links with their signed proofs, out of a store and into another one.

use std::ops::RangeInclusive;

use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use super::LinkOutcome;
use super::Store;
use super::codec::{decode, read};
use super::links::{link_within, saw_within};
use super::tables::{LINKS, SEEN_IN};
use super::touched::Touched;
use crate::domain::{GuildId, Link, UserId};

/// What became of a link that came from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is here now.
    Linked,
    /// The wallet was this member's already; the link that is here stays as it is.
    Known,
    /// The wallet is another member's here; nothing changed.
    OfAnotherMember,
    /// The member has as many wallets as allowed; nothing changed.
    TooMany,
}

impl Store {
    /// Hands every link of this moment to `each`, with the servers in which its member was seen.
    ///
    /// # Errors
    /// When the store cannot be read, or with the error of `each`.
    pub fn for_each_proof(
        &self,
        mut each: impl FnMut(Link, Vec<GuildId>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(LINKS)?.iter()? {
            let link: Link = decode(row?.1.value())?;
            let servers = servers_of(&transaction, link.user)?;
            each(link, servers)?;
        }
        Ok(())
    }

    /// Takes in links that were checked, all in one transaction. A wallet never moves from one member to another by this: its
    /// owner can do that by signing again. `limit` is the most wallets that a member may hold.
    ///
    /// # Errors
    /// When the store cannot be written. Nothing has changed then.
    pub fn import_links(
        &self,
        links: &[(Link, Vec<GuildId>)],
        limit: usize,
    ) -> anyhow::Result<Vec<Imported>> {
        let transaction = self.database.begin_write()?;
        let (mut all, mut outcomes) = (Touched::default(), Vec::with_capacity(links.len()));
        for (link, servers) in links {
            let here: Option<Link> = read(transaction.open_table(LINKS)?.get(&link.wallet.0.0.0)?)?;
            let outcome = match here {
                Some(here) if here.user == link.user => Imported::Known,
                Some(_) => Imported::OfAnotherMember,
                None => {
                    let (outcome, touched) = link_within(&transaction, link, limit)?;
                    all.members.extend(touched.members);
                    match outcome {
                        LinkOutcome::TooMany => Imported::TooMany,
                        LinkOutcome::Linked | LinkOutcome::Moved(_) => Imported::Linked,
                    }
                }
            };
            if matches!(outcome, Imported::Linked | Imported::Known) {
                for guild in servers {
                    saw_within(&transaction, link.user, *guild)?;
                }
                all.members.insert(link.user);
            }
            outcomes.push(outcome);
        }
        transaction.commit()?;
        self.linked(all);
        Ok(outcomes)
    }
}

fn servers_of(transaction: &ReadTransaction, user: UserId) -> anyhow::Result<Vec<GuildId>> {
    let all: RangeInclusive<(u64, u64)> = (user.0, 0)..=(user.0, u64::MAX);
    let table = transaction.open_table(SEEN_IN)?;
    let rows = table.range(all)?;
    rows.map(|row| Ok(GuildId(row?.0.value().1))).collect()
}

#[cfg(test)]
mod tests;
