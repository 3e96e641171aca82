//! What managers read of a role that somebody else changes back again and again.

use super::command::count;
use crate::domain::RoleAction;

/// Who that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// A bot or a person of this name, by the audit log.
    Named(String),
    /// The audit log does not tell.
    Unknown,
    /// The bot may not read the audit log.
    Hidden,
}

/// In one sentence, what is left alone and what to do. `ours`: what we did to the role each time.
pub(crate) fn contested(
    guild: &str,
    role: &str,
    ours: RoleAction,
    members: usize,
    other: &Other,
) -> String {
    let who = match other {
        Other::Named(name) => format!("\"{name}\""),
        Other::Unknown | Other::Hidden => "another bot or a person".to_owned(),
    };
    let of = count(members, "member", "members");
    let (theirs, ours) = match ours {
        RoleAction::Grant => (format!("takes the role \"{role}\" from {of}"), "giving"),
        RoleAction::Revoke => (format!("gives the role \"{role}\" to {of}"), "taking"),
    };
    let hint = match other {
        Other::Hidden => {
            " (allow my role \"View Audit Log\" in Server Settings > Roles, and I can say who)"
        }
        Other::Named(_) | Other::Unknown => "",
    };
    format!(
        "In \"{guild}\" {who}{hint} {theirs}, however often I change it back, so I stopped {ours} it there for an hour: \
         end what does that, then run /amser sync."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_other_where_that_is_known_and_says_what_to_do() {
        let other = Other::Named("Level Bot".to_owned());
        let said = contested("Club", "Gold", RoleAction::Grant, 1, &other);
        assert_eq!(
            said,
            "In \"Club\" \"Level Bot\" takes the role \"Gold\" from 1 member, however often I change it back, so I \
             stopped giving it there for an hour: end what does that, then run /amser sync."
        );
        let said = contested("Club", "Gold", RoleAction::Revoke, 2, &Other::Hidden);
        assert!(
            said.contains("another bot or a person (allow my role"),
            "{said}"
        );
        assert!(
            said.contains("gives the role \"Gold\" to 2 members"),
            "{said}"
        );
    }
}
