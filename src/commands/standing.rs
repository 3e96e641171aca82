//! `/status`: asks the loop that decides about roles where the member stands, and the chain what is not confirmed yet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answer::Answer;
use super::pending;
use super::running::{Asked, Commands, Data};
use crate::clock::machine_time;
use crate::domain::{
    Gate, GateStanding, Grant, GuildId, MemberStanding, ModuleAddress, PlanId, Question,
    ReadingState, RoleId, RoleStanding, UserId, is_for_sale,
};
use crate::text;

impl Commands {
    /// Where a member stands, what was linked or paid a moment ago included.
    pub(super) async fn standing(&self, user: UserId) -> anyhow::Result<MemberStanding> {
        self.ask(|answer| Question::Standing { user, answer }).await
    }

    /// As [`Self::standing`], of a member whom Discord shows in a server with these roles; and why that server is left out,
    /// if it is. A member without wallets is read nowhere, and nothing but what Discord shows is needed of them.
    pub(super) async fn standing_in(
        &self,
        user: UserId,
        guild: GuildId,
        roles: &[RoleId],
    ) -> anyhow::Result<(MemberStanding, Option<text::Unread>)> {
        let mut standing = self.standing(user).await?;
        let gates = self.gates(guild).await?;
        if !standing.leaves_out(guild, &gates) {
            return Ok((standing, None));
        }
        if !standing.wallets.is_empty() {
            let unread = self.unread(guild).unwrap_or(text::Unread::NotYet);
            return Ok((standing, Some(unread)));
        }
        let here = gates.iter().map(|gate| self.without_wallet(gate, roles));
        standing.gates.extend(here);
        Ok((standing, None))
    }

    /// Whether a server was not read, and why.
    pub(super) fn unread(&self, guild: GuildId) -> Option<text::Unread> {
        let status = self.services.discord.borrow();
        let server = status.servers.get(&guild);
        match server.map(|server| &server.reading) {
            Some(ReadingState::Done) => None,
            Some(ReadingState::Failed(why)) => Some(text::Unread::Failed(why.clone())),
            None | Some(ReadingState::NotYet) => Some(text::Unread::NotYet),
        }
    }

    /// Whether there is a server that was not read since the start.
    fn is_some_unread(&self) -> bool {
        let status = self.services.discord.borrow();
        let mut servers = status.servers.values();
        servers.any(|server| server.reading == ReadingState::NotYet)
    }

    /// How long the last queued role change of a server waits.
    pub(super) fn queue_wait(&self, guild: GuildId) -> Duration {
        let status = self.services.discord.borrow();
        let server = status.servers.get(&guild);
        server.map_or(Duration::ZERO, |server| server.queue_wait)
    }

    /// The plans of these gates' modules that take no subscriptions any more.
    async fn closed_plans(
        &self,
        standing: &MemberStanding,
    ) -> anyhow::Result<BTreeSet<(ModuleAddress, PlanId)>> {
        let modules: BTreeSet<_> = standing.gates.iter().map(|gate| gate.module).collect();
        self.with_store(move |store| {
            let mut closed = BTreeSet::new();
            for module in modules {
                let plans = store.plans_of(module)?.into_iter();
                let plans = plans.filter(|(_, terms)| !terms.active);
                closed.extend(plans.map(|(plan, _)| (module, plan)));
            }
            Ok(closed)
        })
        .await
    }

    /// What a member was given for a time and has now, with the names of the role and of its server.
    async fn given_to(&self, user: UserId) -> anyhow::Result<Vec<(Grant, String, String)>> {
        let now = machine_time();
        let mut grants = self.with_store(move |store| store.grants_of(user)).await?;
        grants.retain(|grant| grant.terms.until > now);
        let named = grants.into_iter().map(|grant| {
            let role = self.discord.role_name(grant.guild, grant.role);
            let role = role.unwrap_or_else(|| grant.role.to_string());
            let guild = self.discord.guild_name(grant.guild);
            (grant, role, guild)
        });
        Ok(named.collect())
    }

    /// Where a member who has linked no wallet and has these roles stands at a gate.
    fn without_wallet(&self, gate: &Gate, held: &[RoleId]) -> GateStanding {
        let role = |role: &RoleId| RoleStanding {
            role: *role,
            name: self
                .discord
                .role_name(gate.guild, *role)
                .unwrap_or_else(|| role.to_string()),
            held: held.contains(role),
        };
        let failing = self.failing(gate.guild);
        let of_role = gate.roles.iter().find_map(|role| failing.get(&Some(*role)));
        let chain = self.services.chain.borrow();
        let trouble = of_role
            .or_else(|| failing.get(&None))
            .or_else(|| chain.unread_modules.get(&gate.module));
        let roles = gate.roles.iter().map(role).collect();
        GateStanding::without_wallet(gate, roles, trouble.cloned())
    }
}

pub(super) async fn status(
    commands: Data,
    asked: Asked<Option<GuildId>>,
) -> anyhow::Result<Answer> {
    let user = asked.user;
    let (mut standing, unread) = match asked.guild {
        Some(guild) => commands.standing_in(user, guild, &asked.roles).await?,
        None => {
            let standing = commands.standing(user).await?;
            let may_be_left_out = standing.gates.is_empty() && !standing.wallets.is_empty();
            let unread =
                (may_be_left_out && commands.is_some_unread()).then_some(text::Unread::Elsewhere);
            (standing, unread)
        }
    };
    // The server that was asked in comes first.
    standing
        .gates
        .sort_by_key(|gate| (asked.guild != Some(gate.guild), gate.guild, gate.gate));
    // What gives nobody a role, or takes no subscriptions, is offered to nobody.
    let found = commands.services.gate_troubles.borrow().clone();
    let closed = commands.closed_plans(&standing).await?;
    for gate in &mut standing.gates {
        gate.plans.retain(|plan| {
            is_for_sale(&found, gate.gate, plan) && !closed.contains(&(gate.module, *plan))
        });
    }
    let chain = commands.services.chain.borrow().clone();
    let confirmations = commands.services.confirmations;
    let wallets = standing.wallets.clone();
    let news = chain.clone();
    let pending = commands
        .with_store(move |store| pending::of(store, &wallets, &news, confirmations))
        .await?;
    let given = commands.given_to(user).await?;
    let at_risk = commands.your_risks(&standing).await;
    let guild_name = |guild| commands.discord.guild_name(guild);
    let queue_wait = |guild| commands.queue_wait(guild);
    let is_held_back = |guild, role| commands.held_back(guild, role).is_some();
    let checkout = |guild| commands.checkout(guild);
    let status = text::Status {
        standing: &standing,
        pending: &pending,
        chain: &chain,
        unread,
        queue_wait: &queue_wait,
        is_held_back: &is_held_back,
        guild_name: &guild_name,
        at_risk: &at_risk,
        checkout: &checkout,
    };
    let mut lines = vec![text::status(&status)];
    lines.extend(text::given_to_you(&given));
    Ok(Answer::text(lines.join("\n")))
}
