//! What those who manage a server read.

use std::collections::{BTreeMap, BTreeSet};

use super::command::{
    about, chain_note, count, mention, moment, no_gates, plain, unreadable_because,
};
use super::grant;
use super::plan::{PlanRows, is_named, plan_name};
use crate::domain::{
    Approved, ChainStatus, DriftMode, Gate, GateMatch, GateOrigin, Grant, HeldBack, MembersIntent,
    ReadingState, RoleId, ServerStatus, SyncOutcome, UserId, Wallet,
};

/// A command from someone who does not manage the server.
pub(crate) fn managers_only() -> String {
    "Only members with the permission \"Manage Server\" can do this.".to_owned()
}

/// What `/amser check` is told from.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    /// How many gates the server has.
    pub(crate) gates: usize,
    /// Standing errors, each with one sentence on what to do.
    pub(crate) trouble: &'a [String],
    /// The server, if anything is known of it.
    pub(crate) server: Option<&'a ServerStatus>,
    /// Whether member events come.
    pub(crate) members_intent: MembersIntent,
    /// How far the chain is read.
    pub(crate) chain: &'a ChainStatus,
    /// Which source decides.
    pub(crate) mode: DriftMode,
}

/// `/amser check`.
pub(crate) fn check(check: &Check<'_>) -> String {
    // Roles of gates that were removed are still to be taken, and that may be stopped.
    let is_left = |server: &ServerStatus| server.queued > 0 || !server.held_back.is_empty();
    if check.gates == 0 && check.trouble.is_empty() && !check.server.is_some_and(is_left) {
        return no_gates();
    }
    let mut lines = vec![match check.gates {
        0 => no_gates(),
        1 => "One gate gives roles in this server; `/amser gates` shows it.".to_owned(),
        many => format!("{many} gates give roles in this server; `/amser gates` lists them."),
    }];
    let mut trouble: Vec<_> = check.trouble.iter().map(|one| plain(one)).collect();
    trouble.extend(reading(check.server.map(|server| &server.reading)));
    let held_back = check.server.map(|server| &server.held_back);
    let held_back = held_back.into_iter().flatten();
    trouble.extend(held_back.map(|(role, held)| {
        format!(
            "{} `/amser approve` lets them through.",
            stopped(*role, *held)
        )
    }));
    let is_well = trouble.is_empty()
        && check.chain.trouble.is_none()
        && check.chain.at_tip
        && check.mode == DriftMode::Chain;
    lines.extend(trouble.iter().map(|sentence| format!("• {sentence}")));
    lines.extend(check.server.and_then(queue));
    lines.extend(members_intent(check.members_intent));
    if let Some(confirmed) = check.chain.confirmed {
        lines.push(format!(
            "The chain is read up to block {}, {}.",
            confirmed.number,
            moment(confirmed.timestamp)
        ));
    }
    lines.extend(chain_note(check.chain));
    lines.extend(mode(check.mode));
    if is_well {
        lines.push("Nothing prevents roles from being given.".to_owned());
    }
    lines.join("\n")
}

/// That another source decides than usual.
fn mode(mode: DriftMode) -> Option<String> {
    match mode {
        DriftMode::Chain => None,
        DriftMode::Fallback { since } => Some(format!(
            "I haven't been able to follow the chain since {}, so I give roles by what amser's API says and remove none that \
             the chain hadn't ended before. When I can read the chain again, it decides about all of them.",
            moment(since)
        )),
    }
}

/// Why the members are not known, if they are not.
fn reading(reading: Option<&ReadingState>) -> Option<String> {
    match reading {
        Some(ReadingState::Done) => None,
        Some(ReadingState::Failed(why)) => Some(unreadable_because(why)),
        None | Some(ReadingState::NotYet) => Some(
            "I haven't read this server's members yet. New payments and new links count at once; everyone else follows when \
             I have."
                .to_owned(),
        ),
    }
}

