//! How the picture is kept: filled from the store, then fed with what was touched and what was seen.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holding, Roster};
use crate::domain::{
    Applied, AppliedState, Gate, GuildId, LinkEnd, ModuleAddress, Plan, PlanId, RoleAction,
    RoleChange, RoleId, Subscription, SubscriptionId, UserId, Wallet,
};
use crate::projection::{Access, Gist};

impl Roster {
    /// Sets or removes a subscription.
    pub fn set_subscription(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        state: Option<&Subscription>,
    ) {
        let holder = state.and_then(|state| state.subscriber);
        let former = self.holders.get(&(module, id)).copied();
        if let Some(former) = former {
            if let Some(held) = self.holdings.get_mut(&former) {
                held.retain(|one| (one.module, one.id) != (module, id));
                if held.is_empty() {
                    self.holdings.remove(&former);
                }
            }
            self.holders.remove(&(module, id));
            self.touch_wallet(former);
        }
        let (Some(state), Some((wallet, plan))) = (state, holder) else {
            return;
        };
        let holding = Holding {
            module,
            id,
            plan,
            gist: Gist::from(state),
        };
        self.holders.insert((module, id), wallet);
        self.holdings.entry(wallet).or_default().push(holding);
        self.note_expiry(wallet, &holding);
        self.touch_wallet(wallet);
    }

    fn note_expiry(&mut self, wallet: Wallet, holding: &Holding) {
        if let Access::Until(at) = self.access(wallet, holding) {
            self.expiries.insert((at, wallet));
        }
    }

    /// Notes the ends of these holdings anew; their wallets.
    pub(super) fn note_expiries(&mut self, concerns: impl Fn(&Holding) -> bool) -> Vec<Wallet> {
        let holdings = self.holdings.iter();
        let concerned: Vec<_> = holdings
            .flat_map(|(wallet, held)| held.iter().map(|one| (*wallet, *one)))
            .filter(|(_, one)| concerns(one))
            .collect();
        for (wallet, holding) in &concerned {
            self.note_expiry(*wallet, holding);
        }
        concerned.into_iter().map(|(wallet, _)| wallet).collect()
    }

    /// Sets or removes a plan. Terms that differ concern every holder of the plan.
    pub fn set_plan(&mut self, module: ModuleAddress, id: PlanId, plan: Option<Plan>) {
        let terms = |plan: Option<&Plan>| plan.map(|plan| (plan.interval, plan.grace_period));
        let before = match plan {
            Some(plan) => self.plans.insert((module, id), plan),
            None => self.plans.remove(&(module, id)),
        };
        if terms(before.as_ref()) == terms(plan.as_ref()) {
            return;
        }
        for wallet in self.note_expiries(|one| (one.module, one.plan) == (module, id)) {
            self.touch_wallet(wallet);
        }
    }

    /// Sets or lifts the merchant's block of a subscriber.
    pub fn set_blocked(&mut self, module: ModuleAddress, wallet: Wallet, blocked: bool) {
        if blocked {
            self.blocked.insert((module, wallet));
        } else {
            self.blocked.remove(&(module, wallet));
            for holding in self.holdings(wallet).to_vec() {
                self.note_expiry(wallet, &holding);
            }
        }
        self.touch_wallet(wallet);
    }

    /// Sets a member's wallets.
    pub fn set_wallets(&mut self, user: UserId, wallets: Vec<Wallet>) {
        for wallet in self.wallets.remove(&user).unwrap_or_default() {
            if self.members.get(&wallet) == Some(&user) {
                self.members.remove(&wallet);
            }
        }
        for wallet in &wallets {
            self.members.insert(*wallet, user);
        }
        if !wallets.is_empty() {
            self.wallets.insert(user, wallets.into());
        }
        self.touch(user);
    }

    /// Sets whether a member asked to be forgotten.
    pub fn set_forgotten(&mut self, user: UserId, forgotten: bool) {
        if forgotten {
            self.forgotten.insert(user);
        } else {
            self.forgotten.remove(&user);
        }
        self.touch(user);
    }

    /// Sets the wallets that left a member.
    pub fn set_ended_links(&mut self, user: UserId, ended: Vec<(Wallet, LinkEnd)>) {
        if ended.is_empty() {
            self.ended_links.remove(&user);
        } else {
            self.ended_links.insert(user, ended);
        }
        self.touch(user);
    }

    /// Sets all gates. Everyone in the servers concerned is looked at again.
    pub fn set_gates(&mut self, gates: Vec<Gate>) {
        self.gates.clear();
        for gate in gates {
            self.guilds.entry(gate.guild).or_default();
            self.gates.entry(gate.guild).or_default().push(gate);
        }
        self.dirty.extend(self.everyone());
    }

