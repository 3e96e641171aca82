//! PURE. Compares the roles that members should hold with those they hold: desired − observed.
//!
//! ```text
//! desired(member, server) = ⋃ roles of the gates whose plans the member's wallets hold open at `now`
//! grant  = desired − observed
//! revoke = observed − desired, of roles that this program gave (or, if gates claim them, any role of a gate)
//! ```

mod brake;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

pub use brake::{Held, hold_back, without_revokes};
pub use standing::gate_standings;

use crate::domain::{
    AppliedState, Gate, GateMatch, GuildId, LinkEnd, ManualRoles, ModuleAddress, RoleAction,
    RoleId, SubscriptionId, Timestamp, UserId, Wallet,
};
use crate::projection::Access;
use crate::roster::{GuildView, Holding, Member, Roster};

/// One change that should be made. Orders by action first: grants before revokes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// Grant or revoke.
    pub action: RoleAction,
    /// Where.
    pub guild: GuildId,
    /// To whom.
    pub user: UserId,
    /// Which role.
    pub role: RoleId,
    /// On what evidence.
    pub because: Because,
}

/// The evidence for a decision, from which its cause can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// The state of this subscription.
    Holding {
        /// Who holds it.
        wallet: Wallet,
        /// Its module.
        module: ModuleAddress,
        /// The subscription.
        id: SubscriptionId,
        /// What it gave at the time of the decision.
        access: Access,
    },
    /// The member holds no subscription that any gate of the role asks for.
    NoHolding {
        /// Whether a wallet is linked at all.
        linked: bool,
    },
    /// No gate gives this role any more.
    NoGate,
    /// The role was given by hand and the gates claim their roles.
    ByHand,
    /// A wallet with a subscription that a gate of the role asks for left the member.
    Left(LinkEnd),
    /// The member asked to be forgotten.
    Forgotten,
}

/// What [`check_member`] finds besides decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Roles that are not held any more and not ours to give back, or whose removal became moot and that were never ours:
    /// forget them. `true` for those whose removal was under way when the program last stopped, and is now seen to have
    /// happened.
    pub gone: Vec<(GuildId, UserId, RoleId, bool)>,
    /// Grants that were under way when the program last stopped, and are now seen to have happened.
    pub arrived: Vec<(GuildId, UserId, RoleId)>,
    /// Roles of ours whose removal became moot before it was made, as the grants that they are now: deserved again, or gone
    /// with a member who left.
    pub kept: Vec<Decision>,
}

