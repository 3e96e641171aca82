//! Roles that managers gave for a time. What is over stays until its role is gone: it is the reason for which that goes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::codec::{self, decode, encode, read};
use super::forgotten::Row;
use super::tables::{APPLIED, GRANTS, JOURNAL};
use super::touched::Touched;
use super::{Store, acts};
use crate::domain::{
    Act, ActEntry, Cause, Grant, GrantTerms, GuildId, JournalEntry, RoleId, Timestamp, UserId,
};

/// A key of the table: user, guild, role.
type Key = (u64, u64, u64);

impl Store {
    /// Gives a role for a time, or changes how long it is given; noted in the server's journal, since a member who holds the
    /// role already gets no line of theirs.
    pub fn grant(&self, grant: &Grant) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction
            .open_table(GRANTS)?
            .insert(key(grant), encode(&grant.terms).as_slice())?;
        let entry = ActEntry {
            at: grant.terms.at,
            guild: grant.guild,
            by: Some(grant.terms.by),
            act: Act::Granted {
                user: grant.user,
                role: grant.role,
                until: grant.terms.until,
            },
        };
        acts::append(&transaction, &entry)?;
        transaction.commit()?;
        self.grants_changed(grant.user);
        Ok(())
    }

    /// Ends a grant that is not over, and notes that in the server's journal; whether there was one.
    pub fn end_grant(
        &self,
        (guild, user, role): (GuildId, UserId, RoleId),
        by: UserId,
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        let transaction = self.database.begin_write()?;
        let key = (user.0, guild.0, role.0);
        {
            let mut table = transaction.open_table(GRANTS)?;
            let terms: Option<GrantTerms> = read(table.get(key)?)?;
            let Some(terms) = terms.filter(|terms| terms.until > now) else {
                return Ok(false);
            };
            let until = now;
            let ended = GrantTerms { by, until, ..terms };
            table.insert(key, encode(&ended).as_slice())?;
        }
        let entry = ActEntry {
            at: now,
            guild,
            by: Some(by),
            act: Act::GrantEnded { user, role },
        };
        acts::append(&transaction, &entry)?;
        transaction.commit()?;
        self.grants_changed(user);
        Ok(true)
    }

    /// Forgets these of a member's grants, if they are over at `now`: their roles are gone, or something else gives them.
    pub fn forget_grants(
        &self,
        over: &[(GuildId, UserId, RoleId)],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        if over.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(GRANTS)?;
            for (guild, user, role) in over {
                let key = (user.0, guild.0, role.0);
                let terms: Option<GrantTerms> = read(table.get(key)?)?;
                // Meanwhile it may have been given again.
                if terms.is_some_and(|terms| terms.until <= now) {
                    table.remove(key)?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// What managers gave to a member, in every server; what is over and not taken yet, too.
    pub fn grants_of(&self, user: UserId) -> anyhow::Result<Vec<Grant>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(GRANTS)?;
        let rows = table.range(all_of(user))?;
        rows.map(|row| {
            let (key, terms) = row?;
            grant(key.value(), terms.value())
        })
        .collect()
    }

    /// Hands every grant to `each`, by member.
    pub fn for_each_grant(&self, mut each: impl FnMut(Grant)) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(GRANTS)?.iter()? {
            let (key, terms) = row?;
            each(grant(key.value(), terms.value())?);
        }
        Ok(())
    }

    fn grants_changed(&self, user: UserId) {
        self.touched.put(Touched {
            members: [user].into(),
            ..Touched::default()
        });
    }
}

/// Ends what was given in a server that is disconnected; with `keeps_roles`, nothing of it is left and the roles stay. To whom.
pub(super) fn disconnect(
    transaction: &WriteTransaction,
    guild: GuildId,
    keeps_roles: bool,
    (by, at): (UserId, Timestamp),
) -> anyhow::Result<BTreeSet<UserId>> {
    let mut table = transaction.open_table(GRANTS)?;
    let mut given = Vec::new();
    for row in table.iter()? {
        let (key, terms) = row?;
        if key.value().1 == guild.0 {
            given.push((key.value(), decode::<GrantTerms>(terms.value())?));
        }
    }
    for (key, terms) in &given {
        if keeps_roles {
            table.remove(key)?;
        } else if terms.until > at {
            let ended = GrantTerms {
                by,
                until: at,
                ..terms.clone()
            };
            table.insert(key, encode(&ended).as_slice())?;
        }
    }
    Ok(given.into_iter().map(|(key, _)| UserId(key.0)).collect())
}