/// How many removals of a role are stopped, since when and why.
pub(super) fn stopped(role: RoleId, held: HeldBack) -> String {
    format!(
        "{} of {} {} stopped since <t:{}:R>: too many of its {} at once, without an event on the chain for each.",
        count(held.removals, "removal", "removals"),
        mention(role),
        if held.removals == 1 { "is" } else { "are" },
        held.since.0,
        count(held.holders, "holder", "holders"),
    )
}

/// How long the queue is, where there is one.
fn queue(server: &ServerStatus) -> Option<String> {
    (server.queued > 0).then(|| {
        format!(
            "{} {} queued; at the pace Discord allows, the last one takes {}.",
            count(server.queued, "role change", "role changes"),
            if server.queued == 1 { "is" } else { "are" },
            about(server.queue_wait)
        )
    })
}

fn members_intent(intent: MembersIntent) -> Option<String> {
    let why = match intent {
        MembersIntent::Used => return None,
        MembersIntent::Refused => {
            "Discord refuses this bot the privileged intent \"Server Members\""
        }
        MembersIntent::Never => {
            "The intent \"Server Members\" is switched off in this bot's configuration"
        }
    };
    Some(format!(
        "{why}, so I look members up one by one: who joins or is given a role by hand can wait about two minutes."
    ))
}

/// What `/amser gates` is told from.
pub(crate) struct GateList<'a> {
    /// The server's gates.
    pub(crate) gates: &'a [Gate],
    /// Standing errors by role (`None`: of the whole server).
    pub(crate) failing: &'a BTreeMap<Option<RoleId>, String>,
    /// What the chain says is wrong with a gate.
    pub(crate) of_gate: &'a dyn Fn(&Gate) -> BTreeSet<String>,
    /// The plans whose names are known.
    pub(crate) plans: &'a PlanRows,
    /// Roles that were given for a time.
    pub(crate) grants: &'a [Grant],
}

/// `/amser gates`.
pub(crate) fn gates(list: &GateList<'_>) -> String {
    let first = match list.gates.is_empty() {
        true => no_gates(),
        false => "Who holds which role in this server:".to_owned(),
    };
    let mut lines = vec![first];
    let of_server = list.failing.get(&None);
    lines.extend(of_server.map(|sentence| format!("⚠ {}", plain(sentence))));
    for gate in list.gates {
        lines.push(rule(gate, list.plans));
        let roles = gate.roles.iter();
        let of_roles = roles.filter_map(|role| list.failing.get(&Some(*role)));
        let of_gate = (list.of_gate)(gate);
        let trouble = of_roles.chain(&of_gate);
        lines.extend(trouble.map(|sentence| format!("  ⚠ {}", plain(sentence))));
    }
    lines.extend(grant::grants(list.grants));
    lines.join("\n")
}

fn rule(gate: &Gate, known: &PlanRows) -> String {
    let roles: Vec<_> = gate.roles.iter().map(|role| mention(*role)).collect();
    let plans: Vec<_> = gate
        .plans
        .iter()
        .map(|plan| match is_named(gate.module, *plan, known) {
            true => format!("{} (plan {plan})", plan_name(gate.module, *plan, known)),
            false => format!("plan {plan}"),
        })
        .collect();
    let needed = match (gate.matching, plans.as_slice()) {
        (_, [one]) => one.clone(),
        (GateMatch::Any, many) => format!("any of {}", many.join(", ")),
        (GateMatch::All, many) => format!("all of {}", many.join(", ")),
    };
    let origin = match gate.origin {
        GateOrigin::Config => "config.toml",
        GateOrigin::Dashboard => "the dashboard",
    };
    format!(
        "• {}: {needed} of module `{}` (set in {origin})",
        roles.join(", "),
        gate.module
    )
}

/// Before stopped removals are let through.
pub(crate) fn approve_question(role: RoleId, held: HeldBack) -> String {
    format!(
        "{} Press the button to remove {} from {} now. This approves these removals alone, once.",
        stopped(role, held),
        mention(role),
        count(held.removals, "member", "members")
    )
}

/// On the button that lets them through.
pub(crate) fn approve_button(held: HeldBack) -> String {
    format!("Remove from {}", count(held.removals, "member", "members"))
}