/// Appends what must change for one member in one server.
///
/// Nothing is decided about a server that has not been observed, roles that were not looked at when it was, and roles of
/// gates whose module has not been read completely. What we gave to a member who is not in the server any more stays known, or
/// a role that comes back with the member would be nobody's; unless the member asked to be forgotten.
pub fn check_member(
    roster: &Roster,
    guild: GuildId,
    view: &GuildView,
    user: UserId,
    now: Timestamp,
    decisions: &mut Vec<Decision>,
    findings: &mut Findings,
) {
    let Some(member) = view.member(user).filter(|_| view.observed) else {
        return;
    };
    let Member {
        is_present,
        held,
        applied,
    } = member;
    let wallets = roster.wallets(user);
    let may_gain = *is_present && !wallets.is_empty();
    if !may_gain && held.is_empty() && applied.is_empty() {
        return;
    }
    let decide = |action, role, because| Decision {
        action,
        guild,
        user,
        role,
        because,
    };
    let mut wanted = SmallRoles::default();
    let mut unknown = SmallRoles::default();
    for gate in roster.gates(guild) {
        if !roster.is_complete(gate.module) {
            unknown.extend(&gate.roles);
        } else if let Some(because) = entitlement(roster, gate, wallets, now) {
            for role in &gate.roles {
                if *is_present
                    && !held.contains(role)
                    && !wanted.contains(*role)
                    && view.knows(*role)
                {
                    decisions.push(decide(RoleAction::Grant, *role, because));
                }
            }
            wanted.extend(&gate.roles);
        }
    }
    let is_claimed = |role: &RoleId| {
        let mut gates = roster.gates(guild).iter();
        roster.policy().manual_roles == ManualRoles::Claim
            && gates.any(|gate| gate.roles.contains(role))
    };
    for role in held.iter().filter(|role| !wanted.contains(**role)) {
        let state = applied.iter().find(|(ours, _)| ours == role);
        let because = match state.map(|(_, state)| state) {
            _ if unknown.contains(*role) => continue,
            Some(AppliedState::Granting | AppliedState::Granted | AppliedState::Revoking) => {
                lost(roster, guild, *role, user, now)
            }
            Some(AppliedState::Claiming) | None if is_claimed(role) => Because::ByHand,
            Some(AppliedState::Claiming) | None => continue,
        };
        decisions.push(decide(RoleAction::Revoke, *role, because));
    }
    let is_awaited = !is_present && !roster.is_forgotten(user);
    for (role, state) in applied {
        match (state, held.contains(role)) {
            (AppliedState::Granting, true) => findings.arrived.push((guild, user, *role)),
            (_, false) if unknown.contains(*role) || !view.knows(*role) => {}
            (AppliedState::Granted, false) if is_awaited => {}
            // A grant without an answer: taken back unseen, or left to its next try or the member's return.
            (AppliedState::Granting | AppliedState::Revoking, false)
                if *is_present && view.may_hold(user, *role) && !wanted.contains(*role) =>
            {
                let because = lost(roster, guild, *role, user, now);
                decisions.push(decide(RoleAction::Revoke, *role, because));
            }
            (AppliedState::Granting | AppliedState::Revoking, false)
                if (*is_present || is_awaited) && view.may_hold(user, *role) => {}
            // The role of one who left went with the member, not by the removal that was under way.
            (AppliedState::Revoking, false) if is_awaited => {
                let because = deserved(roster, guild, *role, wallets, now)
                    .unwrap_or_else(|| lost(roster, guild, *role, user, now));
                let kept = decide(RoleAction::Grant, *role, because);
                findings.kept.push(kept);
            }
            // A removal that was under way has happened, even where the role is wanted again by now.
            (AppliedState::Revoking | AppliedState::Claiming, false) => {
                findings.gone.push((guild, user, *role, *is_present));
            }
            (_, false) if !wanted.contains(*role) => {
                findings.gone.push((guild, user, *role, false));
            }
            (AppliedState::Claiming, true) if wanted.contains(*role) || !is_claimed(role) => {
                findings.gone.push((guild, user, *role, false));
            }
            (AppliedState::Revoking, true) if wanted.contains(*role) => {
                let because = deserved(roster, guild, *role, wallets, now);
                let kept = because.map(|because| decide(RoleAction::Grant, *role, because));
                findings.kept.extend(kept);
            }
            _ => {}
        }
    }
}

/// A set of a handful of roles, without an allocation for members of whom nothing is wanted.
#[derive(Default)]
struct SmallRoles(Vec<RoleId>);

impl SmallRoles {
    fn contains(&self, role: RoleId) -> bool {
        self.0.contains(&role)
    }

    fn extend(&mut self, roles: &BTreeSet<RoleId>) {
        self.0.extend(roles.iter().copied());
    }
}

/// Whether a gate is open to the owner of these wallets, and by which subscription: the one that lasts longest.
fn entitlement(
    roster: &Roster,
    gate: &Gate,
    wallets: &[Wallet],
    now: Timestamp,
) -> Option<Because> {
    let best = |held: &mut dyn Iterator<Item = (Wallet, &Holding)>| {
        held.filter_map(|(wallet, holding)| {
            let access = roster.access(wallet, holding);
            access.is_open(now).then_some((access, wallet, holding))
        })
        .max_by_key(|(access, _, holding)| (*access, holding.id))
        .map(|(access, wallet, holding)| because(wallet, holding, access))
    };
    let holdings = || holdings_of(roster, gate, wallets);
    match gate.matching {
        GateMatch::Any => best(&mut holdings()),
        GateMatch::All => {
            let mut newest = None;
            for plan in &gate.plans {
                newest = best(&mut holdings().filter(|(_, holding)| holding.plan == *plan));
                newest?;
            }
            newest
        }
    }
}

