//! What is set per server: by its managers on the dashboard, and by the operator in config.toml.

use std::collections::BTreeMap;

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::codec::{decode, encode, read};
use super::tables::{CONFIG_SETTINGS, SERVER_SETTINGS};
use super::touched::Touched;
use super::{Store, acts, told};
use crate::domain::{Act, ActEntry, GuildId, ServerSettings, Timestamp, UserId};

impl Store {
    /// What the operator and what the managers of a server set. The operator's wins.
    pub fn settings(&self, guild: GuildId) -> anyhow::Result<(ServerSettings, ServerSettings)> {
        let transaction = self.database.begin_read()?;
        let fixed = read(transaction.open_table(CONFIG_SETTINGS)?.get(guild.0)?)?;
        let own = read(transaction.open_table(SERVER_SETTINGS)?.get(guild.0)?)?;
        Ok((fixed.unwrap_or_default(), own.unwrap_or_default()))
    }

    /// What is in force in each server that sets anything.
    pub fn all_settings(&self) -> anyhow::Result<BTreeMap<GuildId, ServerSettings>> {
        let transaction = self.database.begin_read()?;
        let mut all: BTreeMap<GuildId, ServerSettings> = BTreeMap::new();
        for table in [CONFIG_SETTINGS, SERVER_SETTINGS] {
            for row in transaction.open_table(table)?.iter()? {
                let (guild, settings) = row?;
                let above = all.entry(GuildId(guild.value())).or_default();
                *above = above.over(decode(settings.value())?);
            }
        }
        Ok(all)
    }

    /// Sets what the managers of a server set, and notes who did.
    pub fn set_settings(
        &self,
        guild: GuildId,
        settings: ServerSettings,
        by: UserId,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(SERVER_SETTINGS)?;
            let before = read(table.get(guild.0)?)?.unwrap_or_default();
            if before == settings {
                return Ok(());
            }
            table.insert(guild.0, encode(&settings).as_slice())?;
            let entry = ActEntry {
                at,
                guild,
                by: Some(by),
                act: Act::Settings {
                    before,
                    after: settings,
                },
            };
            acts::append(&transaction, &entry)?;
        }
        told::follow_settings(&transaction)?;
        transaction.commit()?;
        self.touched.put(Touched::in_servers([guild]));
        Ok(())
    }
}
