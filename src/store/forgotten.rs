//! Members who asked to be forgotten while roles of ours were still to be taken away: what is kept of them until then.

use std::collections::BTreeSet;

use redb::{ReadableTable as _, WriteTransaction};

use super::codec::{self, decode, encode};
use super::ended;
use super::tables::{APPLIED, FORGOTTEN};
use crate::domain::{AppliedState, Cause, UserId};

/// A row of `APPLIED`.
pub(super) type Row = (AppliedState, Cause, u64);

/// A row that does not say why or when.
pub(super) fn forgotten_row(state: AppliedState) -> Vec<u8> {
    encode(&(state, Cause::Forgotten, 0_u64))
}

/// How far the change of a row came.
pub(super) fn state_of(row: &[u8]) -> anyhow::Result<AppliedState> {
    Ok(decode::<Row>(row)?.0)
}

/// Whether the member asked to be forgotten and has linked no wallet since.
pub(super) fn is_forgotten(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<bool> {
    Ok(transaction.open_table(FORGOTTEN)?.get(user.0)?.is_some())
}

/// What is kept of these members only until the last role that this program gave them is gone goes, if it is.
pub(super) fn let_go(
    transaction: &WriteTransaction,
    users: impl IntoIterator<Item = UserId>,
) -> anyhow::Result<()> {
    let mut without_roles = BTreeSet::new();
    for user in users {
        if is_forgotten(transaction, user)? || ended::is_noted(transaction, user)? {
            without_roles.insert(user.0);
        }
    }
    if without_roles.is_empty() {
        return Ok(());
    }
    for row in transaction.open_table(APPLIED)?.iter()? {
        without_roles.remove(&row?.0.value().1);
    }
    for user in without_roles {
        transaction.open_table(FORGOTTEN)?.remove(user)?;
        ended::forget(transaction, UserId(user))?;
    }
    Ok(())
}

/// Of the roles that this program gave to the member nothing stays but that it did: a cause names a subscription, and the
/// chain whose that is. Says whether there are any. Reads all of them: for rare questions.
pub(super) fn forget_causes(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<bool> {
    let mut applied = transaction.open_table(APPLIED)?;
    codec::rewrite(&mut applied, |(_, of, _), row| {
        let state = state_of(row)?;
        Ok((of == user.0).then(|| forgotten_row(state)))
    })
}

/// Of the roles that this program gave to the member it stays that it did, and not why, until they are gone.
pub(super) fn forget_reasons(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    ended::forget(transaction, user)?;
    if forget_causes(transaction, user)? {
        transaction.open_table(FORGOTTEN)?.insert(user.0, ())?;
    }
    Ok(())
}
