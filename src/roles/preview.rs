//! What a gate would change, before it is made: the real plan, made with the server's gates swapped for a moment.

use std::collections::{BTreeMap, BTreeSet};

use super::Roles;
use super::desired::entitlement;
use super::people::{People, ServerRules};
use super::plan::plan;
use crate::domain::{
    Gate, GateId, GuildId, Holders, ManualRoles, Named, Preview, PreviewQuestion, RoleAction,
    RoleId, Timestamp, UserId,
};

/// A preview that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: PreviewQuestion,
    /// Whether the linked subscribers were given seats, and so are read.
    pub(super) is_seated: bool,
}

impl Roles {
    /// Answers the previews for which all is read.
    pub(super) fn tell_previews(&mut self) {
        for mut asked in std::mem::take(&mut self.reading.previews) {
            // Whoever asked may have gone.
            if asked.question.answer.is_closed() {
                continue;
            }
            let preview = match self.is_known(&mut asked) {
                Ok(true) => Ok(look_ahead(
                    &mut self.people,
                    asked.question.guild,
                    asked.question.gates,
                    asked.question.draft,
                    asked.question.holders.as_ref(),
                    self.progress.last_now,
                )),
                Ok(false) => {
                    self.reading.previews.push(asked);
                    continue;
                }
                Err(sentence) => Err(sentence),
            };
            let _gone = asked.question.answer.send(preview);
        }
    }

    /// Whether everything that the preview depends on was read; or why that is not to be expected soon.
    fn is_known(&mut self, asked: &mut Asked) -> Result<bool, String> {
        let (guild, draft) = (asked.question.guild, asked.question.draft);
        let mut gates = asked.question.gates.iter();
        let Some(module) = gates.find(|one| one.id == draft).map(|one| one.module) else {
            return Err("The gate is not among those of the server.".to_owned());
        };
        if !self.progress.reached_tip || !self.people.is_complete(module) {
            let chain = self.inputs.chain.borrow();
            return match chain.unread_modules.get(&module).or(chain.trouble.as_ref()) {
                Some(trouble) => Err(format!("This module can't be read right now: {trouble}")),
                None => Ok(false),
            };
        }
        if !asked.is_seated {
            asked.is_seated = true;
            self.people.seat_subscribers(guild, module);
            self.read_on();
        }
        if self.reading.is_read(guild) {
            return Ok(true);
        }
        match self.reading.is_unreadable(guild) {
            true => Err("Discord doesn't let the bot read this server's members.".to_owned()),
            false => Ok(false),
        }
    }
}

/// What would change if the server's gates were these. The picture is as before afterwards.
fn look_ahead(
    people: &mut People,
    guild: GuildId,
    gates: Vec<Gate>,
    draft: GateId,
    listed: Option<&BTreeMap<UserId, Vec<RoleId>>>,
    now: Timestamp,
) -> Preview {
    let planned_already = planned(people, guild, now);
    let draft = gates.iter().find(|gate| gate.id == draft).cloned();
    let rules = ServerRules {
        gates,
        ..people.rules(guild).clone()
    };
    let before = people.swap_rules(guild, rules);
    let strangers = see_strangers(people, guild, listed);
    let mut changes = planned(people, guild, now);
    let holders = draft.map(|draft| holders(people, &draft, listed, now));
    people.swap_rules(guild, before);
    people.forget_strangers(&strangers);
    changes.retain(|change| !planned_already.contains(change));
    let named = |action| -> Vec<Named> {
        let of_action = changes.iter().filter(|(of, ..)| *of == action);
        let mut named: Vec<_> = of_action
            .map(|(_, user, role)| Named {
                name: people
                    .name(guild, *user)
                    .map_or_else(|| user.to_string(), str::to_owned),
                user: *user,
                role: *role,
            })
            .collect();
        named.sort_unstable();
        named
    };
    let holders = holders.unwrap_or_default();
    Preview {
        grants: named(RoleAction::Grant),
        revokes: named(RoleAction::Revoke),
        held_already: holders.paying + holders.lapsed + holders.not_linked,
        holders,
        uncounted: None,
    }
}

/// The role changes in one server that the planner wants.
fn planned(
    people: &People,
    guild: GuildId,
    now: Timestamp,
) -> BTreeSet<(RoleAction, UserId, RoleId)> {
    let seated = people.seated(guild).map(|(user, _)| (user, false));
    let changes = plan(people, seated, now).changes.into_iter();
    let here = changes.filter(|change| change.guild == guild);
    here.map(|change| (change.action, change.user, change.role))
        .collect()
}

/// Where the server claims its roles, the planner must know everyone who holds one.
fn see_strangers(
    people: &mut People,
    guild: GuildId,
    listed: Option<&BTreeMap<UserId, Vec<RoleId>>>,
) -> BTreeSet<UserId> {
    let mut strangers = BTreeSet::new();
    if people.rules(guild).policy.manual_roles == ManualRoles::Claim {
        for (user, roles) in listed.into_iter().flatten() {
            if people.person(*user).is_none() {
                people.see(guild, *user, roles, false);
                strangers.insert(*user);
            }
        }
    }
    strangers
}

/// Who holds a role of the gate already: of everyone where the member list was read, else of those of interest.
fn holders(
    people: &People,
    gate: &Gate,
    listed: Option<&BTreeMap<UserId, Vec<RoleId>>>,
    now: Timestamp,
) -> Holders {
    let users: BTreeSet<UserId> = match listed {
        Some(listed) => listed.keys().copied().collect(),
        None => {
            let holds = |role: &RoleId| gate.roles.contains(role);
            let seated = people.seated(gate.guild);
            let holding = seated.filter(|(_, seat)| seat.held.iter().any(holds));
            holding.map(|(user, _)| user).collect()
        }
    };
    let policy = &people.rules(gate.guild).policy;
    let mut holders = Holders::default();
    for user in users {
        let wallets = people.wallets(user);
        let count = match entitlement(people, policy, gate, wallets, now) {
            Some(_) => &mut holders.paying,
            None if wallets.is_empty() => &mut holders.not_linked,
            None => &mut holders.lapsed,
        };
        *count += 1;
    }
    holders
}

#[cfg(test)]
mod tests;
