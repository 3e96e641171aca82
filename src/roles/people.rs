//! PURE. The picture that plans are made from, in memory: who is of interest, what their wallets hold, which servers they
//! are in and which roles they hold there.
//!
//! Of interest are those who linked a wallet, those whose roles we gave or a manager gave for a time, and holders of
//! claimed roles: nobody else. A
//! mirror of the store and of Discord that can be thrown away and filled again at any time. It knows whom a change
//! concerns, so that a tick touches only these.

mod feed;
mod grants;
mod holdings;
mod rules;
mod seat;
mod seen;
mod vouched;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use grants::Grants;
pub(crate) use holdings::{Holding, Holdings};
pub(crate) use rules::ServerRules;
pub(super) use rules::rules_of;
pub(crate) use seat::{Presence, Seat};
pub(crate) use vouched::Sources;

use rules::Rules;

use crate::domain::{
    ActiveQuestion, GuildId, LinkEnd, ManualRoles, MemberRole, ModuleAddress, Policy, RoleAction,
    RoleId, Timestamp, UserId, Wallet,
};

/// While no more servers than this have gates, every linked member is looked for in each of them. Beyond, in those where
/// something speaks for it: a subscription to one of the server's plans, a role of ours, or having been seen there.
const LOOK_EVERYWHERE: usize = 10;

/// Someone of interest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) wallets: SmallVec<[Wallet; 1]>,
    /// Whether they asked to be forgotten and linked no wallet since.
    pub(crate) is_forgotten: bool,
    /// The servers that they are or may be in.
    pub(crate) seats: SmallVec<[Seat; 1]>,
}

impl Person {
    pub(crate) fn seat(&self, guild: GuildId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.guild == guild)
    }
}

/// Everything that a plan of role changes is made from.
#[derive(Debug, Default)]
pub struct People {
    holdings: Holdings,
    rules: Rules,
    /// Modules that have been read up to the cursor at least once; of others it is not known who subscribed.
    complete: BTreeSet<ModuleAddress>,
    persons: FxHashMap<UserId, Person>,
    owners: FxHashMap<Wallet, UserId>,
    sources: Sources,
    /// What amser's API says is active, while the chain cannot be followed.
    vouched: FxHashSet<ActiveQuestion>,
    /// What managers gave for a time.
    grants: Grants,
    /// Wallets that left members who still have roles of ours, and how.
    ended_links: FxHashMap<UserId, Vec<(Wallet, LinkEnd)>>,
    /// Who has a seat in a server.
    servers: BTreeMap<GuildId, FxHashSet<UserId>>,
    /// Who is to be planned for, and whether they paid or verified just now.
    dirty: FxHashMap<UserId, bool>,
    /// New seats, whose people are to be read.
    unread: Vec<(GuildId, UserId)>,
    /// Servers that people were seen in with nothing else speaking for it: worth storing.
    sightings: Vec<(UserId, GuildId)>,
    /// Roles that somebody else changed, and what would put each right.
    flips: Vec<(MemberRole, RoleAction)>,
    /// What people are called in a server, as last read.
    names: FxHashMap<(GuildId, UserId), Box<str>>,
    /// Counts what was heard from Discord.
    news: u64,
}

