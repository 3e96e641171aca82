//! Which alerts servers were told of, so that a restart repeats none.

use std::collections::BTreeMap;

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::Store;
use super::codec::{decode, encode};
use super::tables::ALERTS;
use crate::domain::{AlertRow, GuildId};

impl Store {
    /// The alerts that stand or whose messages are to be sent, by server and name of their kind.
    pub fn alerts(&self) -> anyhow::Result<BTreeMap<(GuildId, String), AlertRow>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(ALERTS)?;
        let rows = table.iter()?;
        rows.map(|row| {
            let (key, value) = row?;
            let (guild, name) = key.value();
            Ok(((GuildId(guild), name.to_owned()), decode(value.value())?))
        })
        .collect()
    }

    /// Notes how far these alerts came; `None`: nothing is left to say.
    pub fn set_alerts(
        &self,
        changes: &BTreeMap<(GuildId, String), Option<AlertRow>>,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(ALERTS)?;
            for ((guild, name), row) in changes {
                let key = (guild.0, name.as_str());
                match row {
                    Some(row) => table.insert(key, encode(row).as_slice())?,
                    None => table.remove(key)?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlertPhase, Timestamp};

    #[test]
    fn alerts_are_kept_by_server_and_kind() {
        let store = Store::in_memory().unwrap();
        let row = |phase| AlertRow {
            phase,
            at: Timestamp(5),
            text: "text".to_owned(),
        };
        let key = |guild, name: &str| (GuildId(guild), name.to_owned());
        let mut changes = BTreeMap::from([
            (key(1, "a"), Some(row(AlertPhase::Starting))),
            (key(1, "b"), Some(row(AlertPhase::Standing))),
            (key(2, "a"), Some(row(AlertPhase::Ending))),
        ]);
        store.set_alerts(&changes).unwrap();
        assert_eq!(store.alerts().unwrap().len(), 3);
        changes.insert(key(1, "a"), None);
        store.set_alerts(&changes).unwrap();
        let kept: Vec<_> = store.alerts().unwrap().into_keys().collect();
        assert_eq!(kept, [key(1, "b"), key(2, "a")]);
    }
}
