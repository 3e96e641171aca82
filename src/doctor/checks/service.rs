//! What the running service says of itself.

use super::discord::{refused_intent, split};
use crate::doctor::facts::Facts;
use crate::domain::{
    ChainStatus, DiscordStatus, DriftMode, DriftStatus, Finding, MembersIntent, ReadingState,
};
use crate::text::counted;

/// Every wallet is compared at least once a day; after twice that, something is wrong. Seconds.
const OLDEST_CHECK: u64 = 2 * 86_400;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(service) = &facts.service else {
        return vec![Finding::ok("service", "no service runs with this store")];
    };
    let mut findings = vec![Finding::ok("service", "the running service was asked")];
    chain(&service.chain, &mut findings);
    discord(&service.discord, &mut findings);
    drift(facts, &service.drift, &mut findings);
    findings
}

fn chain(chain: &ChainStatus, findings: &mut Vec<Finding>) {
    let name = "service.chain";
    findings.push(match (&chain.trouble, chain.at_tip) {
        (Some(trouble), _) => Finding::failure(
            name,
            format!("the chain cannot be followed: {trouble}"),
            "see the lines about nodes below",
        ),
        (None, false) => Finding::warning(
            name,
            "the chain is not read to its tip yet, and until then no role is taken",
            "wait; the log says how far it is",
        ),
        (None, true) => Finding::ok(name, "the chain is followed at its tip"),
    });
    for (module, why) in &chain.unread_modules {
        findings.push(Finding::failure(
            "service.module",
            format!("{module} is not followed: {why}"),
            "see the lines about this module below",
        ));
    }
}

fn discord(discord: &DiscordStatus, findings: &mut Vec<Finding>) {
    findings.push(match discord.connected {
        true => Finding::ok("service.discord", "the bot is connected"),
        false => Finding::failure(
            "service.discord",
            "the bot is not connected to Discord's gateway",
            "see the log; if it just started, run doctor again",
        ),
    });
    if discord.members_intent == MembersIntent::Refused {
        findings.push(refused_intent());
    }
    for sentence in discord.failing.values() {
        let (what, to_do) = split(sentence);
        findings.push(Finding::failure("service.roles", what, to_do));
    }
    if let Some(refused) = &discord.commands_refused {
        let (what, to_do) = split(refused);
        findings.push(Finding::failure("service.commands", what, to_do));
    }
    for (guild, server) in &discord.servers {
        for contested in server.contested.values() {
            let (what, to_do) = split(&contested.sentence);
            findings.push(Finding::warning("service.contested", what, to_do));
        }
        for (role, held) in &server.held_back {
            findings.push(Finding::warning(
                "service.held_back",
                format!(
                    "the service holds back {} of the role {role} in the server {guild}, of {}",
                    counted(held.removals as u64, "removal"),
                    counted(held.holders as u64, "holder")
                ),
                "look at them in the dashboard, and let them through there or by /amser approve",
            ));
        }
        if let ReadingState::Failed(why) = &server.reading {
            findings.push(Finding::warning(
                "service.reading",
                format!("the members of the server {guild} could not be read: {why}"),
                "it is tried again by itself",
            ));
        }
    }
}

/// The second sources: amser's API, and the contracts themselves.
fn drift(facts: &Facts, drift: &DriftStatus, findings: &mut Vec<Finding>) {
    let name = "service.checks";
    if let DriftMode::Fallback { since } = drift.mode {
        findings.push(Finding::warning(
            "service.fallback",
            format!("since {since} amser's API decides about new roles, because the chain cannot be followed"),
            "see the lines about nodes below",
        ));
    }
    if let Some(trouble) = &drift.api_trouble {
        findings.push(Finding::warning(
            "service.api",
            format!("amser's API is not asked: {trouble}"),
            "see the line about the API below; roles follow the chain all the same",
        ));
    }
    let oldest = drift
        .oldest_check
        .map(|at| facts.now.0.saturating_sub(at.0));
    let pairs = counted(drift.questions, "pair");
    findings.push(match oldest.filter(|age| *age > OLDEST_CHECK) {
        Some(age) => Finding::warning(
            name,
            format!(
                "a wallet was compared with the contract or the API last {} hours ago",
                age / 3_600
            ),
            "see the lines about nodes and the API below: neither has answered for it since",
        ),
        None if drift.contracts.unknown > 0 && drift.contracts.checks == 0 => Finding::warning(
            name,
            format!("{pairs} of a wallet and a plan could not be compared with the contracts yet"),
            "see the lines about nodes and modules below: none has answered for them",
        ),
        None => Finding::ok(
            name,
            format!("second sources are asked about {pairs} of a wallet and a plan"),
        ),
    });
}
