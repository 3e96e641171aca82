//! `/why`.

use std::time::Duration;

use super::Unread;
use super::cause::cause;
use super::command::{MINUTE, about, kept_until_approved, moment, plain};
use super::grant;
use super::manager::stopped;
use super::trail::{Trail, trail};
use crate::domain::{
    Applied, AppliedState, Cause, GateStanding, Grant, HeldBack, JournalEntry, Outcome, RoleAction,
    RoleId, Timestamp, UserId,
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
    /// What a manager gave for a time, and the machine's clock.
    pub(crate) grant: Option<(&'a Grant, Timestamp)>,
    /// Whether the member holds it, where no gate gives it.
    pub(crate) holds: bool,
    /// Whether it is not known who holds the role.
    pub(crate) unread: Option<Unread>,
    /// Removals of this role that are stopped.
    pub(crate) held_back: Option<HeldBack>,
    /// How long the last queued role change of the server waits.
    pub(crate) queue_wait: Duration,
    /// The steps that led to it; `None` where no gate gives it.
    pub(crate) trail: Option<Trail<'a>>,
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
        "No subscription gives **{}**: this bot neither gives nor removes it.",
        plain(name)
    )
}

/// No role of the server needs a subscription, and the member was given none.
pub(crate) fn nothing_gated() -> String {
    "This bot gives no role in this server that I could tell about.".to_owned()
}

