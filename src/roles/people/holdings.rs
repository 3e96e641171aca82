//! What wallets hold: subscriptions, plans, blocks, and when which access ends.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::domain::{
    ModuleAddress, Plan, PlanId, Policy, Subscription, SubscriptionId, Timestamp, Wallet,
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

/// Everything that wallets hold.
#[derive(Debug, Default)]
pub struct Holdings {
    pub(super) policy: Policy,
    plans: FxHashMap<(ModuleAddress, PlanId), Plan>,
    blocked: FxHashSet<(ModuleAddress, Wallet)>,
    held: FxHashMap<Wallet, SmallVec<[Holding; 1]>>,
    holders: FxHashMap<(ModuleAddress, SubscriptionId), Wallet>,
    /// When which wallet's access ends, from the clock on; may hold moments that a later payment has moved.
    ends: BTreeSet<(Timestamp, Wallet)>,
    /// When the ends were looked at last.
    clock: Timestamp,
}

impl Holdings {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Everything that a wallet has subscribed to.
    pub fn of(&self, wallet: Wallet) -> &[Holding] {
        self.held.get(&wallet).map_or(&[], SmallVec::as_slice)
    }

    /// A plan's terms.
    pub fn plan(&self, module: ModuleAddress, plan: PlanId) -> Option<&Plan> {
        self.plans.get(&(module, plan))
    }

    /// How many subscriptions are known.
    pub fn count(&self) -> u64 {
        self.holders.len() as u64
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

    pub(super) fn open_count(&self, now: Timestamp) -> u64 {
        let holdings = self.held.iter();
        let of_wallets = holdings.flat_map(|(wallet, held)| held.iter().map(|one| (*wallet, one)));
        let open = of_wallets.filter(|(wallet, one)| self.access(*wallet, one).is_open(now));
        open.count() as u64
    }

    /// Sets or removes a subscription; whose it was and whose it is.
    pub(super) fn set_subscription(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        state: Option<&Subscription>,
    ) -> [Option<Wallet>; 2] {
        let former = self.holders.remove(&(module, id));
        if let Some(former) = former
            && let Some(held) = self.held.get_mut(&former)
        {
            held.retain(|one| (one.module, one.id) != (module, id));
            if held.is_empty() {
                self.held.remove(&former);
            }
        }
        let subscribed = state.and_then(|state| Some((state, state.subscriber?)));
        let Some((state, (wallet, plan))) = subscribed else {
            return [former, None];
        };
        let gist = Gist::from(state);
        let holding = Holding {
            module,
            id,
            plan,
            gist,
        };
        self.holders.insert((module, id), wallet);
        self.held.entry(wallet).or_default().push(holding);
        self.note_end(wallet, &holding);
        [former, Some(wallet)]
    }

    /// Sets or removes a plan; the wallets that terms which differ concern.
    pub(super) fn set_plan(
        &mut self,
        module: ModuleAddress,
        id: PlanId,
        plan: Option<Plan>,
    ) -> Vec<Wallet> {
        let terms = |plan: Option<&Plan>| plan.map(|plan| (plan.interval, plan.grace_period));
        let before = match plan {
            Some(plan) => self.plans.insert((module, id), plan),
            None => self.plans.remove(&(module, id)),
        };
        if terms(before.as_ref()) == terms(plan.as_ref()) {
            return Vec::new();
        }
        self.note_ends(|one| (one.module, one.plan) == (module, id))
    }

    /// Sets or lifts the merchant's block of a subscriber.
    pub(super) fn set_blocked(&mut self, module: ModuleAddress, wallet: Wallet, blocked: bool) {
        if blocked {
            self.blocked.insert((module, wallet));
            return;
        }
        self.blocked.remove(&(module, wallet));
        for holding in self.of(wallet).to_vec() {
            self.note_end(wallet, &holding);
        }
    }

    /// The wallets whose access ended since the last call. A clock that went back ends what it ended before once more.
    pub(super) fn take_ended(&mut self, now: Timestamp) -> Vec<Wallet> {
        if now < std::mem::replace(&mut self.clock, now) {
            self.note_ends(|_| true);
        }
        let mut ended = Vec::new();
        while let Some((_, wallet)) = self.ends.first().filter(|(at, _)| *at < now) {
            ended.push(*wallet);
            self.ends.pop_first();
        }
        ended
    }

    fn note_end(&mut self, wallet: Wallet, holding: &Holding) {
        if let Access::Until(at) = self.access(wallet, holding) {
            self.ends.insert((at, wallet));
        }
    }

    /// Notes the ends of these holdings again; their wallets.
    fn note_ends(&mut self, concerns: impl Fn(&Holding) -> bool) -> Vec<Wallet> {
        let holdings = self.held.iter();
        let concerned: Vec<_> = holdings
            .flat_map(|(wallet, held)| held.iter().map(|one| (*wallet, *one)))
            .filter(|(_, one)| concerns(one))
            .collect();
        for (wallet, holding) in &concerned {
            self.note_end(*wallet, holding);
        }
        concerned.into_iter().map(|(wallet, _)| wallet).collect()
    }
}
