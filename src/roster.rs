//! PURE. The planner's picture of the world, in memory: subscriptions by wallet, links, gates, and Discord as observed.
//!
//! A mirror of the store and of the gateway that can be thrown away and filled again at any time. It knows which members
//! a change concerns, so that a tick touches only these.

mod feed;
mod guild;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

pub use guild::{GuildView, Member};

use crate::domain::{
    Gate, GuildId, LinkEnd, ModuleAddress, Plan, PlanId, Policy, SubscriptionId, Timestamp, UserId,
    Wallet,
};
use crate::projection::{self, Access, Gist};

/// What one wallet holds of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The subscription.
    pub id: SubscriptionId,
    /// Its plan.
    pub plan: PlanId,
    /// Its state, as far as access depends on it.
    pub gist: Gist,
}

/// Everything that a plan of role changes is made from.
#[derive(Debug, Default)]
pub struct Roster {
    policy: Policy,
    gates: BTreeMap<GuildId, Vec<Gate>>,
    /// Modules that have been read up to the cursor at least once; of others it is not known who subscribed.
    complete: BTreeSet<ModuleAddress>,
    plans: FxHashMap<(ModuleAddress, PlanId), Plan>,
    blocked: FxHashSet<(ModuleAddress, Wallet)>,
    holdings: FxHashMap<Wallet, SmallVec<[Holding; 1]>>,
    holders: FxHashMap<(ModuleAddress, SubscriptionId), Wallet>,
    wallets: FxHashMap<UserId, SmallVec<[Wallet; 1]>>,
    members: FxHashMap<Wallet, UserId>,
    /// Who asked to be forgotten while roles of ours were still to be taken away, and linked no wallet since.
    forgotten: FxHashSet<UserId>,
    /// Wallets that left members who still have roles of ours, and how.
    ended_links: FxHashMap<UserId, Vec<(Wallet, LinkEnd)>>,
    guilds: BTreeMap<GuildId, GuildView>,
    /// When which wallet's access ends, from the clock on; may hold moments that a later payment has moved.
    expiries: BTreeSet<(Timestamp, Wallet)>,
    /// When expiries were looked at last.
    clock: Timestamp,
    dirty: FxHashSet<UserId>,
}

impl Roster {
    /// An empty picture under a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The gates of a server.
    pub fn gates(&self, guild: GuildId) -> &[Gate] {
        self.gates.get(&guild).map_or(&[], Vec::as_slice)
    }

    /// Servers that have a gate, or roles given by one that is gone.
    pub fn guilds(&self) -> impl Iterator<Item = (GuildId, &GuildView)> {
        self.guilds.iter().map(|(id, view)| (*id, view))
    }

    /// The modules that gates ask about.
    pub fn modules(&self) -> BTreeSet<ModuleAddress> {
        self.gates
            .values()
            .flatten()
            .map(|gate| gate.module)
            .collect()
    }

    /// Servers whose last gate is gone and in which no role of ours is left.
    pub fn guilds_without_roles(&self) -> Vec<GuildId> {
        let guilds = self.guilds.keys().copied();
        guilds
            .filter(|guild| self.roles_of_interest(*guild).is_empty())
            .collect()
    }

    /// A server as it was observed.
    pub fn guild(&self, guild: GuildId) -> Option<&GuildView> {
        self.guilds.get(&guild)
    }

    /// Whether all events of the module up to the cursor are known.
    pub fn is_complete(&self, module: ModuleAddress) -> bool {
        self.complete.contains(&module)
    }

    /// A member's wallets.
    pub fn wallets(&self, user: UserId) -> &[Wallet] {
        self.wallets.get(&user).map_or(&[], SmallVec::as_slice)
    }

    /// Whether the member asked to be forgotten and linked no wallet since.
    pub fn is_forgotten(&self, user: UserId) -> bool {
        self.forgotten.contains(&user)
    }

    /// The wallets that left the member, and how.
    pub fn ended_links(&self, user: UserId) -> &[(Wallet, LinkEnd)] {
        self.ended_links.get(&user).map_or(&[], Vec::as_slice)
    }

    /// The member whom a wallet belongs to.
    pub fn member(&self, wallet: Wallet) -> Option<UserId> {
        self.members.get(&wallet).copied()
    }

    /// Everything a wallet has subscribed to.
    pub fn holdings(&self, wallet: Wallet) -> &[Holding] {
        self.holdings.get(&wallet).map_or(&[], SmallVec::as_slice)
    }

    /// A plan's terms.
    pub fn plan(&self, module: ModuleAddress, plan: PlanId) -> Option<&Plan> {
        self.plans.get(&(module, plan))
    }

    /// What a holding of `wallet` gives, before the clock is asked.
    pub fn access(&self, wallet: Wallet, holding: &Holding) -> Access {
        projection::access(
            holding.gist,
            self.plan(holding.module, holding.plan),
            self.blocked.contains(&(holding.module, wallet)),
            &self.policy,
        )
    }

    /// How many subscriptions are known.
    pub fn subscription_count(&self) -> u64 {
        self.holders.len() as u64
    }

    /// How many wallets are linked.
    pub fn link_count(&self) -> u64 {
        self.members.len() as u64
    }

    /// How many gates there are.
    pub fn gate_count(&self) -> u64 {
        self.gates.values().map(|gates| gates.len() as u64).sum()
    }

    /// How many subscriptions give access at `now`.
    pub fn open_count(&self, now: Timestamp) -> u64 {
        let open = |wallet: &Wallet, holding: &&Holding| self.access(*wallet, holding).is_open(now);
        self.holdings
            .iter()
            .map(|(wallet, held)| held.iter().filter(|one| open(wallet, one)).count() as u64)
            .sum()
    }

    /// Members whose roles may have to change since the last call: touched ones, and those whose access ended by `now`.
    /// A clock that went back ends what it ended before once more.
    pub fn take_dirty(&mut self, now: Timestamp) -> FxHashSet<UserId> {
        if now < std::mem::replace(&mut self.clock, now) {
            self.note_expiries(|_| true);
        }
        while let Some(&(at, wallet)) = self.expiries.first() {
            if at >= now {
                break;
            }
            self.expiries.pop_first();
            self.touch_wallet(wallet);
        }
        std::mem::take(&mut self.dirty)
    }

    /// Everyone who is linked, or holds a role of ours, or (when gates claim their roles) holds one at all; each once.
    pub fn everyone(&self) -> Vec<UserId> {
        let views = self.guilds.values();
        let unlinked: FxHashSet<_> = views
            .flat_map(|view| view.users_to_check(&self.policy))
            .filter(|user| !self.wallets.contains_key(user))
            .collect();
        self.wallets.keys().copied().chain(unlinked).collect()
    }

    /// Marks a member for the next tick.
    pub fn touch(&mut self, user: UserId) {
        self.dirty.insert(user);
    }

    fn touch_wallet(&mut self, wallet: Wallet) {
        if let Some(user) = self.members.get(&wallet) {
            self.dirty.insert(*user);
        }
    }
}