impl People {
    /// An empty picture under a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            rules: Rules::new(policy),
            holdings: Holdings::new(policy.expiry_leeway),
            ..Self::default()
        }
    }

    /// The policy of servers that set none.
    pub(crate) fn default_policy(&self) -> &Policy {
        self.rules.policy()
    }

    pub(crate) fn rules(&self, guild: GuildId) -> &ServerRules {
        self.rules.of(guild)
    }

    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    pub(crate) fn gate_count(&self) -> u64 {
        let servers = self.rules.servers.values();
        servers.map(|rules| rules.gates.len() as u64).sum()
    }

    /// The modules that gates ask about.
    pub(crate) fn modules(&self) -> BTreeSet<ModuleAddress> {
        self.rules.asking.keys().copied().collect()
    }

    /// Servers that have a gate, roles given by one that is gone, or roles given by a manager for a time.
    pub(crate) fn guilds(&self) -> BTreeSet<GuildId> {
        let has_ours = |guild: &GuildId| {
            let mut seated = self.seated(*guild);
            seated.any(|(user, seat)| {
                !seat.applied.is_empty() || self.granted(*guild, user).next().is_some()
            })
        };
        let gated = &self.rules.gated;
        let others = self.servers.keys().filter(|guild| !gated.contains(guild));
        let others = others.filter(|guild| has_ours(guild));
        gated.iter().chain(others).copied().collect()
    }

    /// Whether all events of the module up to the cursor are known.
    pub(crate) fn is_complete(&self, module: ModuleAddress) -> bool {
        self.complete.contains(&module)
    }

    /// Whether a gate of the server owns this role whoever gave it.
    pub(crate) fn is_claimed(&self, guild: GuildId, role: RoleId) -> bool {
        let rules = self.rules(guild);
        rules.policy.manual_roles == ManualRoles::Claim && rules.gates_of(role).next().is_some()
    }

    /// Someone of interest.
    pub(crate) fn person(&self, user: UserId) -> Option<&Person> {
        self.persons.get(&user)
    }

    pub(crate) fn seat_of(&self, user: UserId, guild: GuildId) -> Option<&Seat> {
        self.person(user)?.seat(guild)
    }

    pub(crate) fn wallets(&self, user: UserId) -> &[Wallet] {
        self.person(user).map_or(&[], |person| &person.wallets)
    }

    /// The wallets that left a member, and how.
    pub(crate) fn ended_links(&self, user: UserId) -> &[(Wallet, LinkEnd)] {
        self.ended_links.get(&user).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn link_count(&self) -> u64 {
        self.owners.len() as u64
    }

    /// Everyone of interest in a server.
    pub(crate) fn seated(&self, guild: GuildId) -> impl Iterator<Item = (UserId, &Seat)> {
        let users = self.servers.get(&guild).into_iter().flatten();
        users.filter_map(move |user| Some((*user, self.seat_of(*user, guild)?)))
    }

    /// Who has a wallet, or a role of ours that may come back with them, and is in none of the servers that they were ever seen in
    /// or looked for, and that are still of interest.
    pub(crate) fn absent(&self) -> BTreeSet<UserId> {
        let guilds = self.guilds();
        let is_out =
            |seat: &Seat| seat.presence == Presence::Absent || !guilds.contains(&seat.guild);
        let is_absent = |person: &Person| {
            let mut seats = person.seats.iter();
            let is_kept =
                !person.wallets.is_empty() || seats.clone().any(|seat| !seat.applied.is_empty());
            is_kept && !person.seats.is_empty() && seats.all(is_out)
        };
        let absent = self.persons.iter().filter(|(_, one)| is_absent(one));
        absent.map(|(user, _)| *user).collect()
    }

    /// Everyone of interest.
    pub fn everyone(&self) -> impl Iterator<Item = UserId> {
        self.persons.keys().copied()
    }

    /// How many members hold a role, or were given it: what share of them a mass removal would take.
    pub(crate) fn holders(&self, guild: GuildId, role: RoleId) -> usize {
        // What may come back with who left is not lost with a removal.
        let is_ours = |seat: &Seat| seat.presence != Presence::Absent && seat.state(role).is_some();
        let holds = |seat: &Seat| seat.held.contains(&role) || is_ours(seat);
        self.seated(guild).filter(|(_, seat)| holds(seat)).count()
    }

    /// The roles that matter in a server: those of its gates, those given by gates that are gone, and those that managers
    /// gave for a time.
    pub(crate) fn roles_of(&self, guild: GuildId) -> BTreeSet<RoleId> {
        let of_gates = self.rules(guild).gates.iter().flat_map(|gate| &gate.roles);
        let mut roles: BTreeSet<_> = of_gates.copied().collect();
        for (user, seat) in self.seated(guild) {
            roles.extend(seat.applied.iter().map(|ours| ours.role));
            roles.extend(self.granted(guild, user).map(|one| one.role));
        }
        roles
    }

    /// Whether something speaks for a person being in a server besides that it has gates: a role of ours there, or a
    /// subscription to one of its plans. They are read first.
    pub(crate) fn concerns(&self, user: UserId, guild: GuildId) -> bool {
        let seat = self.seat_of(user, guild);
        let mut wallets = self.wallets(user).iter();
        seat.is_some_and(|seat| !seat.applied.is_empty())
            || wallets.any(|wallet| {
                let mut held = self.holdings.of(*wallet).iter();
                held.any(|holding| self.rules.asks(guild, holding.module))
            })
    }

    /// What a person is called in a server; `None` where they were not read.
    pub(crate) fn name(&self, guild: GuildId, user: UserId) -> Option<&str> {
        self.names.get(&(guild, user)).map(AsRef::as_ref)
    }

    pub(crate) fn owner(&self, wallet: Wallet) -> Option<UserId> {
        self.owners.get(&wallet).copied()
    }

    /// How much was heard from Discord so far: what is asked now is newer than what was heard before.
    pub(crate) fn news(&self) -> u64 {
        self.news
    }

    /// Takes whose roles may have to change since the last call, and whether each paid or verified just now: touched ones,
    /// and those whose access ended by `now`.
    pub fn take_dirty(&mut self, now: Timestamp) -> FxHashMap<UserId, bool> {
        for wallet in self.holdings.take_ended(now) {
            self.touch_owner(wallet, false);
        }
        std::mem::take(&mut self.dirty)
    }

    /// Takes who got a seat in which server since the last call.
    pub fn take_unread(&mut self) -> Vec<(GuildId, UserId)> {
        std::mem::take(&mut self.unread)
    }

    /// Takes where people were seen that nothing in the store speaks for.
    pub(crate) fn take_sightings(&mut self) -> Vec<(UserId, GuildId)> {
        std::mem::take(&mut self.sightings)
    }

    /// Takes which roles of ours somebody else changed since the last call, and what would put each right.
    pub(crate) fn take_flips(&mut self) -> Vec<(MemberRole, RoleAction)> {
        std::mem::take(&mut self.flips)
    }

    pub(crate) fn touch(&mut self, user: UserId) {
        self.dirty.entry(user).or_default();
    }

    pub(crate) fn touch_server(&mut self, guild: GuildId) {
        for user in self.servers.get(&guild).into_iter().flatten() {
            self.dirty.entry(*user).or_default();
        }
    }

    /// Marks everyone for the next tick; nobody as one who paid or verified just now.
    pub(crate) fn touch_everyone(&mut self) {
        self.dirty = self.persons.keys().map(|user| (*user, false)).collect();
    }

    fn touch_owner(&mut self, wallet: Wallet, just_now: bool) {
        if let Some(user) = self.owner(wallet) {
            *self.dirty.entry(user).or_default() |= just_now;
        }
    }
}

#[cfg(test)]
mod tests;
