//! How the picture is kept: filled from the store, then fed with what was committed.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use super::{Holdings, LOOK_EVERYWHERE, People, Rules, Seat, ServerRules, rules_of};
use crate::domain::{
    AppliedState, Gate, GuildId, LinkEnd, MemberRole, ModuleAddress, Plan, PlanId, Policy,
    RoleChange, Subscription, SubscriptionId, UserId, Wallet,
};

impl People {
    /// Sets or removes a subscription.
    pub fn set_subscription(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        state: Option<&Subscription>,
    ) {
        let concerned = self.holdings.set_subscription(module, id, state);
        for wallet in concerned.into_iter().flatten() {
            self.touch_owner(wallet, true);
        }
        if let Some(user) = concerned[1].and_then(|wallet| self.owner(wallet)) {
            for guild in self.rules.asking(module).collect::<Vec<_>>() {
                self.seat(user, guild);
            }
        }
    }

    /// Sets or removes plans.
    pub fn set_plans(
        &mut self,
        plans: impl IntoIterator<Item = ((ModuleAddress, PlanId), Option<Plan>)>,
    ) {
        for wallet in self.holdings.set_plans(plans) {
            self.touch_owner(wallet, false);
        }
    }

    pub(crate) fn set_blocked(&mut self, module: ModuleAddress, wallet: Wallet, blocked: bool) {
        self.holdings.set_blocked(module, wallet, blocked);
        self.touch_owner(wallet, true);
    }

    /// Sets a member's wallets.
    pub fn set_wallets(&mut self, user: UserId, wallets: Vec<Wallet>) {
        let person = self.persons.entry(user).or_default();
        let former = std::mem::replace(&mut person.wallets, wallets.as_slice().into());
        for wallet in former {
            if self.owner(wallet) == Some(user) {
                self.owners.remove(&wallet);
            }
        }
        self.owners
            .extend(wallets.into_iter().map(|wallet| (wallet, user)));
        *self.dirty.entry(user).or_default() = true;
        self.find_seats(user);
        self.tidy(user);
    }

    pub(crate) fn set_ended_links(&mut self, user: UserId, ended: Vec<(Wallet, LinkEnd)>) {
        if ended.is_empty() {
            self.ended_links.remove(&user);
        } else {
            self.ended_links.insert(user, ended);
        }
        self.touch(user);
    }

    pub(crate) fn set_forgotten(&mut self, user: UserId, forgotten: bool) {
        self.persons.entry(user).or_default().is_forgotten = forgotten;
        self.touch(user);
        self.tidy(user);
    }

    /// A member was seen in this server, or verified from there.
    pub(crate) fn set_seen_in(&mut self, user: UserId, guild: GuildId) {
        if self.persons.contains_key(&user) {
            self.seat(user, guild);
        }
    }

    /// Sets all gates, under the policy of servers that set none. Everyone is looked at again.
    pub fn set_gates(&mut self, gates: Vec<Gate>) {
        let policy = *self.default_policy();
        self.set_all_rules(rules_of(gates, &BTreeMap::new(), &policy));
    }

    /// Sets what all servers ask for. Everyone is looked at again.
    pub(crate) fn set_all_rules(&mut self, all: BTreeMap<GuildId, ServerRules>) {
        self.rules.set_all(all);
        self.holdings.set_leeways(self.rules.leeways());
        for user in self.everyone().collect::<Vec<_>>() {
            self.find_seats(user);
            self.touch(user);
        }
    }

    /// Sets what one server asks for. Those in it are looked at again.
    pub(crate) fn set_rules(&mut self, guild: GuildId, rules: ServerRules) {
        self.rules.set(guild, rules);
        self.holdings.set_leeways(self.rules.leeways());
        if self.rules.gated.len() <= LOOK_EVERYWHERE {
            for user in self.everyone().collect::<Vec<_>>() {
                self.find_seats(user);
            }
        } else {
            let gates = self.rules(guild).gates.iter();
            for module in gates.map(|gate| gate.module).collect::<BTreeSet<_>>() {
                self.seat_subscribers(guild, module);
            }
        }
        self.touch_server(guild);
    }

    /// Sets what one server asks for, for a plan that changes nothing: nobody is looked at. What it asked for before.
    pub(crate) fn swap_rules(&mut self, guild: GuildId, rules: ServerRules) -> ServerRules {
        self.rules.set(guild, rules)
    }

    /// Sets the policy of servers that set none. What servers set themselves is set with their rules.
    pub(crate) fn set_default_policy(&mut self, policy: Policy) {
        self.rules.set_policy(policy);
    }

    /// Gives every linked subscriber of a module a seat in a server.
    pub(crate) fn seat_subscribers(&mut self, guild: GuildId, module: ModuleAddress) {
        let subscribers = self.holdings.subscribers(module);
        let owners: Vec<_> = subscribers
            .filter_map(|wallet| self.owner(wallet))
            .collect();
        for user in owners {
            self.seat(user, guild);
        }
    }

