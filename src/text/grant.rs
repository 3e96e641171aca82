//! `/amser grant`, and what was given for a time.

use super::cause::manager;
use super::command::{mention, moment, plain};
use crate::domain::{Grant, RoleId, Timestamp, UserId};

/// Grants that `/amser gates` lists.
const SHOWN: usize = 25;

/// What a grant says of itself, after "Given".
fn terms(grant: &Grant) -> String {
    format!(
        "by {} until {}: {}",
        manager(grant.terms.by),
        moment(grant.terms.until),
        plain(&grant.terms.reason)
    )
}

/// The role was given.
pub(crate) fn granted(grant: &Grant, holds_already: bool) -> String {
    let (user, role, until) = (grant.user, mention(grant.role), moment(grant.terms.until));
    if holds_already {
        return format!(
            "<@{user}> has {role} already and keeps it at least until {until}. Then I remove it, unless a subscription gives it."
        );
    }
    format!(
        "Giving {role} to <@{user}> until {until}. Then I remove it by myself, unless a subscription gives it. `/amser gates` \
         lists what was given; the same command with 0 days ends it."
    )
}

/// A grant was ended early.
pub(crate) fn grant_ended(user: UserId, role: RoleId) -> String {
    format!(
        "Ended. {} goes from <@{user}>, unless a subscription gives it.",
        mention(role)
    )
}

/// There is none to end.
pub(crate) fn no_grant(user: UserId, role: RoleId) -> String {
    format!(
        "<@{user}> was not given {} for a time, so there is nothing to end.",
        mention(role)
    )
}

/// The user is not in the server.
pub(crate) fn not_a_member(user: UserId) -> String {
    format!("<@{user}> is not a member of this server.")
}

/// The role is not below the manager's own highest one.
pub(crate) fn grant_above_you(role: &str) -> String {
    format!(
        "**{}** is not below your own highest role, so you can't give it.",
        plain(role)
    )
}

/// The role carries permissions that are too dangerous to be given by a command; by their names on Discord.
pub(crate) fn grant_dangerous(role: &str, permissions: &[&str]) -> String {
    let permissions: Vec<_> = permissions.iter().map(|one| format!("\"{one}\"")).collect();
    format!(
        "**{}** carries {}. I don't give such a role for a time: give it in Discord, by hand.",
        plain(role),
        permissions.join(", ")
    )
}

/// Discord does not let the bot give the role; one sentence on why.
pub(crate) fn cannot_give(why: &str) -> String {
    format!("I can't give this role. {}", plain(why))
}

/// The role is gone.
pub(crate) fn no_such_role(role: &str) -> String {
    format!("This server has no role **{}** any more.", plain(role))
}

/// Beneath `/status`: what the member was given. With each the names of the role and of its server.
pub(crate) fn given_to_you(grants: &[(Grant, String, String)]) -> Vec<String> {
    let lines = grants.iter().map(|(grant, role, guild)| {
        let (role, guild) = (plain(role), plain(guild));
        format!(
            "**{role}** in **{guild}** is given to you for a time, {}",
            terms(grant)
        )
    });
    lines.collect()
}

/// Beneath `/amser gates`: what is given for a time.
pub(crate) fn grants(grants: &[Grant]) -> Vec<String> {
    if grants.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["Given for a time:".to_owned()];
    lines.extend(grants.iter().take(SHOWN).map(|grant| {
        let role = mention(grant.role);
        format!("• {role} to <@{}>, {}", grant.user, terms(grant))
    }));
    if let Some(rest) = grants.len().checked_sub(SHOWN).filter(|rest| *rest > 0) {
        lines.push(format!("and {rest} more."));
    }
    lines
}

/// The line of a receipt.
pub(super) fn evidence(grant: &Grant, now: Timestamp) -> String {
    let verb = match grant.terms.until > now {
        true => "It is given",
        false => "It was given",
    };
    format!("{verb} for a time {}.", terms(grant))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{GrantTerms, GuildId};

    pub(crate) fn grant(until: u64) -> Grant {
        Grant {
            guild: GuildId(1),
            user: UserId(5),
            role: RoleId(9),
            terms: GrantTerms {
                by: UserId(6),
                at: Timestamp(10),
                until: Timestamp(until),
                reason: "helped *a lot*".to_owned(),
            },
        }
    }

    #[test]
    fn what_was_given_is_listed_with_by_whom_until_when_and_why() {
        let lines = grants(&[grant(90)]);
        let line = "• <@&9> to <@5>, by <@6> until <t:90:f> (<t:90:R>): helped \\*a lot\\*";
        assert_eq!(lines[1], line);
        assert_eq!(grants(&[]), Vec::<String>::new());
        let many = vec![grant(90); SHOWN + 3];
        assert_eq!(grants(&many).last().unwrap(), "and 3 more.");
    }

    #[test]
    fn a_manager_who_asked_to_be_forgotten_is_not_named() {
        let mut nameless = grant(90);
        nameless.terms.by = UserId(0);
        let text = evidence(&nameless, Timestamp(10));
        assert!(
            text.starts_with("It is given for a time by a manager until"),
            "{text}"
        );
        assert!(evidence(&nameless, Timestamp(90)).starts_with("It was given"));
    }
}
