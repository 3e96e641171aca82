//! PURE. Which roles a member should hold, by which subscription, and why one is not deserved any more.

use super::people::{Holding, People, Sources};
use crate::domain::{
    ActiveQuestion, Cause, Gate, GateMatch, GuildId, MemberRole, ModuleAddress, PlanId, Policy,
    RoleId, SubscriptionId, Timestamp, UserId, Wallet,
};
use crate::projection::Access;

/// The evidence for a decision, from which its cause can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// The state of this subscription.
    Holding {
        wallet: Wallet,
        module: ModuleAddress,
        id: SubscriptionId,
        /// What it gave at the time of the decision.
        access: Access,
    },
    /// The member holds no subscription that any gate of the role asks for.
    NoHolding {
        /// Whether a wallet is linked at all.
        linked: bool,
    },
    /// Something else, of which this is the cause.
    Other(Cause),
}

/// Whether a gate is open to the owner of these wallets under its server's policy, and by which subscription: the one that
/// lasts longest; else, while the chain cannot be followed, by the word of amser's API.
pub(super) fn entitlement(
    people: &People,
    policy: &Policy,
    gate: &Gate,
    wallets: &[Wallet],
    now: Timestamp,
) -> Option<Because> {
    let best = |plan: Option<PlanId>| {
        let is_it = |holding: &Holding| plan.is_none_or(|plan| holding.plan == plan);
        holdings_of(people, gate, wallets)
            .filter(|(_, holding)| people.sources() != Sources::Api && is_it(holding))
            .filter_map(|(wallet, holding)| {
                let access = people.holdings().access(wallet, holding, policy);
                access.is_open(now).then_some((access, wallet, holding))
            })
            .max_by_key(|(access, _, holding)| (*access, holding.id))
            .map(|(access, wallet, holding)| because(wallet, holding, access))
    };
    // What an event ended, nothing but another event opens.
    let is_shut = |question: &ActiveQuestion| {
        let access = people.holdings().deciding(question, policy, now);
        matches!(access, Some(Access::Shut(_)))
    };
    let vouched = |plan: &PlanId| {
        let (module, plan) = (gate.module, *plan);
        let mut questions = ActiveQuestion::about(module, plan, wallets);
        let by_api = questions.any(|one| people.is_vouched(&one) && !is_shut(&one));
        by_api.then_some(Because::Other(Cause::ApiSays { module, plan }))
    };
    match gate.matching {
        GateMatch::Any => best(None).or_else(|| gate.plans.iter().find_map(vouched)),
        GateMatch::All => {
            let mut weakest = None;
            for plan in &gate.plans {
                let found = best(Some(*plan)).or_else(|| vouched(plan))?;
                if !matches!(weakest, Some(Because::Other(Cause::ApiSays { .. }))) {
                    weakest = Some(found);
                }
            }
            weakest
        }
    }
}

/// Why the gates of a role give it to a member, as far as their modules have been read.
pub(super) fn given_by_gates(
    people: &People,
    (guild, user, role): MemberRole,
    now: Timestamp,
) -> Option<Because> {
    let rules = people.rules(guild);
    let mut known = rules
        .gates_of(role)
        .filter(|gate| people.is_complete(gate.module));
    known.find_map(|gate| entitlement(people, &rules.policy, gate, people.wallets(user), now))
}

/// The subscriptions of these wallets that a gate asks about.
pub(super) fn holdings_of<'a>(
    people: &'a People,
    gate: &'a Gate,
    wallets: &'a [Wallet],
) -> impl Iterator<Item = (Wallet, &'a Holding)> {
    wallets
        .iter()
        .flat_map(|wallet| {
            people
                .holdings()
                .of(*wallet)
                .iter()
                .map(|one| (*wallet, one))
        })
        .filter(|(_, one)| one.module == gate.module && gate.plans.contains(&one.plan))
}

fn because(wallet: Wallet, holding: &Holding, access: Access) -> Because {
    Because::Holding {
        wallet,
        module: holding.module,
        id: holding.id,
        access,
    }
}

/// Why a role that this program gave is not deserved any more. That the time is over for which a manager gave it comes first: who
/// had it by a subscription as well then does not lose it. Then what the member did: that a wallet left whose subscription is
/// open; then what a manager ordered; then the last subscription that gave the role and ended. One that is still open ended nothing:
/// where there are only such, the gate asks for something else than it did.
pub(super) fn why_lost(
    people: &People,
    guild: GuildId,
    role: RoleId,
    user: UserId,
    now: Timestamp,
) -> Because {
    let person = people.person(user);
    if person.is_some_and(|person| person.is_forgotten) {
        return Because::Other(Cause::Forgotten);
    }
    let mut grants = people.granted(guild, user);
    if let Some(over) = grants.find(|one| people.is_over(one) && one.role == role) {
        let (by, at) = (over.terms.by, over.terms.until);
        return Because::Other(Cause::GrantEnded { by, at });
    }
    let rules = people.rules(guild);
    let gates: Vec<_> = rules.gates_of(role).collect();
    if gates.is_empty() {
        return match rules.ended_gates_of(role).next() {
            Some(_) => Because::Other(Cause::ManagerAct),
            None => Because::Other(Cause::GateRemoved),
        };
    }
    let paid_by = |wallets: &[Wallet]| -> Vec<(Access, Wallet, Holding)> {
        let held = gates
            .iter()
            .flat_map(|gate| holdings_of(people, gate, wallets));
        held.map(|(wallet, holding)| {
            let access = people.holdings().access(wallet, holding, &rules.policy);
            (access, wallet, *holding)
        })
        .filter(|(access, ..)| *access != Access::NeverPaid)
        .collect()
    };
    let left = |is_enough: &dyn Fn(Access) -> bool| {
        let is_it = |wallet: &Wallet| {
            let paid = paid_by(&[*wallet]);
            paid.iter().any(|(access, ..)| is_enough(*access))
        };
        let mut ended = people.ended_links(user).iter();
        ended
            .find(|(wallet, _)| is_it(wallet))
            .map(|(_, end)| Because::Other((*end).into()))
    };
    let wallets = people.wallets(user);
    let held = paid_by(wallets);
    // The longest-lasting of those that ended, unless an event ended one: a moment is the weaker explanation.
    let ended = held
        .iter()
        .filter(|(access, ..)| !access.is_open(now))
        .max_by_key(|(access, _, holding)| (holding.gist.last_paid_at, *access));
    // An undo leaves the role with another gate, which the member may never have paid for.
    let by_order = || {
        let entitles = |gate| entitlement(people, &rules.policy, gate, wallets, now).is_some();
        rules
            .ended_gates_of(role)
            .any(entitles)
            .then_some(Because::Other(Cause::ManagerAct))
    };
    left(&|access| access.is_open(now))
        .or_else(by_order)
        .or_else(|| ended.map(|(access, wallet, holding)| because(*wallet, holding, *access)))
        .or_else(|| left(&|_| true))
        .unwrap_or(match held.is_empty() {
            true => Because::NoHolding {
                linked: !wallets.is_empty(),
            },
            false => Because::Other(Cause::GateRemoved),
        })
}
