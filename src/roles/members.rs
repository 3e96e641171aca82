//! A server's members as its managers see them, page by page: where each stands by the planner's own rule.

use std::collections::BTreeSet;

use super::cause::cause_of;
use super::desired::{Because, Reason, entitlement, reasons};
use super::people::{People, Presence, Seat, ServerRules};
use super::{Roles, blocking};
use crate::discord::hierarchy::Obstacle;
use crate::domain::{
    GuildId, MemberPage, MemberRow, MemberState, MembersQuery, RoleId, Timestamp, UserId, Wallet,
};
use crate::projection::{Access, Lapse};

/// Rows of a page.
const PAGE: usize = 100;

/// What a row is about, in the order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A Discord account.
    Linked(UserId),
    /// A subscriber's wallet that is linked to none.
    Unlinked(Wallet),
}

impl Key {
    /// What the next page is asked for with.
    fn token(self) -> String {
        match self {
            Self::Linked(user) => format!("u{user}"),
            Self::Unlinked(wallet) => format!("w{wallet}"),
        }
    }

    /// `None`: no such token was ever given.
    fn of(token: &str) -> Option<Self> {
        match token.split_at_checked(1)? {
            ("u", user) => user.parse().ok().map(Self::Linked),
            ("w", wallet) => wallet.parse().ok().map(Self::Unlinked),
            _ => None,
        }
    }
}

/// Where one member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// As managers see it.
    pub state: MemberState,
    /// The subscription that says why, if one does.
    pub reason: Option<Reason>,
}

impl Roles {
    /// A page of a server's members.
    pub(super) async fn members(
        &self,
        guild: GuildId,
        query: &MembersQuery,
        now: Timestamp,
    ) -> anyhow::Result<MemberPage> {
        let discord = &self.discord;
        let obstacle = |role| discord.obstacle(guild, role);
        let (found, next) = page(&self.people, guild, query, now, &obstacle);
        let (mut rows, mut reasons) = (Vec::new(), Vec::new());
        for (key, Found { state, reason }) in found {
            let user = match key {
                Key::Linked(user) => Some(user),
                Key::Unlinked(_) => None,
            };
            let name = user.and_then(|user| self.people.name(guild, user));
            rows.push(MemberRow {
                user,
                name: name.map(str::to_owned),
                state,
                roles: user.map_or_else(Vec::new, |user| held(&self.people, guild, user)),
                cause: None,
                transaction: None,
            });
            reasons.push(reason);
        }
        let members = blocking(&self.store, move |store| {
            for (row, reason) in rows.iter_mut().zip(reasons) {
                let Some(reason) = reason else {
                    continue;
                };
                row.cause = cause_of(store, &reason, now)?;
                let mark = row.cause.as_ref().and_then(|cause| cause.mark());
                row.transaction = mark.map(|mark| mark.transaction);
            }
            Ok(rows)
        })
        .await?;
        let next = next.map(Key::token);
        Ok(MemberPage { members, next })
    }
}

/// The roles of the server's gates that a member holds.
fn held(people: &People, guild: GuildId, user: UserId) -> Vec<RoleId> {
    let rules = people.rules(guild);
    let is_gated = |role: &RoleId| rules.gates_of(*role).next().is_some();
    let seat = people.seat_of(user, guild);
    let held = seat.into_iter().flat_map(|seat| &seat.held).copied();
    held.filter(is_gated).collect()
}

/// The rows of a page, and the last of them if more follow. `obstacle`: what keeps a role of the server from being given.
pub fn page(
    people: &People,
    guild: GuildId,
    query: &MembersQuery,
    now: Timestamp,
    obstacle: &dyn Fn(RoleId) -> Option<Obstacle>,
) -> (Vec<(Key, Found)>, Option<Key>) {
    let after = query.after.as_deref().and_then(Key::of);
    let text = query.text.trim().to_lowercase();
    let mut keys = keys(people, guild);
    keys.retain(|key| {
        after.is_none_or(|after| *key > after) && is_meant(people, guild, *key, &text)
    });
    let rules = people.rules(guild);
    let mut found = Vec::new();
    for key in keys {
        let one = match key {
            Key::Linked(user) => linked(people, rules, guild, user, now, obstacle),
            Key::Unlinked(wallet) => Some(unlinked(people, rules, wallet, now)),
        };
        let Some(one) = one else {
            continue;
        };
        if query.filter.is_some_and(|filter| filter != one.state) {
            continue;
        }
        if found.len() == PAGE {
            let last = found.last().map(|(key, _)| *key);
            return (found, last);
        }
        found.push((key, one));
    }
    (found, None)
}

