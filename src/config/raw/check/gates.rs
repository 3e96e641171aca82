//! `[[gates]]` and `[[servers]]`.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use toml::Spanned;

use super::Source;
use crate::config::ConfigError;
use crate::config::raw::RawGate;
use crate::domain::{
    Gate, GateId, GateOrigin, GuildId, ModuleAddress, PlanId, RoleId, ServerEntry, ServerSettings,
};

pub(super) fn gates(source: &Source<'_>, raw: Vec<RawGate>) -> Result<Vec<Gate>, ConfigError> {
    let mut gates: Vec<Gate> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = |name| format!("gates[{index}].{name}");
        let (plans, roles) = (&raw.plan_ids, &raw.role_ids);
        let (has_plan, has_role) = (!plans.get_ref().is_empty(), !roles.get_ref().is_empty());
        source.ensure(has_plan, plans, &key("plan_ids"), "name at least one plan")?;
        source.ensure(has_role, roles, &key("role_ids"), "name at least one role")?;
        let module = ModuleAddress(source.contract(&raw.module, &key("module"))?);
        let is_role = !roles.get_ref().contains(&RoleId(raw.guild_id.0));
        let message =
            "the server's own id is that of @everyone, which cannot be given; name another role";
        source.ensure(is_role, roles, &key("role_ids"), message)?;
        let span = raw.module.span();
        let gate = to_gate(raw, module);
        if let Some(same) = gates.iter().position(|other| other.id == gate.id) {
            let message = format!("says the same as gates[{same}]; remove one of the two");
            return Err(source.wrong(span, &format!("gates[{index}]"), &message));
        }
        gates.push(gate);
    }
    Ok(gates)
}

pub(super) fn servers(
    source: &Source<'_>,
    entries: Vec<ServerEntry<Spanned<GuildId>>>,
) -> Result<BTreeMap<GuildId, ServerSettings>, ConfigError> {
    let mut servers = BTreeMap::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let settings = entry.settings();
        let is_first = servers
            .insert(*entry.guild_id.get_ref(), settings)
            .is_none();
        let key = format!("servers[{index}].guild_id");
        let message = "this server has an entry already; put both into one";
        source.ensure(is_first, &entry.guild_id, &key, message)?;
    }
    Ok(servers)
}

/// A gate of the file has no id of its own: its content is its identity, so that it is the same gate after a restart. No gate
/// of the dashboard has such an id.
fn to_gate(raw: RawGate, module: ModuleAddress) -> Gate {
    let mut gate = Gate {
        id: GateId(0),
        guild: raw.guild_id,
        module,
        plans: raw
            .plan_ids
            .into_inner()
            .into_iter()
            .map(PlanId::from)
            .collect(),
        matching: raw.matching,
        roles: raw.role_ids.into_inner(),
        origin: GateOrigin::Config,
    };
    let content = serde_json::to_vec(&gate).expect("a gate always serialises");
    let hash = Sha256::digest(content);
    let start = hash.first_chunk().expect("a SHA-256 hash has 32 bytes");
    gate.id = GateId(u64::from_be_bytes(*start) | GateId::FIRST_OF_CONFIG);
    gate
}
