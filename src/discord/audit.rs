//! Who gave and took members' roles, by a server's audit log.
//! <https://discord.com/developers/docs/resources/audit-log>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Discord;
use super::error::Failure;
use super::member::{NamedUser, Object};
use super::server::hierarchy::{ADMINISTRATOR, VIEW_AUDIT_LOG};
use crate::domain::{GuildId, RoleAction, RoleId, UserId};

/// Discord's number for "a member's roles were changed".
const MEMBER_ROLE_UPDATE: u8 = 25;
/// Entries of one answer; Discord allows no more.
const ENTRIES: u8 = 100;

/// The newest changes of members' roles that were not ours, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditLog(pub Vec<RoleUpdate>);

/// A role of one member was changed by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleUpdate {
    /// What the bot or person is called who did it.
    pub by: String,
    /// Whose role it is.
    pub member: UserId,
    /// Which.
    pub role: RoleId,
    /// Given, or taken.
    pub action: RoleAction,
}

impl AuditLog {
    /// Who did this to the member's role last; else who did it last to anybody's: a program that changes a role back does so
    /// for many members, and one answer of Discord's shows the newest changes alone.
    pub fn who(&self, member: UserId, role: RoleId, action: RoleAction) -> Option<&str> {
        let same = |one: &&RoleUpdate| (one.role, one.action) == (role, action);
        let mut updates = self.0.iter().filter(same);
        let first = updates.clone().next();
        let of_member = updates.find(|one| one.member == member);
        of_member.or(first).map(|one| one.by.as_str())
    }
}

impl Discord {
    /// Who changed members' roles in a server lately; `None` where the bot lacks the permission to see that.
    ///
    /// # Errors
    /// See [`Failure`]; never a rate limit.
    pub async fn role_updates(&self, guild: GuildId) -> Result<Option<AuditLog>, Failure> {
        let roles = self.shared.look(|guilds| guilds.get(&guild)?.roles.clone());
        let may_see = roles.is_some_and(|roles| {
            roles.owned || roles.permissions(guild) & (ADMINISTRATOR | VIEW_AUDIT_LOG) != 0
        });
        if !may_see {
            return Ok(None);
        }
        let which = format!("action_type={MEMBER_ROLE_UPDATE}&limit={ENTRIES}");
        let path = format!("guilds/{guild}/audit-logs?{which}");
        let body: LogBody = self.shared.rest.get(path).await?;
        let bot = self.shared.bot().await?;
        Ok(Some(body.read(bot)))
    }
}

/// What matters of the answer. Entries of other kinds have other fields.
#[derive(Deserialize)]
struct LogBody {
    #[serde(default)]
    audit_log_entries: Vec<Entry>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct Entry {
    action_type: u32,
    user_id: Option<UserId>,
    target_id: Option<String>,
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    key: String,
    #[serde(default)]
    new_value: Value,
}

impl LogBody {
    fn read(self, bot: UserId) -> AuditLog {
        let names: BTreeMap<_, _> = self
            .users
            .into_iter()
            .map(|user| (user.id, user.name()))
            .collect();
        let mut updates = Vec::new();
        for entry in self.audit_log_entries {
            let by = entry.user_id.filter(|by| *by != bot);
            let member = entry.target_id.and_then(|id| id.parse().ok());
            let (Some(by), Some(member)) = (by, member) else {
                continue;
            };
            if entry.action_type != u32::from(MEMBER_ROLE_UPDATE) {
                continue;
            }
            for change in entry.changes {
                let action = match change.key.as_str() {
                    "$add" => RoleAction::Grant,
                    "$remove" => RoleAction::Revoke,
                    _ => continue,
                };
                // What has another shape is left out: it names nobody.
                let roles = Vec::<Object<_>>::deserialize(change.new_value).unwrap_or_default();
                updates.extend(roles.into_iter().map(|role| RoleUpdate {
                    by: names.get(&by).cloned().unwrap_or_else(|| by.to_string()),
                    member: UserId(member),
                    role: role.id,
                    action,
                }));
            }
        }
        AuditLog(updates)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const US: UserId = UserId(1);
    const GOLD: RoleId = RoleId(7);

    fn log() -> AuditLog {
        let entry = |by: &str, member: &str, key: &str, role: &str| {
            json!({"id": "99", "action_type": 25, "user_id": by, "target_id": member,
                "changes": [{"key": key, "new_value": [{"id": role, "name": "x"}]}]})
        };
        let body = json!({
            "audit_log_entries": [
                entry("1", "5", "$remove", "7"),
                entry("3", "6", "$remove", "7"),
                entry("2", "5", "$remove", "7"),
                entry("2", "5", "$add", "8"),
                {"id": "98", "action_type": 25, "user_id": "2", "target_id": "5",
                    "changes": [{"key": "nick", "new_value": "y"}]},
                {"id": "97", "action_type": 31, "user_id": null, "target_id": null},
            ],
            "users": [{"id": "2", "username": "levels", "global_name": "Level Bot", "bot": true}],
            "webhooks": [],
        });
        let body: LogBody = serde_json::from_value(body).unwrap();
        body.read(US)
    }

    #[test]
    fn an_entry_names_who_changed_the_members_role_and_never_ourselves() {
        let log = log();
        assert_eq!(log.0.len(), 3, "{log:?}");
        let who = |member, role, action| log.who(UserId(member), role, action);
        assert_eq!(who(5, GOLD, RoleAction::Revoke), Some("Level Bot"));
        assert_eq!(who(5, GOLD, RoleAction::Grant), None);
        assert_eq!(who(5, RoleId(8), RoleAction::Grant), Some("Level Bot"));
    }

    #[test]
    fn a_member_without_an_entry_is_told_by_what_was_done_to_others() {
        let log = log();
        // Nobody told the name of user 3.
        assert_eq!(log.who(UserId(9), GOLD, RoleAction::Revoke), Some("3"));
    }
}