    /// Sets which modules are known completely. Everyone is looked at again when that changes.
    pub fn set_complete(&mut self, complete: BTreeSet<ModuleAddress>) {
        if self.complete != complete {
            self.complete = complete;
            self.dirty.extend(self.everyone());
        }
    }

    /// Sets a role that this program gave (or is about to give or take).
    pub fn set_applied(&mut self, applied: &Applied) {
        let view = self.guilds.entry(applied.guild).or_default();
        view.set_applied(applied.user, applied.role, Some(applied.state));
    }

    /// The intent to make a change is durable.
    pub fn intend(&mut self, change: &RoleChange) {
        let state = AppliedState::intended(change);
        let view = self.guilds.entry(change.guild).or_default();
        view.set_applied(change.user, change.role, Some(state));
    }

    /// The removal of a role of ours was decided and never made: it is wanted again.
    pub fn keep(&mut self, change: &RoleChange) {
        if let Some(view) = self.guilds.get_mut(&change.guild) {
            view.set_applied(change.user, change.role, Some(AppliedState::Granted));
        }
    }

    /// A grant got no answer: Discord may have made it nonetheless.
    pub fn note_unanswered(&mut self, guild: GuildId, user: UserId, role: RoleId) {
        if let Some(view) = self.guilds.get_mut(&guild) {
            view.note_unanswered(user, role);
        }
    }

    /// Discord made a change.
    pub fn acknowledge(&mut self, guild: GuildId, user: UserId, role: RoleId, action: RoleAction) {
        let view = self.guilds.entry(guild).or_default();
        view.acknowledge(user, role, action);
    }

    /// A role of ours is not held any more and is not wanted either.
    pub fn forget_applied(&mut self, guild: GuildId, user: UserId, role: RoleId) {
        if let Some(view) = self.guilds.get_mut(&guild) {
            view.set_applied(user, role, None);
        }
    }

    /// The roles that matter in a server: those of its gates, and those given by gates that are gone.
    pub fn roles_of_interest(&self, guild: GuildId) -> BTreeSet<RoleId> {
        let of_gates = self.gates(guild).iter().flat_map(|gate| gate.roles.iter());
        let mut roles: BTreeSet<_> = of_gates.copied().collect();
        if let Some(view) = self.guilds.get(&guild) {
            roles.extend(view.all_applied());
        }
        roles
    }

    /// A server was read with these roles of interest.
    pub fn observe_guild(
        &mut self,
        guild: GuildId,
        interest: BTreeSet<RoleId>,
        present: Vec<UserId>,
        held: Vec<(UserId, Vec<RoleId>)>,
    ) {
        let view = self.guilds.entry(guild).or_default();
        view.fill(interest, present, held);
        self.dirty.extend(self.everyone());
    }

    /// Names for the server's roles.
    pub fn set_role_names(&mut self, guild: GuildId, names: BTreeMap<RoleId, String>) {
        self.guilds.entry(guild).or_default().role_names = names;
    }

    /// Discord's standing errors, by server and role.
    pub fn set_trouble(&mut self, failing: BTreeMap<(GuildId, Option<RoleId>), String>) {
        self.guilds
            .values_mut()
            .for_each(|view| view.trouble.clear());
        for ((guild, role), sentence) in failing {
            if let Some(view) = self.guilds.get_mut(&guild) {
                view.trouble.insert(role, sentence);
            }
        }
    }

    /// A member was seen with exactly these roles.
    pub fn observe_member(&mut self, guild: GuildId, user: UserId, roles: &[RoleId]) {
        if let Some(view) = self.guilds.get_mut(&guild)
            && view.see(user, roles)
        {
            self.dirty.insert(user);
        }
    }

    /// A member left the server, and with it lost its roles.
    pub fn member_left(&mut self, guild: GuildId, user: UserId) {
        if let Some(view) = self.guilds.get_mut(&guild) {
            view.leave(user);
        }
    }

    /// The server is gone, or is to be read again before anything more is planned.
    pub fn guild_gone(&mut self, guild: GuildId) {
        if let Some(view) = self.guilds.get_mut(&guild) {
            view.observed = false;
        }
    }

    /// Empties everything that comes from the store, to fill it anew; what was observed on Discord stays.
    pub fn clear_stored(&mut self) {
        let policy = self.policy;
        let mut guilds = std::mem::take(&mut self.guilds);
        guilds
            .values_mut()
            .for_each(super::GuildView::forget_applied);
        *self = Self {
            policy,
            guilds,
            ..Self::default()
        };
    }
}