/// By which subscription these wallets deserve a role, if they do.
fn deserved(
    roster: &Roster,
    guild: GuildId,
    role: RoleId,
    wallets: &[Wallet],
    now: Timestamp,
) -> Option<Because> {
    let gates = roster.gates(guild).iter();
    gates
        .filter(|gate| gate.roles.contains(&role) && roster.is_complete(gate.module))
        .find_map(|gate| entitlement(roster, gate, wallets, now))
}

/// The subscriptions of these wallets that a gate asks about.
fn holdings_of<'a>(
    roster: &'a Roster,
    gate: &'a Gate,
    wallets: &'a [Wallet],
) -> impl Iterator<Item = (Wallet, &'a Holding)> {
    wallets
        .iter()
        .flat_map(|wallet| roster.holdings(*wallet).iter().map(|one| (*wallet, one)))
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

/// Why a role that this program gave is not deserved any more. What the member did comes first: that a wallet left whose
/// subscription is open; then the last subscription that gave the role and ended. One that is still open ended nothing:
/// where there are only such, the gate asks for something else than it did.
fn lost(roster: &Roster, guild: GuildId, role: RoleId, user: UserId, now: Timestamp) -> Because {
    if roster.is_forgotten(user) {
        return Because::Forgotten;
    }
    let gates = roster.gates(guild).iter();
    let gates: Vec<_> = gates.filter(|gate| gate.roles.contains(&role)).collect();
    if gates.is_empty() {
        return Because::NoGate;
    }
    let paid_by = |wallets: &[Wallet]| -> Vec<(Access, Wallet, Holding)> {
        let held = gates
            .iter()
            .flat_map(|gate| holdings_of(roster, gate, wallets));
        held.map(|(wallet, holding)| (roster.access(wallet, holding), wallet, *holding))
            .filter(|(access, ..)| *access != Access::NeverPaid)
            .collect()
    };
    let left = |is_enough: &dyn Fn(Access) -> bool| {
        let is_it = |wallet: &Wallet| {
            let paid = paid_by(&[*wallet]);
            paid.iter().any(|(access, ..)| is_enough(*access))
        };
        let mut ended = roster.ended_links(user).iter();
        ended
            .find(|(wallet, _)| is_it(wallet))
            .map(|(_, end)| Because::Left(*end))
    };
    let wallets = roster.wallets(user);
    let held = paid_by(wallets);
    // The longest-lasting of those that ended, unless an event ended one: a moment is the weaker explanation.
    let ended = held
        .iter()
        .filter(|(access, ..)| !access.is_open(now))
        .max_by_key(|(access, _, holding)| (holding.gist.last_paid_at, *access));
    left(&|access| access.is_open(now))
        .or_else(|| ended.map(|(access, wallet, holding)| because(*wallet, holding, *access)))
        .or_else(|| left(&|_| true))
        .unwrap_or(match held.is_empty() {
            true => Because::NoHolding {
                linked: !wallets.is_empty(),
            },
            false => Because::NoGate,
        })
}

/// What must change for these members, in every server; grants first.
pub fn plan(
    roster: &Roster,
    users: impl IntoIterator<Item = UserId>,
    now: Timestamp,
) -> (Vec<Decision>, Findings) {
    let mut decisions = Vec::new();
    let mut findings = Findings::default();
    for user in users {
        for (guild, view) in roster.guilds() {
            check_member(
                roster,
                guild,
                view,
                user,
                now,
                &mut decisions,
                &mut findings,
            );
        }
    }
    // Whatever the order of the members was.
    decisions.sort_unstable();
    findings.gone.sort_unstable();
    findings.arrived.sort_unstable();
    findings.kept.sort_unstable();
    (decisions, findings)
}

/// Decisions by server and member, for an outbox that replaces a member's changes as a whole.
pub fn by_member<T>(
    changes: impl IntoIterator<Item = (GuildId, UserId, T)>,
) -> BTreeMap<(GuildId, UserId), Vec<T>> {
    let mut grouped = BTreeMap::new();
    for (guild, user, change) in changes {
        let of_member: &mut Vec<T> = grouped.entry((guild, user)).or_default();
        of_member.push(change);
    }
    grouped
}

#[cfg(test)]
mod tests;
