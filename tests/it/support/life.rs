//! A random life of several members, and the comparison of what became of it with the final chain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use amser_roles::domain::{
    Cause, ChainEvent, GuildId, JournalEntry, Link, ModuleAddress, Outcome, RoleAction, RoleId,
    Timestamp, UserId, Wallet,
};
use amser_roles::roles::flips;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::entitled::Entitled;
use super::oracle;
use super::scene::patient;
use super::stage::new_guild;

/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(60);
const MEMBERS: usize = 8;
/// Deeper than any reorganisation of a life. Each kept state is a whole copy of the contracts' storage: a life of some
/// 15,000 blocks with 1,000 of them fills gigabytes.
const KEPT_STATES: usize = 100;
/// A grace so long that a payment of one member, which moves the clock, does not end the windows of most others.
const TERMS: PlanTerms = PlanTerms {
    price: 5,
    interval: 3_600,
    grace_period: 5 * 3_600,
};

/// The members, their subscriptions, and dice.
pub(crate) struct Life {
    pub(crate) chain: LocalChain,
    pub(crate) module: Address,
    pub(crate) plan: U256,
    pub(crate) discord: LocalDiscord,
    pub(crate) guild: GuildId,
    pub(crate) role: RoleId,
    pub(crate) dice: StdRng,
    pub(crate) confirmations: u64,
    members: Vec<(UserId, Address)>,
    newest: BTreeMap<Address, U256>,
    /// When each member's role was taken by hand lately.
    taken: BTreeMap<UserId, Vec<Instant>>,
    /// Blocks at which a member did not deserve the role, on the chains that reorganisations have replaced.
    former_lapses: BTreeMap<UserId, BTreeSet<u64>>,
    /// The first block that no reorganisation touches.
    floor: u64,
}

impl Life {
    pub(crate) async fn new(seed: u64, confirmations: u64) -> Self {
        let chain = LocalChain::start(ChainOptions {
            kept_states: KEPT_STATES,
            ..ChainOptions::default()
        })
        .await
        .unwrap();
        let module = chain
            .deploy_module(wallet("merchant").address())
            .await
            .unwrap();
        let plan = chain.create_plan(module, TERMS).await.unwrap();
        let discord = LocalDiscord::start(patient()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Life", &["Subscriber"]);
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            let name = format!("member {number}");
            let user = discord.add_user(&name);
            discord.add_member(guild, user).unwrap();
            let address = wallet(&name).address();
            chain.fund(address, 1_000_000).await.unwrap();
            members.push((user, address));
        }
        let floor = chain.head().await.unwrap().number;
        Self {
            chain,
            module,
            plan,
            discord,
            guild,
            role: roles[0],
            dice: StdRng::seed_from_u64(seed),
            confirmations,
            members,
            newest: BTreeMap::new(),
            taken: BTreeMap::new(),
            former_lapses: BTreeMap::new(),
            floor,
        }
    }

    /// Links every member's wallet.
    pub(crate) fn link_all(&self, store: &Store) {
        for (user, address) in &self.members {
            let link = Link {
                user: *user,
                wallet: Wallet(*address),
                linked_at: Timestamp(0),
                proof: None,
            };
            store.link(&link, 5).unwrap();
        }
    }

    /// One thing happens. What the contracts refuse in the present state does not.
    pub(crate) async fn step(&mut self) {
        let (user, address) = self.members[self.dice.random_range(0..self.members.len())];
        let (module, chain) = (self.module, &self.chain);
        let Some(id) = self.newest.get(&address).copied() else {
            // A failed payment took the allowance away, and without one nobody can subscribe.
            chain.fund(address, 1_000).await.unwrap();
            if let Ok(id) = chain.subscribe(module, address, self.plan).await {
                chain.execute(module, id).await.ok();
                self.newest.insert(address, id);
            }
            return;
        };
        match self.dice.random_range(0..24) {
            0 => {
                chain.pause(module, id).await.ok();
            }
            1..=3 => {
                chain.resume(module, id).await.ok();
            }
            4 => {
                chain.cancel(module, id).await.ok();
                self.newest.remove(&address);
            }
            5 => {
                chain.block_subscriber(module, address).await.ok();
            }
            6..=8 => {
                chain.unblock_subscriber(module, address).await.ok();
            }
            9 => {
                chain.fail_when_due(module, id).await.ok();
            }
            10..=17 => {
                chain.pay_when_due(module, id).await.ok();
            }
            18 => {
                let seconds = self.dice.random_range(1..4_000);
                chain.advance_time(seconds).await.unwrap();
            }
            19 | 20 => {
                let blocks = self.dice.random_range(1..4);
                chain.mine(blocks).await.unwrap();
            }
            21 | 22 => {
                // Whether held or not: what is deserved comes back. Who did it more often within so short a time would be taken
                // for another program, to which the role is left. The bot may have seen it a while later.
                let taken = self.taken.entry(user).or_default();
                taken.retain(|at| at.elapsed() < flips::WINDOW + REST);
                if taken.len() < flips::MOST {
                    taken.push(Instant::now());
                    self.discord.take_role(self.guild, user, self.role).ok();
                }
            }
            _ => {
                self.discord.remove_member(self.guild, user).unwrap();
                self.discord.add_member(self.guild, user).unwrap();
            }
        }
    }

