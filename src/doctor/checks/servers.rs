//! The servers: whether the gates' roles can be given there, and by whom else they are.

use super::discord::split;
use crate::discord::SeenServer;
use crate::discord::hierarchy::Obstacle;
use crate::doctor::facts::{BotFacts, Facts, ServerFacts};
use crate::domain::{Finding, RoleId};
use crate::merchants::dangerous;
use crate::text;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let has_two_factor = match &facts.discord.bot {
        BotFacts::Is(bot) => bot.user.has_two_factor,
        _ => false,
    };
    let mut findings = Vec::new();
    for server in &facts.servers {
        match &server.seen {
            Err(why) => findings.push(Finding::failure(
                "server.reach",
                format!("server {} could not be read: {why}", server.guild),
                "run doctor again; if it stays so, invite the bot again",
            )),
            Ok(None) => findings.push(Finding::failure(
                "server.bot",
                format!("the bot is not in the server {}", server.guild),
                "invite it (the address /connect of this service does that), or remove the server's gates",
            )),
            Ok(Some(seen)) => of_server(server, seen, has_two_factor, &mut findings),
        }
    }
    if facts.servers_left_out > 0 {
        let more = text::counted(facts.servers_left_out as u64, "more server");
        findings.push(Finding::warning(
            "server.reach",
            format!("there was no time to look at {more}"),
            "run doctor while the service runs: its own lines are about every server",
        ));
    }
    findings
}

fn of_server(
    server: &ServerFacts,
    seen: &SeenServer,
    has_two_factor: bool,
    findings: &mut Vec<Finding>,
) {
    let name = &seen.roles.name;
    findings.push(Finding::ok(
        "server.bot",
        format!("the bot is in \"{name}\""),
    ));
    roles(server, seen, findings);
    if seen.demands_two_factor && !has_two_factor && !server.roles.is_empty() {
        findings.push(Finding::failure(
            "server.two_factor",
            format!("\"{name}\" asks moderators for two-factor authentication, which the bot's owner has not switched on"),
            "switch it on for the Discord account that owns the application",
        ));
    }
    invites(server, seen, findings);
    for (key, channel, sees) in &server.channels {
        findings.push(match sees {
            Some(true) => {
                let sentence = format!("the bot sees the {key} of \"{name}\"");
                Finding::ok("server.channel", sentence)
            }
            Some(false) => Finding::warning(
                "server.channel",
                format!(
                    "the {key} of \"{name}\" ({channel}) is no channel there that the bot sees"
                ),
                "choose another channel, or let the bot see and write in it",
            ),
            None => Finding::warning(
                "server.channel",
                format!("the {key} of \"{name}\" could not be looked at"),
                "run doctor again",
            ),
        });
    }
}

fn roles(server: &ServerFacts, seen: &SeenServer, findings: &mut Vec<Finding>) {
    let name = &seen.roles.name;
    let mut obstacles = std::collections::BTreeSet::new();
    for role in &server.roles {
        let Some(obstacle) = seen.roles.obstacle(server.guild, *role) else {
            continue;
        };
        // What is of the whole server is said once.
        let of_role = match obstacle {
            Obstacle::NoManageRoles => RoleId(0),
            _ => *role,
        };
        obstacles.insert((of_role, obstacle));
    }
    for (role, obstacle) in &obstacles {
        let check = match obstacle {
            Obstacle::NoManageRoles => "server.manage_roles",
            Obstacle::Gone => "server.role_gone",
            Obstacle::Everyone | Obstacle::NotByHand { .. } => "server.role_kind",
            Obstacle::TooHigh { .. } => "server.role_order",
        };
        let (what, to_do) = split(&text::obstacle(name, *role, obstacle));
        findings.push(Finding::failure(check, what, to_do));
    }
    if obstacles.is_empty() {
        let count = server.roles.len();
        let sentence = format!(
            "the bot can give the gates' {} in \"{name}\"",
            text::counted(count as u64, "role")
        );
        findings.push(Finding::ok("server.roles", sentence));
    }
    let held = server.roles.iter().filter(|role| role.0 != server.guild.0);
    let held = held.filter_map(|role| seen.roles.roles.get(role));
    for role in held {
        let permissions = dangerous(role.permissions);
        if !permissions.is_empty() {
            let permissions = permissions.join(", ");
            findings.push(Finding::warning(
                "server.role_power",
                format!("the role \"{}\" of a gate in \"{name}\" gives whoever pays power over the server: {permissions}", role.name),
                format!("take from it: {permissions}"),
            ));
        }
    }
}

fn invites(server: &ServerFacts, seen: &SeenServer, findings: &mut Vec<Finding>) {
    let name = &seen.roles.name;
    let Some(invites) = &seen.invites else {
        let sentence = format!("the bot may not see the invites of \"{name}\"");
        findings.push(Finding::ok("server.invites", sentence));
        return;
    };
    let mut is_clean = true;
    for invite in invites {
        let mut given = invite.roles.intersection(&server.roles);
        if let Some(role) = given.next() {
            is_clean = false;
            let role = seen.roles.roles.get(role);
            let role = role.map_or("a gate's role", |role| &role.name);
            findings.push(Finding::warning(
                "server.invites",
                format!("the invite {} of \"{name}\" gives \"{role}\" to whoever follows it, paid or not", invite.code),
                "remove the role from the invite, or revoke the invite",
            ));
        }
    }
    if is_clean {
        let sentence = format!("no invite of \"{name}\" gives a role of a gate");
        findings.push(Finding::ok("server.invites", sentence));
    }
}
