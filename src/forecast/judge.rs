//! PURE. Plays the charges that are to come, in the order in which they are due, against what the wallets have.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};

use crate::domain::{
    AtRisk, ModuleAddress, Permitted, PlanId, Renewal, Risk, SubscriptionId, Timestamp, Wallet,
};
use crate::views::{FundsOf, RenewalFacts};

/// The shortest interval that the protocol allows, in seconds: what claims a shorter one is not played more often.
const SHORTEST_INTERVAL: u64 = 3_600;

/// So many wallets that paid before do not all withdraw an allowance: if none has any, tokens are not moved by it.
const CROWD: usize = 5;

/// What is to be expected of some subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The chain's time at which this was so.
    pub now: Timestamp,
    /// Those whose renewal will fail, the first to be due first.
    pub at_risk: Vec<AtRisk>,
    /// Subscriptions that will be due and of which not all could be read, so that a risk may be missing.
    pub unread: BTreeSet<(ModuleAddress, PlanId, SubscriptionId)>,
    /// Whether for some tokens it is not known if the protocol has them switched on.
    pub registry_unread: bool,
}

/// What wallets have left at some point of the play. What is not there is not known.
struct Left {
    balance: BTreeMap<(Wallet, Address), U256>,
    approved: BTreeMap<(Wallet, Address), U256>,
    permitted: BTreeMap<FundsOf, Permitted>,
}

/// The first charge of each renewal that will fail until `until`. A wallet pays the charges of all its renewals, so money for
/// one of two covers the one that is due first.
pub fn judge(
    renewals: &[Renewal],
    facts: &RenewalFacts,
    now: Timestamp,
    until: Timestamp,
) -> Outlook {
    let mut left = Left::from(facts).without_unused_allowances();
    let mut outlook = Outlook {
        now,
        ..Outlook::default()
    };
    let mut play: Vec<_> = renewals.to_vec();
    // Ties are broken by the subscription, so that the same facts always give the same answer.
    let key = |renewal: &Renewal, index: usize| {
        (renewal.due_at, renewal.module, renewal.subscription, index)
    };
    let first = play.iter().enumerate();
    let mut queue: BTreeSet<_> = first.map(|(index, one)| key(one, index)).collect();
    while let Some((due_at, .., index)) = queue.pop_first() {
        if due_at > until {
            break;
        }
        let renewal = &mut play[index];
        let of = funds_of(renewal);
        if left.is_unread(&of) {
            outlook
                .unread
                .insert((renewal.module, renewal.plan, renewal.subscription));
        }
        let enabled = facts.enabled.get(&(renewal.processor, renewal.token));
        outlook.registry_unread |= enabled.is_none();
        let at = due_at.max(now);
        let own = own_risk(renewal, at);
        let disabled = (enabled == Some(&false)).then_some(Risk::TokenDisabled);
        if let Some(risk) = own
            .or(disabled)
            .or_else(|| left.risk(&of, renewal.price, at))
        {
            outlook.at_risk.push(at_risk(renewal, risk));
            continue;
        }
        left.charge(&of, renewal.price);
        renewal.remaining = renewal.remaining.map(|left| left.saturating_sub(U256::ONE));
        renewal.paid_at = due_at;
        renewal.due_at = due_at.plus(renewal.interval.max(SHORTEST_INTERVAL));
        renewal.has_failed = false;
        queue.insert(key(renewal, index));
    }
    outlook
}

/// What a renewal draws on.
pub(super) fn funds_of(renewal: &Renewal) -> FundsOf {
    FundsOf {
        wallet: renewal.wallet,
        token: renewal.token,
        processor: renewal.processor,
    }
}

fn spender(of: &FundsOf) -> (Address, Address) {
    (of.processor, of.token)
}

/// What of the subscription itself stands against a charge at this time.
fn own_risk(renewal: &Renewal, at: Timestamp) -> Option<Risk> {
    let ends = renewal.expiry.filter(|expiry| *expiry < U256::from(at.0));
    if let Some(expiry) = ends {
        return Some(Risk::ExpiryEnds(Timestamp(expiry.saturating_to())));
    }
    if renewal.remaining == Some(U256::ZERO) {
        return Some(Risk::Exhausted);
    }
    (at > renewal.due_at.plus(renewal.interval)).then_some(Risk::WindowMissed)
}

