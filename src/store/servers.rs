//! Which servers are connected, and by whom.

use std::collections::BTreeMap;

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::codec::{self, decode, encode};
use super::tables::SERVERS;
use super::{Store, acts};
use crate::domain::{Act, ActEntry, GuildId, Timestamp, UserId};

/// How a server was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// By this manager; the user 0 is one who asked to be forgotten.
    pub by: UserId,
    /// When (machine clock).
    pub at: Timestamp,
}

impl Store {
    /// Connects a server; whether it was not connected before. Noted in its journal.
    pub fn connect_server(&self, guild: GuildId, record: ServerRecord) -> anyhow::Result<bool> {
        let transaction = self.database.begin_write()?;
        let is_new = {
            let mut table = transaction.open_table(SERVERS)?;
            let is_new = table.get(guild.0)?.is_none();
            if is_new {
                table.insert(guild.0, encode(&record).as_slice())?;
                let entry = ActEntry {
                    at: record.at,
                    guild,
                    by: Some(record.by),
                    act: Act::Connected,
                };
                acts::append(&transaction, &entry)?;
            }
            is_new
        };
        if is_new {
            transaction.commit()?;
        }
        Ok(is_new)
    }

    /// The connected servers.
    pub fn connected_servers(&self) -> anyhow::Result<BTreeMap<GuildId, ServerRecord>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SERVERS)?;
        let rows = table.iter()?.map(|row| {
            let (guild, record) = row?;
            Ok((GuildId(guild.value()), decode(record.value())?))
        });
        rows.collect()
    }
}

/// Disconnects a server.
pub(super) fn disconnect_within(
    transaction: &WriteTransaction,
    guild: GuildId,
) -> anyhow::Result<()> {
    transaction.open_table(SERVERS)?.remove(guild.0)?;
    Ok(())
}

/// That servers are connected stays, but not by whom.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    let mut table = transaction.open_table(SERVERS)?;
    codec::rewrite(&mut table, |_, row| {
        let record: ServerRecord = decode(row)?;
        let by = UserId(0);
        Ok((record.by == user).then(|| encode(&ServerRecord { by, ..record })))
    })?;
    Ok(())
}
