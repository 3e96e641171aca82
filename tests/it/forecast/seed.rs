//! A module with subscribers of every kind: some whose renewal will fail, and some who only look like it.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use amser_roles::domain::{Risk, Timestamp};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};

pub(crate) const DAY: u64 = 86_400;
const PRICE: u64 = 5;
/// Everyone pays it but those who miss a window or are due later.
const MONTHLY: PlanTerms = PlanTerms {
    price: PRICE,
    interval: 30 * DAY,
    grace_period: 3 * DAY,
};
/// With so much grace that access outlasts a missed window.
const DAILY: PlanTerms = PlanTerms {
    price: PRICE,
    interval: DAY,
    grace_period: 90 * DAY,
};
const YEARLY: PlanTerms = PlanTerms {
    price: PRICE,
    interval: 365 * DAY,
    grace_period: DAY,
};

/// What becomes of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Has money and allowances for years.
    Healthy,
    /// Has for the next charge what it costs, and nothing more; each limit lies just beyond.
    JustEnough,
    /// Has no money, and is due in a year.
    NotDue,
    /// Has no money, and cancelled.
    Cancelled,
    /// Has no money, and paused.
    Paused,
    /// Has no money, and is blocked by the merchant.
    Blocked,
    /// Has a token less than is due.
    Poor,
    /// Lets the processor move a token less than is due.
    PermitTooLow,
    /// Lets Permit2 move a token less than is due.
    ApprovalTooLow,
    /// The allowance at Permit2 ends before.
    PermitEnds,
    /// The subscription ends before.
    ExpiryEnds,
    /// Allowed a single charge.
    Exhausted,
    /// Nobody charged for days.
    Missed,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Healthy,
        Self::JustEnough,
        Self::NotDue,
        Self::Cancelled,
        Self::Paused,
        Self::Blocked,
        Self::Poor,
        Self::PermitTooLow,
        Self::ApprovalTooLow,
        Self::PermitEnds,
        Self::ExpiryEnds,
        Self::Exhausted,
        Self::Missed,
    ];
}

pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) wallet: Address,
    pub(crate) subscription: U256,
}

pub(crate) struct Seed {
    pub(crate) chain: LocalChain,
    pub(crate) module: Address,
    pub(crate) members: Vec<Member>,
    /// A moment before the monthly charges are due, and after all that ends before them.
    ends: u64,
}

impl Seed {
    /// So many subscribers of each kind, who have paid once 26 days ago.
    pub(crate) async fn plant(each: usize) -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let merchant = wallet("merchant").address();
        let module = chain.deploy_module(merchant).await.unwrap();
        let mut plans = Vec::new();
        for terms in [MONTHLY, DAILY, YEARLY] {
            plans.push(chain.create_plan(module, terms).await.unwrap());
        }
        let start = chain.head().await.unwrap().timestamp;
        let mut seed = Self {
            chain,
            module,
            members: Vec::new(),
            ends: start + 29 * DAY,
        };
        for number in 0..each {
            for kind in Kind::ALL {
                let plan = match kind {
                    Kind::Missed => plans[1],
                    Kind::NotDue => plans[2],
                    _ => plans[0],
                };
                seed.subscribe(kind, number, plan).await;
            }
        }
        let due: Vec<_> = seed
            .members
            .iter()
            .map(|one| (module, one.subscription))
            .collect();
        for some in due.chunks(100) {
            seed.chain.execute_batch(some).await.unwrap();
        }
        for index in 0..seed.members.len() {
            seed.befall(index).await;
        }
        seed.chain.advance_to(start + 26 * DAY).await.unwrap();
        seed
    }

    async fn subscribe(&mut self, kind: Kind, number: usize, plan: U256) {
        let (chain, module) = (&self.chain, self.module);
        let wallet = wallet(&format!("{kind:?} {number}")).address();
        let money = match kind {
            Kind::Healthy | Kind::Missed => 1_000,
            Kind::JustEnough => 2 * PRICE,
            Kind::Poor => 2 * PRICE - 1,
            Kind::NotDue | Kind::Cancelled | Kind::Paused | Kind::Blocked => PRICE,
            _ => 10 * PRICE,
        };
        chain.fund(wallet, money).await.unwrap();
        let (budget, expiry) = match kind {
            Kind::Exhausted => (U256::ONE, U256::MAX),
            // Due about a month after now, and charged within the day in which everyone is.
            Kind::JustEnough => (U256::from(2), U256::from(self.ends + 3 * DAY)),
            _ => (U256::MAX, U256::MAX),
        };
        let id = chain
            .subscribe_until(module, wallet, plan, budget, expiry)
            .await
            .unwrap();
        self.members.push(Member {
            kind,
            wallet,
            subscription: id,
        });
    }

    /// What happens to a member after the first payment.
    async fn befall(&self, index: usize) {
        let (chain, module) = (&self.chain, self.module);
        let Member {
            kind,
            wallet,
            subscription,
        } = self.members[index];
        let exactly = U256::from(PRICE);
        let too_little = U256::from(PRICE - 1);
        let done = match kind {
            Kind::JustEnough => {
                let approved = chain.approve_permit2(wallet, exactly).await;
                approved.unwrap();
                let until = self.ends + 3 * DAY;
                chain.permit(wallet, chain.processor, exactly, until).await
            }
            Kind::Cancelled => chain.update_expiry(module, subscription, 1).await,
            Kind::Paused => chain.pause(module, subscription).await,
            Kind::Blocked => chain.block_subscriber(module, wallet).await,
            Kind::PermitTooLow => chain.approve(wallet, chain.processor, too_little).await,
            Kind::ApprovalTooLow => chain.approve_permit2(wallet, too_little).await,
            Kind::PermitEnds => {
                let (processor, until) = (chain.processor, self.ends);
                chain.permit(wallet, processor, U256::MAX, until).await
            }
            Kind::ExpiryEnds => chain.update_expiry(module, subscription, self.ends).await,
            _ => return,
        };
        done.unwrap();
    }

    /// Whose renewal will fail, and why.
    pub(crate) fn expected(&self) -> Vec<(U256, Risk)> {
        let ends = Timestamp(self.ends);
        let risk = |kind| {
            Some(match kind {
                Kind::Poor => Risk::BalanceTooLow,
                Kind::PermitTooLow | Kind::ApprovalTooLow => Risk::AllowanceTooLow,
                Kind::PermitEnds => Risk::AllowanceEnds(ends),
                Kind::ExpiryEnds => Risk::ExpiryEnds(ends),
                Kind::Exhausted => Risk::Exhausted,
                Kind::Missed => Risk::WindowMissed,
                _ => return None,
            })
        };
        let members = self.members.iter();
        let mut expected: Vec<_> = members
            .filter_map(|one| Some((one.subscription, risk(one.kind)?)))
            .collect();
        expected.sort_unstable();
        expected
    }

    /// Lets the charges of the week become due and a keeper try all of them: those with access that failed.
    pub(crate) async fn charge_all(&mut self) -> BTreeSet<U256> {
        self.chain.advance_to(self.ends + 2 * DAY).await.unwrap();
        let mut failed = BTreeSet::new();
        for member in &self.members {
            let ended = [Kind::NotDue, Kind::Cancelled, Kind::Paused, Kind::Blocked];
            if ended.contains(&member.kind) {
                continue;
            }
            let tried = self.chain.execute(self.module, member.subscription).await;
            if tried.unwrap().reason != 0 {
                failed.insert(member.subscription);
            }
        }
        failed
    }
}
