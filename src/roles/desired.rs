//! PURE. Which roles a member should hold, by which subscription, and why one is not deserved any more.

use super::people::{Holding, People, Sources};
use crate::domain::{
    ActiveQuestion, Cause, Gate, GateMatch, GuildId, MemberRole, PlanId, Policy, RoleId, Timestamp,
    UserId, Wallet,
};
use crate::projection::Access;

/// The evidence for a decision, from which its cause can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// The state of a subscription.
    Holding(Reason),
    /// The member holds no subscription that any gate of the role asks for.
    NoHolding {
        /// Whether a wallet is linked at all.
        linked: bool,
    },
    /// Something else, of which this is the cause.
    Other(Cause),
}

/// A subscription, and what it gave at the time of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// The subscriber.
    pub wallet: Wallet,
    /// As the events tell of it.
    pub holding: Holding,
    /// Under the server's policy, before the clock is asked.
    pub access: Access,
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
        let is_it = |one: &Reason| plan.is_none_or(|plan| one.holding.plan == plan);
        reasons(people, policy, gate, wallets)
            .filter(|one| people.sources() != Sources::Api && is_it(one) && one.access.is_open(now))
            .max_by_key(|one| (one.access, one.holding.id))
            .map(Because::Holding)
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

/// The subscriptions of these wallets that a gate asks about, and what they give under its server's policy.
pub(super) fn reasons<'a>(
    people: &'a People,
    policy: &'a Policy,
    gate: &'a Gate,
    wallets: &'a [Wallet],
) -> impl Iterator<Item = Reason> + 'a {
    let holdings = people.holdings();
    wallets.iter().flat_map(move |wallet| {
        let held = holdings.of(*wallet).iter();
        let asked = held.filter(|one| one.module == gate.module && gate.plans.contains(&one.plan));
        asked.map(|holding| Reason {
            wallet: *wallet,
            holding: *holding,
            access: holdings.access(*wallet, holding, policy),
        })
    })
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
    let paid_by = |wallets: &[Wallet]| -> Vec<Reason> {
        let of_gates = gates.iter();
        let held = of_gates.flat_map(|gate| reasons(people, &rules.policy, gate, wallets));
        held.filter(|one| one.access != Access::NeverPaid).collect()
    };
    let left = |is_enough: &dyn Fn(Access) -> bool| {
        let is_it = |wallet: &Wallet| {
            let paid = paid_by(&[*wallet]);
            paid.iter().any(|one| is_enough(one.access))
        };
        let mut ended = people.ended_links(user).iter();
        ended
            .find(|(wallet, _)| is_it(wallet))
            .map(|(_, end)| Because::Other((*end).into()))
    };
    let wallets = people.wallets(user);
    let held = paid_by(wallets);
    // The longest-lasting of those that ended, unless an event ended one: a moment is the weaker explanation.
    let ended = held.iter().filter(|one| !one.access.is_open(now));
    let ended = ended.max_by_key(|one| (one.holding.gist.last_paid_at, one.access));
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
        .or_else(|| ended.copied().map(Because::Holding))
        .or_else(|| left(&|_| true))
        .unwrap_or(match held.is_empty() {
            true => Because::NoHolding {
                linked: !wallets.is_empty(),
            },
            false => Because::Other(Cause::GateRemoved),
        })
}