/// Removes what was given to a member, and the member's name from what they gave to others.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut grants = transaction.open_table(GRANTS)?;
    grants.retain_in(all_of(user), |_, _| false)?;
    codec::rewrite(&mut grants, |_, row| {
        let terms: GrantTerms = decode(row)?;
        let by = UserId(0);
        Ok((terms.by == user).then(|| encode(&GrantTerms { by, ..terms })))
    })?;
    codec::rewrite(&mut transaction.open_table(JOURNAL)?, |_, row| {
        let mut entry: JournalEntry = decode(row)?;
        Ok(erase(&mut entry.change.cause, user).then(|| encode(&entry)))
    })?;
    codec::rewrite(&mut transaction.open_table(APPLIED)?, |_, row| {
        let (state, mut cause, block): Row = decode(row)?;
        Ok(erase(&mut cause, user).then(|| encode(&(state, cause, block))))
    })?;
    Ok(())
}

/// Takes a manager's name out of a cause; whether it stood there.
fn erase(cause: &mut Cause, user: UserId) -> bool {
    match cause.manager_mut().filter(|by| **by == user) {
        Some(by) => {
            *by = UserId(0);
            true
        }
        None => false,
    }
}

fn key(grant: &Grant) -> Key {
    (grant.user.0, grant.guild.0, grant.role.0)
}

fn all_of(user: UserId) -> RangeInclusive<Key> {
    (user.0, 0, 0)..=(user.0, u64::MAX, u64::MAX)
}

fn grant((user, guild, role): Key, terms: &[u8]) -> anyhow::Result<Grant> {
    Ok(Grant {
        guild: GuildId(guild),
        user: UserId(user),
        role: RoleId(role),
        terms: decode(terms)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserId = UserId(1);
    const MANAGER: UserId = UserId(2);
    const KEY: (GuildId, UserId, RoleId) = (GuildId(3), ADA, RoleId(4));

    fn given(until: u64) -> Grant {
        let (guild, user, role) = KEY;
        Grant {
            guild,
            user,
            role,
            terms: GrantTerms {
                by: MANAGER,
                at: Timestamp(10),
                until: Timestamp(until),
                reason: "thanks".to_owned(),
            },
        }
    }

    #[test]
    fn a_grant_is_told_to_the_loop_and_replaces_the_one_before() {
        let store = Store::in_memory().unwrap();
        store.grant(&given(50)).unwrap();
        store.grant(&given(90)).unwrap();
        assert_eq!(store.grants_of(ADA).unwrap(), [given(90)]);
        assert_eq!(store.grants_of(MANAGER).unwrap(), []);
        assert_eq!(store.take_touched().members, [ADA].into());
        let mut all = Vec::new();
        store.for_each_grant(|grant| all.push(grant)).unwrap();
        assert_eq!(all, [given(90)]);
    }

    #[test]
    fn a_manager_ends_a_grant_early_once() {
        let store = Store::in_memory().unwrap();
        let end = |now| store.end_grant(KEY, UserId(9), Timestamp(now)).unwrap();
        assert!(!end(20), "nothing was given");
        store.grant(&given(50)).unwrap();
        assert!(!end(50), "it is over");
        assert!(end(20));
        assert!(!end(21));
        let terms = &store.grants_of(ADA).unwrap()[0].terms;
        assert_eq!((terms.by, terms.until), (UserId(9), Timestamp(20)));
    }

    #[test]
    fn a_grant_that_was_made_anew_is_not_forgotten_with_the_old_one() {
        let store = Store::in_memory().unwrap();
        store.grant(&given(50)).unwrap();
        store.forget_grants(&[KEY], Timestamp(49)).unwrap();
        assert_eq!(store.grants_of(ADA).unwrap().len(), 1);
        store.forget_grants(&[KEY], Timestamp(50)).unwrap();
        assert_eq!(store.grants_of(ADA).unwrap(), []);
    }
}
