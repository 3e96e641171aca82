//! `/why`.

use super::cause::cause;
use super::command::{moment, plain};
use crate::domain::{
    Applied, AppliedState, GateStanding, JournalEntry, Outcome, RoleAction, RoleId, Timestamp,
    UserId,
};

/// What `/why` is told from.
pub(crate) struct Receipt<'a> {
    /// The role.
    pub(crate) role: RoleId,
    /// Its name.
    pub(crate) name: &'a str,
    /// What the program did last.
    pub(crate) applied: Option<&'a Applied>,
    /// The newest entries about this role, newest first.
    pub(crate) history: &'a [JournalEntry],
    /// The gates that give it.
    pub(crate) gates: Vec<&'a GateStanding>,
    /// Whether a wallet is linked.
    pub(crate) linked: bool,
    /// The chain's time.
    pub(crate) now: Timestamp,
    /// Another member, when a manager asks.
    pub(crate) whose: Option<UserId>,
}

/// No subscription gives the role.
pub(crate) fn not_gated(name: &str) -> String {
    format!(
        "**{}** has nothing to do with subscriptions: this bot neither gives nor takes it.",
        plain(name)
    )
}

/// Why the role is there or not, and what happened to it lately.
pub(crate) fn why(receipt: &Receipt<'_>) -> String {
    let (who, have, whose) = match receipt.whose {
        Some(user) => (format!("<@{user}>"), "has", "their"),
        None => ("You".to_owned(), "have", "your"),
    };
    let name = plain(receipt.name);
    let held = receipt
        .gates
        .iter()
        .flat_map(|gate| &gate.roles)
        .any(|role| role.role == receipt.role && role.held);
    let entitled = receipt.gates.iter().any(|gate| gate.entitled);
    let mut lines = Vec::new();
    if held {
        lines.push(format!("{who} {have} **{name}**."));
    } else {
        let negated = if receipt.whose.is_some() {
            "does not have"
        } else {
            "do not have"
        };
        lines.push(format!("{who} {negated} **{name}**."));
    }
    match receipt.applied {
        Some(applied) => {
            let state = match applied.state {
                AppliedState::Granting => "It is being given",
                AppliedState::Granted => "It was given",
                AppliedState::Revoking | AppliedState::Claiming => "It is being taken away",
            };
            lines.push(format!("{state} because {}.", cause(&applied.cause, whose)));
        }
        None if held => lines.push("This bot did not give it; someone did by hand.".to_owned()),
        None => {}
    }
    if !entitled {
        let mut causes: Vec<_> = receipt
            .gates
            .iter()
            .flat_map(|gate| &gate.subscriptions)
            .collect();
        causes.sort_by_key(|one| std::cmp::Reverse((one.paid_until, one.subscription)));
        let newest = causes.first();
        lines.push(match newest {
            _ if !receipt.linked => "No wallet is linked; `/verify` links one.".to_owned(),
            None => "No linked wallet is subscribed to a plan that gives it.".to_owned(),
            Some(one) => match &one.cause {
                Some(why) => format!("No access now: {}.", cause(why, whose)),
                None => "The subscription is not paid yet.".to_owned(),
            },
        });
    }
    for gate in &receipt.gates {
        if let Some(trouble) = &gate.trouble {
            lines.push(format!("⚠ At present it cannot change: {}", plain(trouble)));
        }
    }
    if !receipt.history.is_empty() {
        lines.push("Lately:".to_owned());
        lines.extend(receipt.history.iter().map(|entry| line(entry, whose)));
    }
    if receipt.now != Timestamp::default() {
        lines.push(format!("By the chain's clock, {}.", moment(receipt.now)));
    }
    lines.join("\n")
}

fn line(entry: &JournalEntry, whose: &str) -> String {
    let what = match (entry.change.action, &entry.outcome) {
        (RoleAction::Grant, Outcome::Done) => "given",
        (RoleAction::Revoke, Outcome::Done) => "taken away",
        (RoleAction::Grant, Outcome::Failed { .. }) => "could not be given yet",
        (RoleAction::Revoke, Outcome::Failed { .. }) => "could not be taken away yet",
    };
    let why = cause(&entry.change.cause, whose);
    format!("• {} {what}: {why}.", moment(entry.at))
}
