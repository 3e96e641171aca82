//! `allowed_mentions`: whom a message may notify.
use serde::Deserialize;

use super::error::ApiError;
use crate::domain::{RoleId, UserId};

/// Ids in one list.
const MOST_IDS: usize = 100;

/// <https://discord.com/developers/docs/resources/message#allowed-mentions-object>
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowedMentions {
    parse: Option<Vec<Kind>>,
    roles: Option<Vec<RoleId>>,
    users: Option<Vec<UserId>>,
    #[serde(rename = "replied_user")]
    _replied_user: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Roles,
    Users,
    Everyone,
}

impl AllowedMentions {
    /// All of a kind, or some by their ids: not both.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let parse = self.parse.as_deref().unwrap_or_default();
        let roles = self.roles.as_ref().map_or(0, Vec::len);
        let users = self.users.as_ref().map_or(0, Vec::len);
        for (name, kind, ids) in [("roles", Kind::Roles, roles), ("users", Kind::Users, users)] {
            let path = format!("allowed_mentions.{name}");
            if ids > MOST_IDS {
                let message = format!("Must be {MOST_IDS} or fewer in length.");
                return Err(ApiError::invalid_form(
                    &path,
                    "BASE_TYPE_MAX_LENGTH",
                    message,
                ));
            }
            if ids > 0 && parse.contains(&kind) {
                let message = format!("Either all {name} are parsed or some are listed.");
                return Err(ApiError::invalid_form(
                    &path,
                    "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                    message,
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn is_taken(value: Value) -> bool {
        serde_json::from_value::<AllowedMentions>(value)
            .is_ok_and(|allowed| allowed.check().is_ok())
    }

    #[test]
    fn a_kind_is_either_parsed_or_listed() {
        assert!(is_taken(json!({ "parse": [] })));
        assert!(is_taken(json!({ "parse": ["users"], "roles": ["3"] })));
        assert!(is_taken(json!({ "parse": ["users"], "users": [] })));
        assert!(!is_taken(json!({ "parse": ["users"], "users": ["7"] })));
        assert!(!is_taken(
            json!({ "parse": ["everyone", "roles"], "roles": ["3"] })
        ));
        assert!(!is_taken(json!({ "parse": ["members"] })));
        let many: Vec<_> = (1..=101).map(|id| id.to_string()).collect();
        assert!(!is_taken(json!({ "users": many })));
    }
}