/// No removal of the role is stopped.
pub(crate) fn nothing_held(role: RoleId) -> String {
    format!("No removals of {} are stopped.", mention(role))
}

/// After the button was pressed.
pub(crate) fn approved(role: RoleId, approved: Approved) -> String {
    match approved {
        Approved::Released { removals } => format!(
            "Approved: removing {} from {}.",
            mention(role),
            count(removals, "member", "members")
        ),
        Approved::NothingHeld => nothing_held(role),
        Approved::Outdated => format!(
            "The stopped removals of {} have changed since. Run `/amser approve` again to see them.",
            mention(role)
        ),
    }
}

/// The permanent message was posted.
pub(crate) fn posted() -> String {
    "Posted. The button keeps working after restarts; delete the message when you no longer want it.".to_owned()
}

/// The bot lacks permissions in the channel, by their names on Discord.
pub(crate) fn cannot_post(missing: &[&str]) -> String {
    let missing: Vec<_> = missing.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "I can't post in this channel: allow my role {} here, then try again.",
        missing.join(" and ")
    )
}

/// The channel takes no messages of ours.
pub(crate) fn wrong_channel() -> String {
    "I can't post in this kind of channel. Run the command in a text channel.".to_owned()
}

/// The thread is archived or locked.
pub(crate) fn closed_thread() -> String {
    "This thread is archived. Reopen it, or run the command in a text channel.".to_owned()
}

/// What came of reading a server again.
pub(crate) fn synced(synced: SyncOutcome) -> String {
    let SyncOutcome {
        members,
        grants,
        revokes,
        held_back,
        unconfirmed,
        at_tip,
    } = synced;
    if members == 0 {
        return "Nobody here has linked a wallet yet, so there is nothing to do.".to_owned();
    }
    let checked = count(members, "member", "members");
    let mut lines = vec![match (grants, revokes) {
        (0, 0) if held_back == 0 && unconfirmed == 0 && at_tip => {
            format!("Checked {checked}: every role is up to date.")
        }
        (0, 0) => format!("Checked {checked}: there is nothing to change now."),
        _ => format!(
            "Checked {checked}: adding {}, removing {}.",
            count(grants, "role", "roles"),
            count(revokes, "role", "roles")
        ),
    }];
    if held_back > 0 {
        lines.push(format!(
            "{} stopped: too many of a role's holders at once, without an event on the chain for each. `/amser check` says \
             of which role; `/amser approve` lets them through.",
            count(held_back, "removal is", "removals are")
        ));
    }
    if unconfirmed > 0 {
        lines.push(format!(
            "{} until a node says whether access is really over: none could so far.",
            count(unconfirmed, "removal waits", "removals wait")
        ));
    }
    if !at_tip {
        lines.push(CHAIN_UNREAD.to_owned());
    }
    lines.join("\n")
}

const CHAIN_UNREAD: &str =
    "I'm still reading the chain; no role is removed until I have read all of it.";

/// Reading a server takes longer than a manager waits.
pub(crate) fn still_reading(at_tip: bool) -> String {
    match at_tip {
        true => "I'm still reading this server; its roles follow automatically.".to_owned(),
        false => CHAIN_UNREAD.to_owned(),
    }
}

/// `/amser whois`: the wallets that subscribe here, and how many others the member has linked.
pub(crate) fn whois(user: UserId, subscribing: &BTreeSet<Wallet>, others: usize) -> String {
    let rest = (others > 0).then(|| {
        let wallets = count(others, "wallet", "wallets");
        format!("{wallets} without a subscription to this server's plans")
    });
    if subscribing.is_empty() {
        let linked = rest.as_deref().unwrap_or("no wallet");
        return format!("<@{user}> has linked {linked}.");
    }
    let mut lines = vec![format!("<@{user}> subscribes with:")];
    lines.extend(subscribing.iter().map(|wallet| format!("• `{wallet}`")));
    lines.extend(rest.map(|rest| format!("and has linked {rest}.")));
    lines.join("\n")
}

#[cfg(test)]
mod tests;
