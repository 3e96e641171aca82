//! What wallets hold: subscriptions, plans, blocks, and when which access ends.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::domain::{
    ActiveQuestion, ModuleAddress, Plan, PlanId, Policy, Subscription, SubscriptionId, Timestamp,
    Wallet,
};
use crate::projection::{self, Access, Gist};

/// What one wallet holds of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    pub module: ModuleAddress,
    pub id: SubscriptionId,
    pub plan: PlanId,
    /// Its state, as far as access depends on it.
    pub gist: Gist,
}

/// Everything that wallets hold.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    plans: FxHashMap<(ModuleAddress, PlanId), Plan>,
    blocked: FxHashSet<(ModuleAddress, Wallet)>,
    held: FxHashMap<Wallet, SmallVec<[Holding; 1]>>,
    holders: FxHashMap<(ModuleAddress, SubscriptionId), Wallet>,
    /// When which wallet's paid time and its grace end; may hold moments that a later payment has moved. Access ends there,
    /// or a server's leeway later.
    ends: BTreeSet<(Timestamp, Wallet)>,
    /// The leeways of all servers, each once; never empty.
    leeways: BTreeSet<u64>,
    /// When the ends were looked at last.
    clock: Timestamp,
}

impl Holdings {
    pub(super) fn new(leeway: u64) -> Self {
        Self {
            leeways: [leeway].into(),
            ..Self::default()
        }
    }

    /// Sets the leeways of all servers.
    pub(super) fn set_leeways(&mut self, leeways: BTreeSet<u64>) {
        if self.leeways != leeways {
            self.leeways = leeways;
            // A longer one opens again what is not among the ends any more.
            self.note_ends(|_| true);
        }
    }

    /// The wallets that subscribed to a module, each at least once.
    pub(crate) fn subscribers(&self, module: ModuleAddress) -> impl Iterator<Item = Wallet> {
        let held = self.held.iter();
        let of_module = held.filter(move |(_, held)| held.iter().any(|one| one.module == module));
        of_module.map(|(wallet, _)| *wallet)
    }

    pub(crate) fn of(&self, wallet: Wallet) -> &[Holding] {
        self.held.get(&wallet).map_or(&[], SmallVec::as_slice)
    }

    pub(crate) fn plan(&self, module: ModuleAddress, plan: PlanId) -> Option<&Plan> {
        self.plans.get(&(module, plan))
    }

    pub(crate) fn count(&self) -> u64 {
        self.holders.len() as u64
    }

    /// What a holding of `wallet` gives under a policy, before the clock is asked.
    pub(crate) fn access(&self, wallet: Wallet, holding: &Holding, policy: &Policy) -> Access {
        projection::access(
            holding.gist,
            self.plan(holding.module, holding.plan),
            self.blocked.contains(&(holding.module, wallet)),
            policy,
        )
    }

    /// What the subscription gives that decides about a wallet's access by a plan, before the clock is asked; `None` where there
    /// is none. The newest decides of those that are open, else of all: who cancelled one may have made another.
    pub(crate) fn deciding(
        &self,
        question: &ActiveQuestion,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Access> {
        let held = self.of(question.wallet).iter();
        let asked = held.filter(|one| (one.module, one.plan) == (question.module, question.plan));
        let accesses = asked.map(|one| (self.access(question.wallet, one, policy), one.id));
        let newest = accesses.max_by_key(|(access, id)| (access.is_open(now), *id));
        newest.map(|(access, _)| access)
    }

    /// When the time that was paid for ends, without grace.
    pub(crate) fn paid_until(&self, holding: &Holding) -> Option<Timestamp> {
        let plan = self.plan(holding.module, holding.plan)?;
        Some(holding.gist.last_paid_at?.plus(plan.interval))
    }

    pub(crate) fn is_blocked(&self, module: ModuleAddress, wallet: Wallet) -> bool {
        self.blocked.contains(&(module, wallet))
    }

    pub(in crate::roles) fn open_count(&self, policy: &Policy, now: Timestamp) -> u64 {
        let holdings = self.held.iter();
        let of_wallets = holdings.flat_map(|(wallet, held)| held.iter().map(|one| (*wallet, one)));
        let open =
            of_wallets.filter(|(wallet, one)| self.access(*wallet, one, policy).is_open(now));
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

    /// Sets or removes plans; the wallets that terms which differ concern. Looks through everything once, however many they are.
    pub(super) fn set_plans(
        &mut self,
        plans: impl IntoIterator<Item = ((ModuleAddress, PlanId), Option<Plan>)>,
    ) -> Vec<Wallet> {
        let terms = |plan: Option<&Plan>| plan.map(|plan| (plan.interval, plan.grace_period));
        let mut changed = FxHashSet::default();
        for (key, plan) in plans {
            let before = match plan {
                Some(plan) => self.plans.insert(key, plan),
                None => self.plans.remove(&key),
            };
            if terms(before.as_ref()) != terms(plan.as_ref()) {
                changed.insert(key);
            }
        }
        match changed.is_empty() {
            true => Vec::new(),
            false => self.note_ends(|one| changed.contains(&(one.module, one.plan))),
        }
    }

    pub(super) fn set_blocked(&mut self, module: ModuleAddress, wallet: Wallet, blocked: bool) {
        if blocked {
            self.blocked.insert((module, wallet));
        } else {
            self.blocked.remove(&(module, wallet));
        }
    }

    /// The wallets whose access ended since the last call, in any server. A clock that went back ends what it ended before
    /// once more.
    pub(super) fn take_ended(&mut self, now: Timestamp) -> BTreeSet<Wallet> {
        let before = std::mem::replace(&mut self.clock, now);
        if now < before {
            self.note_ends(|_| true);
        }
        let at = |clock: Timestamp, leeway| {
            (
                Timestamp(clock.0.saturating_sub(leeway)),
                Wallet(Address::ZERO),
            )
        };
        let mut ended = BTreeSet::new();
        for leeway in &self.leeways {
            let (from, to) = (at(before.min(now), *leeway), at(now, *leeway));
            ended.extend(self.ends.range(from..to).map(|(_, wallet)| *wallet));
        }
        let longest = self.leeways.last().copied().unwrap_or_default();
        let still = self.ends.split_off(&at(now, longest));
        self.ends = still;
        ended
    }

    fn note_end(&mut self, wallet: Wallet, holding: &Holding) {
        let plan = self.plan(holding.module, holding.plan);
        if let Some(at) = projection::paid_until(holding.gist, plan) {
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