/// A member asks about another one.
pub(crate) fn only_yourself() -> String {
    "You can ask this about yourself. About others only members with the permission \"Manage Server\" can.".to_owned()
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
        .any(|role| role.role == receipt.role && role.held)
        || (receipt.gates.is_empty() && receipt.holds);
    let is_given = receipt
        .grant
        .is_some_and(|(grant, now)| grant.terms.until > now);
    let entitled = is_given || receipt.gates.iter().any(|gate| gate.entitled);
    let mut lines = Vec::new();
    if let Some(unread) = &receipt.unread {
        lines.push(unread.sentence());
    } else if held {
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
                AppliedState::Revoking | AppliedState::Claiming => "It is being removed",
            };
            // What a manager gave is told below, with the reason.
            let is_told = is_given && matches!(applied.cause, Cause::Granted { .. });
            if !is_told {
                lines.push(format!("{state} because {}.", cause(&applied.cause, whose)));
            }
            // With a shorter queue it is done before this is read.
            let waits = applied.state.outstanding().is_some() && receipt.queue_wait > MINUTE;
            lines.extend(waits.then(|| {
                let wait = about(receipt.queue_wait);
                format!("Changes of roles are queued here: it can take {wait}.")
            }));
        }
        None if held => lines.push("This bot did not give it; someone did by hand.".to_owned()),
        None => {}
    }
    lines.extend(
        receipt
            .grant
            .map(|(grant, now)| grant::evidence(grant, now)),
    );
    match (receipt.held_back, receipt.whose) {
        (Some(held_back), Some(_)) => lines.push(stopped(receipt.role, held_back)),
        (Some(_), None) if held && !entitled => lines.push(kept_until_approved()),
        _ => {}
    }
    // Of a server that was not read, the subscriptions are left out as well.
    let is_asked_for = receipt.grant.is_none() || !receipt.gates.is_empty();
    if !entitled && receipt.unread.is_none() && is_asked_for {
        let all = receipt.gates.iter().flat_map(|gate| &gate.subscriptions);
        let (open, ended): (Vec<_>, Vec<_>) = all.partition(|one| one.open);
        let newest = ended
            .iter()
            .max_by_key(|one| (one.paid_until, one.subscription));
        lines.push(match newest {
            _ if !receipt.linked => "No wallet is linked; `/verify` links one.".to_owned(),
            None if !open.is_empty() => {
                "It needs all of its plans, and not all of them are paid.".to_owned()
            }
            None => "No linked wallet is subscribed to a plan that gives it.".to_owned(),
            Some(one) => match &one.cause {
                Some(why) => format!("No access now: {}.", cause(why, whose)),
                None => "The subscription is not paid yet.".to_owned(),
            },
        });
    }
    for gate in &receipt.gates {
        if let Some(trouble) = &gate.trouble {
            lines.push(format!(
                "⚠ It can't change at the moment: {}",
                plain(trouble)
            ));
        }
    }
    lines.extend(receipt.trail.iter().flat_map(trail));
    if !receipt.history.is_empty() {
        lines.push("Recent changes:".to_owned());
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
        (RoleAction::Revoke, Outcome::Done) => "removed",
        (RoleAction::Grant, Outcome::Failed { .. }) => "could not be given yet",
        (RoleAction::Revoke, Outcome::Failed { .. }) => "could not be removed yet",
    };
    let why = cause(&entry.change.cause, whose);
    format!("• {} {what}: {why}.", moment(entry.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::trail;

    fn told(unread: Option<Unread>, held_back: bool, whose: Option<UserId>) -> String {
        told_of(None, unread, held_back, whose)
    }

    fn told_of(
        applied: Option<&Applied>,
        unread: Option<Unread>,
        held_back: bool,
        whose: Option<UserId>,
    ) -> String {
        told_at(Vec::new(), applied, unread, held_back, whose)
    }

    fn told_at(
        gates: Vec<GateStanding>,
        applied: Option<&Applied>,
        unread: Option<Unread>,
        held_back: bool,
        whose: Option<UserId>,
    ) -> String {
        let held_back = held_back.then_some(HeldBack {
            removals: 12,
            holders: 40,
            since: Timestamp(900),
        });
        why(&Receipt {
            role: RoleId(9),
            name: "Paid*",
            applied,
            history: &[],
            gates: gates.iter().collect(),
            grant: None,
            holds: false,
            unread,
            held_back,
            queue_wait: Duration::from_secs(720),
            trail: None,
            linked: true,
            now: Timestamp(0),
            whose,
        })
    }

    #[test]
    fn who_holds_a_role_of_an_unread_server_is_not_guessed() {
        let text = told(None, false, None);
        assert!(text.starts_with("You do not have **Paid\\***."), "{text}");
        assert!(text.contains("No linked wallet"), "{text}");
        let text = told(Some(Unread::NotYet), false, None);
        assert!(text.starts_with("I haven't read"), "{text}");
        assert!(
            !text.contains("do not have") && !text.contains("No linked wallet"),
            "{text}"
        );
        let text = told(Some(Unread::Failed("No".into())), false, Some(UserId(1)));
        assert!(text.starts_with("I couldn't read"), "{text}");
    }

    #[test]
    fn an_open_subscription_is_no_reason_for_which_a_role_is_missing() {
        let told = |subscriptions: &[bool]| {
            let held = subscriptions.iter().map(|open| trail::tests::gate(*open));
            let gate = GateStanding {
                subscriptions: held.flat_map(|gate| gate.subscriptions).collect(),
                ..trail::tests::gate(false)
            };
            told_at(vec![gate], None, None, false, None)
        };
        let half = told(&[true]);
        assert!(half.contains("It needs all of its plans"), "{half}");
        assert!(!half.contains("No access now"), "{half}");
        let lapsed = told(&[true, false]);
        assert!(lapsed.contains("is not paid yet"), "{lapsed}");
    }

    #[test]
    fn a_change_that_is_queued_is_told_with_how_long_it_can_take() {
        let mut applied = Applied {
            guild: crate::domain::GuildId(1),
            user: UserId(2),
            role: RoleId(9),
            state: AppliedState::Granting,
            cause: Cause::NoSubscription,
            block: 1,
        };
        let text = told_of(Some(&applied), None, false, None);
        assert!(text.contains("it can take about 12 minutes"), "{text}");
        applied.state = AppliedState::Granted;
        let text = told_of(Some(&applied), None, false, None);
        assert!(!text.contains("minutes"), "{text}");
    }

    #[test]
    fn a_manager_reads_how_many_removals_of_the_role_are_stopped() {
        let text = told(None, true, Some(UserId(1)));
        assert!(text.contains("12 removals of <@&9> are stopped"), "{text}");
        let text = told(None, true, None);
        assert!(!text.contains("12 removals"), "{text}");
    }
}