    pub(crate) fn set_name(&mut self, guild: GuildId, user: UserId, name: &str) {
        let is_seated = |seated: &FxHashSet<UserId>| seated.contains(&user);
        let is_news = !name.is_empty() && self.name(guild, user) != Some(name);
        if is_news && self.servers.get(&guild).is_some_and(is_seated) {
            self.names.insert((guild, user), name.into());
        }
    }

    /// Sets which modules are known completely. Everyone is looked at again when that changes.
    pub fn set_complete(&mut self, complete: BTreeSet<ModuleAddress>) {
        if self.complete != complete {
            self.complete = complete;
            for user in self.everyone().collect::<Vec<_>>() {
                self.touch(user);
            }
        }
    }

    /// Sets a role that this program gave, or is about to give or take; `None` where it did neither.
    pub fn set_applied(&mut self, of: MemberRole, state: Option<AppliedState>) {
        let (guild, user, role) = of;
        self.seat(user, guild).set_applied(role, state);
        if state.is_none() {
            self.tidy(user);
        }
    }

    /// These roles are ours without a change, as in [`crate::store::Store::adopt`].
    pub(crate) fn adopt(&mut self, grants: &[RoleChange]) {
        for grant in grants {
            self.set_applied(grant.member_role(), Some(AppliedState::Granted));
        }
    }

    /// The intent to make a change is durable.
    pub(crate) fn intend(&mut self, change: &RoleChange) {
        let state = Some(AppliedState::intended(change));
        self.set_applied(change.member_role(), state);
    }

    /// A removal that was decided is not to be made for now.
    pub(crate) fn drop_removal(&mut self, of: MemberRole) {
        let (guild, user, role) = of;
        let state = self.seat(user, guild).state(role);
        let before = state.and_then(|state| state.after_leaving(false));
        self.set_applied(of, before);
    }

    /// Empties everything that comes from the store, to fill it again; what was seen on Discord stays.
    pub(crate) fn clear_stored(&mut self) {
        let policy = *self.default_policy();
        self.holdings = Holdings::new(policy.expiry_leeway);
        self.rules = Rules::new(policy);
        self.complete.clear();
        self.owners.clear();
        self.grants.of.clear();
        self.ended_links.clear();
        for person in self.persons.values_mut() {
            person.wallets.clear();
            person.is_forgotten = false;
            for seat in &mut person.seats {
                seat.clear_applied();
            }
        }
    }

    /// Forgets those who are of no interest any more after all was filled again.
    pub(crate) fn tidy_everyone(&mut self) {
        for user in self.everyone().collect::<Vec<_>>() {
            self.tidy(user);
        }
    }

    /// Gives a person a seat in each server where something speaks for it.
    fn find_seats(&mut self, user: UserId) {
        let wallets = self.wallets(user);
        if wallets.is_empty() {
            return;
        }
        let mut guilds = BTreeSet::new();
        if self.rules.gated.len() <= LOOK_EVERYWHERE {
            guilds.extend(&self.rules.gated);
        } else {
            let held = wallets.iter().flat_map(|wallet| self.holdings.of(*wallet));
            guilds.extend(held.flat_map(|one| self.rules.asking(one.module)));
        }
        for guild in guilds {
            self.seat(user, guild);
        }
    }

    /// The person's seat in the server, which is to be read if it is new.
    pub(super) fn seat(&mut self, user: UserId, guild: GuildId) -> &mut Seat {
        let seats = &mut self.persons.entry(user).or_default().seats;
        let at = seats.iter().position(|seat| seat.guild == guild);
        let at = at.unwrap_or_else(|| {
            self.servers.entry(guild).or_default().insert(user);
            self.unread.push((guild, user));
            seats.push(Seat::new(guild));
            seats.len() - 1
        });
        &mut seats[at]
    }

    /// The seat of a person of whom something is heard just now.
    pub(super) fn heard(&mut self, user: UserId, guild: GuildId) -> &mut Seat {
        self.news += 1;
        let news = self.news;
        let seat = self.seat(user, guild);
        seat.heard = news;
        seat
    }

    /// Drops a person who is of no interest any more.
    pub(super) fn tidy(&mut self, user: UserId) {
        let Some(person) = self.persons.get(&user) else {
            return;
        };
        if person.seats.iter().all(|seat| seat.applied.is_empty()) {
            // As in the store: what took the last role explains no later loss.
            self.ended_links.remove(&user);
        }
        let is_ours = |seat: &Seat| {
            let mut held = seat.held.iter();
            !seat.applied.is_empty() || held.any(|role| self.is_claimed(seat.guild, *role))
        };
        let is_given = !self.grants(user).is_empty();
        if is_given || !person.wallets.is_empty() || person.seats.iter().any(is_ours) {
            return;
        }
        for seat in self.persons.remove(&user).unwrap_or_default().seats {
            self.leave_server(seat.guild, user);
        }
    }

    pub(super) fn leave_server(&mut self, guild: GuildId, user: UserId) {
        self.names.remove(&(guild, user));
        if let Some(seated) = self.servers.get_mut(&guild) {
            seated.remove(&user);
            if seated.is_empty() {
                self.servers.remove(&guild);
            }
        }
    }
}