    /// The chain changes its mind about up to `most` blocks.
    pub(crate) async fn reorganise(&mut self, most: u64) {
        let head = self.chain.head().await.unwrap().number;
        let most = most.min(head.saturating_sub(self.floor + 1));
        if most == 0 {
            return;
        }
        let depth = self.dice.random_range(1..=most);
        for (user, blocks) in self.lapses(head + 1 - depth).await {
            self.former_lapses.entry(user).or_default().extend(blocks);
        }
        self.chain.reorg(depth, vec![]).await.unwrap();
        // Subscriptions of the replaced blocks are gone; their numbers will be given to others.
        self.newest.clear();
        for event in self.events(u64::MAX).await {
            if let amser_roles::domain::EventKind::SubscriptionCreated {
                subscriber,
                subscription,
                ..
            } = event.kind
            {
                self.newest.insert(subscriber.0, subscription.0);
            }
        }
    }

    async fn events(&self, to: u64) -> Vec<ChainEvent> {
        let head = self.chain.head().await.unwrap().number;
        let modules = BTreeMap::from([(ModuleAddress(self.module), self.chain.processor)]);
        oracle::events(&self.chain, &modules, to.min(head)).await
    }

    fn links(&self) -> BTreeMap<Address, UserId> {
        let links = self.members.iter().map(|(user, address)| (*address, *user));
        links.collect()
    }

    /// Who deserves the role by the confirmed part of the final chain.
    pub(crate) async fn deserving(&self) -> BTreeSet<UserId> {
        let head = self.chain.head().await.unwrap().number;
        let confirmed = self.chain.block(head - self.confirmations).await.unwrap();
        let mut entitled = Entitled::default();
        for event in self.events(confirmed.number).await {
            entitled.read(&event);
        }
        entitled.members(self.module, &self.links(), confirmed.timestamp)
    }

    /// Waits until exactly those who deserve the role hold it.
    pub(crate) async fn until_at_rest(&self, context: &str) {
        let expected = self.deserving().await;
        let (guild, role) = (self.guild, self.role);
        let wanted = expected.clone();
        let condition = move |discord: &LocalDiscord| discord.members_with(guild, role) == wanted;
        let what = "those who deserve the role hold it";
        let waited = self.discord.wait_until(what, REST, condition).await;
        let holding = self.discord.members_with(guild, role);
        assert!(
            waited.is_ok(),
            "{context}: {holding:?} hold the role, {expected:?} deserve it"
        );
    }

    /// At which blocks of the present chain, from this one on, each member did not deserve the role.
    async fn lapses(&self, from: u64) -> BTreeMap<UserId, BTreeSet<u64>> {
        let head = self.chain.head().await.unwrap().number;
        let events = self.events(head).await;
        let links = self.links();
        let mut entitled = Entitled::default();
        let mut lapses = BTreeMap::<_, BTreeSet<_>>::new();
        let mut events = events.iter().peekable();
        for number in from..=head {
            while let Some(event) = events.next_if(|event| event.position.block <= number) {
                entitled.read(event);
            }
            let now = self.chain.block(number).await.unwrap().timestamp;
            let deserving = entitled.members(self.module, &links, now);
            for (user, _) in self
                .members
                .iter()
                .filter(|(user, _)| !deserving.contains(user))
            {
                lapses.entry(*user).or_default().insert(number);
            }
        }
        lapses
    }

    /// No revoke in the journal was of a member who deserved the role at the block of its decision, on whichever
    /// chain there was then. Returns how many grants and revokes there were.
    pub(crate) async fn check_journal(&self, store: &Store) -> (usize, usize) {
        let lapses = self.lapses(0).await;
        let is_revoke = |entry: &&JournalEntry| {
            entry.change.action == RoleAction::Revoke && entry.outcome == Outcome::Done
        };
        let entries = store.journal(usize::MAX).unwrap();
        let revokes: Vec<_> = entries.iter().filter(is_revoke).collect();
        for entry in &revokes {
            // The events of a decision may be a block ahead of its clock.
            let block = entry.block.max(event_block(&entry.change.cause));
            let had_lapsed = |lapses: &BTreeMap<UserId, BTreeSet<u64>>| {
                lapses
                    .get(&entry.change.user)
                    .is_some_and(|blocks| blocks.contains(&block))
            };
            assert!(
                had_lapsed(&lapses) || had_lapsed(&self.former_lapses),
                "revoked while entitled: {entry:?}"
            );
        }
        journaled(store)
    }
}

/// How many grants and how many revokes were made.
pub(crate) fn journaled(store: &Store) -> (usize, usize) {
    let entries = store.journal(usize::MAX).unwrap();
    let made = entries.iter().filter(|one| one.outcome == Outcome::Done);
    let (grants, revokes): (Vec<_>, Vec<_>) =
        made.partition(|one| one.change.action == RoleAction::Grant);
    (grants.len(), revokes.len())
}

/// The block of the event that is the cause; 0 where none is.
fn event_block(cause: &Cause) -> u64 {
    match cause {
        Cause::PaymentFailed { mark, .. }
        | Cause::Paused { mark, .. }
        | Cause::Cancelled { mark, .. }
        | Cause::Blocked { mark, .. } => mark.position.block,
        _ => 0,
    }
}