/// Everyone whom the server's managers may see, in order.
fn keys(people: &People, guild: GuildId) -> Vec<Key> {
    let rules = people.rules(guild);
    let seated = people.seated(guild);
    let theirs = seated.filter(|(user, seat)| {
        let wallets = people.wallets(*user);
        !seat.applied.is_empty()
            || (!wallets.is_empty() && seat.is_there())
            || subscribes(people, rules, wallets)
    });
    let mut keys: Vec<_> = theirs.map(|(user, _)| Key::Linked(user)).collect();
    let modules: BTreeSet<_> = rules.gates.iter().map(|gate| gate.module).collect();
    for module in modules {
        let subscribers = people.holdings().subscribers(module);
        let strangers = subscribers.filter(|wallet| {
            people.owner(*wallet).is_none() && subscribes(people, rules, &[*wallet])
        });
        keys.extend(strangers.map(Key::Unlinked));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether one of these wallets subscribed to one of the server's plans.
fn subscribes(people: &People, rules: &ServerRules, wallets: &[Wallet]) -> bool {
    reasons_for(people, rules, wallets).next().is_some()
}

/// The subscriptions of these wallets to the server's plans.
fn reasons_for<'a>(
    people: &'a People,
    rules: &'a ServerRules,
    wallets: &'a [Wallet],
) -> impl Iterator<Item = Reason> + 'a {
    let gates = rules.gates.iter();
    gates.flat_map(move |gate| reasons(people, &rules.policy, gate, wallets))
}

/// Whether a search for this text, in small letters, means this row.
fn is_meant(people: &People, guild: GuildId, key: Key, text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Key::Linked(user) = key else {
        return false;
    };
    let name = people.name(guild, user).unwrap_or_default();
    user.to_string().starts_with(text) || name.to_lowercase().contains(text)
}

/// Where a subscriber stands whose wallet is linked to no account.
fn unlinked(people: &People, rules: &ServerRules, wallet: Wallet, now: Timestamp) -> Found {
    let reason = newest(people, rules, &[wallet]);
    let state = match reason {
        Some(reason) if reason.access.is_open(now) => MemberState::NotLinked,
        reason => ended(reason, now),
    };
    Found { state, reason }
}

/// Where an account stands in a server that it has a seat in.
fn linked(
    people: &People,
    rules: &ServerRules,
    guild: GuildId,
    user: UserId,
    now: Timestamp,
    obstacle: &dyn Fn(RoleId) -> Option<Obstacle>,
) -> Option<Found> {
    let seat = people.seat_of(user, guild)?;
    let wallets = people.wallets(user);
    let mut wanted: BTreeSet<RoleId> = BTreeSet::new();
    let mut reason: Option<Reason> = None;
    for gate in &rules.gates {
        if let Some(because) = entitlement(people, &rules.policy, gate, wallets, now) {
            wanted.extend(&gate.roles);
            if let Because::Holding(one) = because {
                let lasting = reason.into_iter().chain([one]);
                reason = lasting.max_by_key(|one| one.access);
            }
        }
    }
    if wanted.is_empty() {
        let reason = newest(people, rules, wallets);
        let state = match wallets.is_empty() {
            true => MemberState::NotLinked,
            false => ended(reason, now),
        };
        return Some(Found { state, reason });
    }
    let missing = missing(seat, &wanted, obstacle);
    let state = missing.or_else(|| reason.map(|reason| open(people, reason, now)));
    Some(Found {
        state: state.unwrap_or(MemberState::Active),
        reason,
    })
}

/// What keeps an entitled member from having their roles; `None`: nothing, they have them.
fn missing(
    seat: &Seat,
    wanted: &BTreeSet<RoleId>,
    obstacle: &dyn Fn(RoleId) -> Option<Obstacle>,
) -> Option<MemberState> {
    if seat.presence == Presence::Absent {
        return Some(MemberState::NotInServer);
    }
    let missing = wanted.iter().filter(|role| !seat.held.contains(role));
    let states = missing.map(|role| match obstacle(*role) {
        Some(Obstacle::Gone) => MemberState::RoleGone,
        Some(_) => MemberState::RoleTooLow,
        None => MemberState::Waiting,
    });
    states.min()
}

/// The state of a subscription that gives access.
fn open(people: &People, Reason { holding, .. }: Reason, now: Timestamp) -> MemberState {
    let paid_until = people.holdings().paid_until(&holding);
    if holding.gist.cancelled {
        MemberState::Cancelled
    } else if holding.gist.paused {
        MemberState::Paused
    } else if holding.gist.failed {
        MemberState::Failed
    } else if paid_until.is_some_and(|until| until < now) {
        MemberState::Grace
    } else {
        MemberState::Active
    }
}

/// The state of a subscription that gives no access, or not enough of it.
fn ended(reason: Option<Reason>, now: Timestamp) -> MemberState {
    match reason.map(|one| one.access) {
        None | Some(Access::NeverPaid) => MemberState::Unpaid,
        Some(Access::Shut(Lapse::PaymentFailed)) => MemberState::Failed,
        Some(Access::Shut(Lapse::Paused)) => MemberState::Paused,
        Some(Access::Shut(Lapse::Cancelled | Lapse::Blocked)) => MemberState::Cancelled,
        Some(Access::Until(until)) if until < now => MemberState::Lapsed,
        // One of several plans that the gate needs.
        Some(Access::Until(_)) => MemberState::Unpaid,
    }
}

/// The subscription of these wallets to one of the server's plans that was paid last.
fn newest(people: &People, rules: &ServerRules, wallets: &[Wallet]) -> Option<Reason> {
    let all = reasons_for(people, rules, wallets);
    all.max_by_key(|one| (one.holding.gist.last_paid_at, one.holding.id))
}

#[cfg(test)]
mod tests;
