//! What `config.toml` says of gates, servers and the policy.

use std::collections::{BTreeMap, BTreeSet};

use redb::ReadableTable as _;

use super::append;
use crate::domain::{Gate, GateId, GateOrigin, GuildId, Policy, ServerSettings, Timestamp};
use crate::store::codec::{decode, encode};
use crate::store::tables::{CONFIG_SETTINGS, GATES};
use crate::store::touched::Touched;
use crate::store::{Store, told};

impl Store {
    /// Makes the gates and the settings of `config.toml` those given; what was made elsewhere stays. What differs from before
    /// is noted in the journal of its server.
    pub fn set_config(
        &self,
        gates: &[Gate],
        settings: &BTreeMap<GuildId, ServerSettings>,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        self.change_config(gates, settings, None, at)
    }

    /// The same while the service runs. `policy` is told together with them, so that no pass judges the gates of one file by
    /// the policy of another.
    pub fn change_config(
        &self,
        gates: &[Gate],
        settings: &BTreeMap<GuildId, ServerSettings>,
        policy: Option<Policy>,
        at: Timestamp,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        let mut touched = BTreeSet::new();
        {
            let mut table = transaction.open_table(GATES)?;
            let mut former: BTreeMap<GateId, Gate> = BTreeMap::new();
            for row in table.iter()? {
                let gate: Gate = decode(row?.1.value())?;
                if gate.origin == GateOrigin::Config {
                    former.insert(gate.id, gate);
                }
            }
            for gate in gates {
                if former.remove(&gate.id).as_ref() == Some(gate) {
                    continue;
                }
                table.insert(gate.id.0, encode(gate).as_slice())?;
                touched.insert(gate.guild);
                let change = (None, Some(gate.clone()));
                append(&transaction, gate.guild, None, at, change, false)?;
            }
            for (id, gate) in former {
                table.remove(id.0)?;
                touched.insert(gate.guild);
                append(
                    &transaction,
                    gate.guild,
                    None,
                    at,
                    (Some(gate), None),
                    false,
                )?;
            }
            let mut table = transaction.open_table(CONFIG_SETTINGS)?;
            let mut former: BTreeMap<GuildId, ServerSettings> = BTreeMap::new();
            for row in table.iter()? {
                let (guild, settings) = row?;
                former.insert(GuildId(guild.value()), decode(settings.value())?);
            }
            for (guild, settings) in settings {
                if former.remove(guild).as_ref() != Some(settings) {
                    table.insert(guild.0, encode(settings).as_slice())?;
                    touched.insert(*guild);
                }
            }
            for guild in former.into_keys() {
                table.remove(guild.0)?;
                touched.insert(guild);
            }
        }
        told::follow_settings(&transaction)?;
        transaction.commit()?;
        self.touched.put(Touched {
            policy,
            ..Touched::in_servers(touched)
        });
        Ok(())
    }
}
