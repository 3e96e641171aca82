//! The audit log, as far as it tells who gave and took members' roles.
//!
//! <https://discord.com/developers/docs/resources/audit-log#get-guild-audit-log>
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::{Guild, RoleUpdate};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// `MEMBER_ROLE_UPDATE`.
const MEMBER_ROLE_UPDATE: u64 = 25;

pub(crate) fn log(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    if !guild.permissions(world.bot()).view_audit_log() {
        return Err(ApiError::missing_permissions());
    }
    let limit = call.number("limit", 50_usize, 1..=100)?;
    let kind = call.number("action_type", MEMBER_ROLE_UPDATE, 0..=u64::MAX)?;
    let by = call.number("user_id", 0_u64, 0..=u64::MAX)?;
    let before = call.number("before", u64::MAX, 0..=u64::MAX)?;
    let newest = guild.role_updates.iter().rev();
    let shown: Vec<_> = newest
        .filter(|entry| kind == MEMBER_ROLE_UPDATE && entry.id < before)
        .filter(|entry| by == 0 || entry.by.0 == by)
        .take(limit)
        .collect();
    let users: BTreeSet<_> = shown
        .iter()
        .flat_map(|entry| [entry.by, entry.member])
        .collect();
    let users: Vec<_> = users
        .into_iter()
        .map(|user| shape::user(world, user))
        .collect();
    let entries: Vec<_> = shown
        .iter()
        .map(|entry| shown_entry(guild, entry))
        .collect();
    Ok(Answer::json(&json!({
        "application_commands": [],
        "audit_log_entries": entries,
        "auto_moderation_rules": [],
        "guild_scheduled_events": [],
        "integrations": [],
        "threads": [],
        "users": users,
        "webhooks": [],
    })))
}

fn shown_entry(guild: &Guild, entry: &RoleUpdate) -> Value {
    let name = guild.roles.get(&entry.role).map(|role| &role.name);
    let mut shown = json!({
        "id": entry.id.to_string(),
        "action_type": MEMBER_ROLE_UPDATE,
        "user_id": entry.by,
        "target_id": entry.member,
        "changes": [{
            "key": if entry.given { "$add" } else { "$remove" },
            "new_value": [{ "id": entry.role, "name": name }],
        }],
    });
    if let Some(reason) = &entry.reason {
        shown["reason"] = json!(reason);
    }
    shown
}