fn at_risk(renewal: &Renewal, risk: Risk) -> AtRisk {
    AtRisk {
        module: renewal.module,
        plan: renewal.plan,
        subscription: renewal.subscription,
        wallet: renewal.wallet,
        due_at: renewal.due_at,
        access_until: renewal
            .paid_at
            .plus(renewal.interval)
            .plus(renewal.grace_period),
        price: renewal.price,
        token: renewal.token,
        risk,
        has_failed: renewal.has_failed,
    }
}

impl From<&RenewalFacts> for Left {
    fn from(facts: &RenewalFacts) -> Self {
        let all = || facts.funds.iter();
        let wallet = |of: &FundsOf| (of.wallet, of.token);
        Self {
            balance: all()
                .filter_map(|(of, funds)| Some((wallet(of), funds.balance?)))
                .collect(),
            approved: all()
                .filter_map(|(of, funds)| Some((wallet(of), funds.approved?)))
                .collect(),
            permitted: all()
                .filter_map(|(of, funds)| Some((*of, funds.permitted?)))
                .collect(),
        }
    }
}

/// Whether these amounts are of many, and not one of them has any.
fn nobody_has_any(amounts: impl Iterator<Item = U256>) -> bool {
    let (count, has_any) = amounts.fold((0, false), |(count, has_any), amount| {
        (count + 1, has_any || !amount.is_zero())
    });
    count >= CROWD && !has_any
}

impl Left {
    /// Forgets the allowances of a token that nobody has: they say something about how tokens are moved, and nothing about
    /// the wallets.
    fn without_unused_allowances(mut self) -> Self {
        let spenders: BTreeSet<_> = self.permitted.keys().map(spender).collect();
        for (processor, token) in spenders {
            let of_one = |of: &FundsOf| spender(of) == (processor, token);
            let permitted = self.permitted.iter().filter(|(of, _)| of_one(of));
            if nobody_has_any(permitted.map(|(_, permitted)| permitted.amount)) {
                self.permitted.retain(|of, _| !of_one(of));
            }
            let approved = self.approved.iter().filter(|((_, of), _)| *of == token);
            if nobody_has_any(approved.map(|(_, amount)| *amount)) {
                self.approved.retain(|(_, of), _| *of != token);
            }
        }
        self
    }

    fn is_unread(&self, of: &FundsOf) -> bool {
        let wallet = (of.wallet, of.token);
        !(self.balance.contains_key(&wallet)
            && self.approved.contains_key(&wallet)
            && self.permitted.contains_key(of))
    }

    /// What of the wallet's funds stands against a charge of so much at this time.
    fn risk(&self, of: &FundsOf, price: U256, at: Timestamp) -> Option<Risk> {
        let wallet = (of.wallet, of.token);
        let is_less = |amount: Option<&U256>| amount.is_some_and(|amount| *amount < price);
        let permitted = self.permitted.get(of);
        if is_less(permitted.map(|permitted| &permitted.amount)) {
            return Some(Risk::AllowanceTooLow);
        }
        if let Some(ended) = permitted.filter(|permitted| permitted.until < at) {
            return Some(Risk::AllowanceEnds(ended.until));
        }
        if is_less(self.approved.get(&wallet)) {
            return Some(Risk::AllowanceTooLow);
        }
        is_less(self.balance.get(&wallet)).then_some(Risk::BalanceTooLow)
    }

    /// The charge is made. Allowances without limit do not run down; taking a few prices from them changes nothing.
    fn charge(&mut self, of: &FundsOf, price: U256) {
        let wallet = (of.wallet, of.token);
        for amounts in [&mut self.balance, &mut self.approved] {
            if let Some(amount) = amounts.get_mut(&wallet) {
                *amount = amount.saturating_sub(price);
            }
        }
        if let Some(permitted) = self.permitted.get_mut(of) {
            permitted.amount = permitted.amount.saturating_sub(price);
        }
    }
}

#[cfg(test)]
mod tests;
