//! The club: a server, a merchant with one monthly plan, and what members do day by day. All of it follows from the seed.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};
use amser_roles::domain::{GuildId, Link, ModuleAddress, RoleId, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::sandbox::discord::LocalDiscord;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::support::entitled::Entitled;
use crate::support::oracle;
use crate::support::scene::patient;
use crate::support::stage::new_guild;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
const FOUNDERS: u64 = 24;
const MONTHLY: PlanTerms = PlanTerms {
    price: 5,
    interval: 30 * DAY,
    grace_period: 3 * DAY,
};
/// Deeper than any reorganisation here; each kept state is a copy of the contracts' storage.
const KEPT_STATES: usize = 100;
/// `Status.Cancelled` of the contracts.
const CANCELLED: u8 = 6;
/// How often a member's role is taken by hand. Many more within ten minutes of the machine's clock would be taken for
/// another program's work, and the role would be left to it.
const MOST_TAKEN: u8 = 2;

/// What a member does on a later day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Subscribe,
    Pay,
    Resume,
    Unblock,
}

struct Member {
    user: UserId,
    wallet: Address,
    subscription: Option<U256>,
    /// What comes next, and on which day; a member without pays what is due.
    next: Option<(u64, Act)>,
    /// On which day somebody who left comes back.
    back_on: Option<u64>,
    taken: u8,
}

/// How a day ended.
pub(super) struct DayEnd {
    /// The newest block that counts.
    pub(super) block: u64,
    /// Who deserves the role and is in the server.
    pub(super) deserving: BTreeSet<UserId>,
    /// Those of them who did so the whole day: their role was not to be taken for a moment.
    pub(super) steady: BTreeSet<UserId>,
}

/// The club and its chain.
pub(super) struct Club {
    pub(super) chain: LocalChain,
    pub(super) discord: LocalDiscord,
    pub(super) guild: GuildId,
    pub(super) role: RoleId,
    pub(super) module: Address,
    pub(super) plan: U256,
    pub(super) dice: StdRng,
    confirmations: u64,
    members: Vec<Member>,
    /// Those of the members who have not been linked yet begin here.
    linked: usize,
    /// The chain's time when the first day begins.
    start: u64,
    /// The chain up to the end of the last day, which no reorganisation reaches.
    settled: Entitled,
    settled_to: u64,
    /// Who deserved the role when the last day ended.
    deserved: BTreeSet<UserId>,
    /// To whom something else than a payment happened on this day.
    touched: BTreeSet<UserId>,
}

impl Club {
    /// With founders who subscribe within the first month.
    pub(super) async fn found(seed: u64, confirmations: u64) -> Self {
        let options = ChainOptions {
            kept_states: KEPT_STATES,
            ..ChainOptions::default()
        };
        let chain = LocalChain::start(options).await.unwrap();
        let merchant = wallet("merchant").address();
        let module = chain.deploy_module(merchant).await.unwrap();
        let plan = chain.create_plan(module, MONTHLY).await.unwrap();
        let discord = LocalDiscord::start(patient()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Club", &["Subscriber"]);
        let start = chain.head().await.unwrap().timestamp;
        let mut club = Self {
            chain,
            discord,
            guild,
            role: roles[0],
            module,
            plan,
            dice: StdRng::seed_from_u64(seed),
            confirmations,
            members: Vec::new(),
            linked: 0,
            start,
            settled: Entitled::default(),
            settled_to: 0,
            deserved: BTreeSet::new(),
            touched: BTreeSet::new(),
        };
        for _ in 0..FOUNDERS {
            let first_day = club.dice.random_range(1..=20);
            club.join(first_day).await;
        }
        club
    }

    /// So many people join, who will subscribe soon.
    pub(super) async fn invite(&mut self, people: u64) {
        for _ in 0..people {
            // At once: what is due on an earlier day is done on the next one.
            self.join(0).await;
        }
    }

    async fn join(&mut self, first_day: u64) {
        let name = format!("member {}", self.members.len());
        let user = self.discord.add_user(&name);
        self.discord.add_member(self.guild, user).unwrap();
        self.members.push(Member {
            user,
            wallet: wallet(&name).address(),
            subscription: None,
            next: Some((first_day, Act::Subscribe)),
            back_on: None,
            taken: 0,
        });
    }

    /// The links of those who joined since the last call.
    pub(super) fn take_newcomers(&mut self) -> Vec<Link> {
        let newcomers = self.members[self.linked..].iter();
        let links = newcomers.map(|member| Link {
            user: member.user,
            wallet: Wallet(member.wallet),
            linked_at: Timestamp(0),
            proof: None,
        });
        let links = links.collect();
        self.linked = self.members.len();
        links
    }

    /// Members do what they put off, and a keeper charges who is due.
    pub(super) async fn morning(&mut self, day: u64) {
        self.clock(day, 6 * HOUR).await;
        for index in 0..self.members.len() {
            if self.members[index].back_on.is_some_and(|on| on <= day) {
                self.members[index].back_on = None;
                let user = self.members[index].user;
                self.touched.insert(user);
                self.discord.add_member(self.guild, user).unwrap();
            }
            self.do_next(index, day).await;
        }
        self.clock(day, 12 * HOUR).await;
        self.charge(day).await;
    }

    /// What nobody has planned, and now and then a reorganisation.
    pub(super) async fn evening(&mut self, day: u64) {
        self.clock(day, 18 * HOUR).await;
        for _ in 0..self.dice.random_range(0..3) {
            self.surprise(day).await;
        }
        if self.dice.random_bool(0.1) {
            self.reorganise().await;
        }
    }

    /// Lets the day end, and its last block count.
    pub(super) async fn end_of_day(&mut self, day: u64) -> DayEnd {
        self.clock(day, 24 * HOUR - 60).await;
        let head = self.chain.mine(self.confirmations).await.unwrap().number;
        let counts = self.chain.block(head - self.confirmations).await.unwrap();
        let modules = BTreeMap::from([(ModuleAddress(self.module), self.chain.processor)]);
        let from = self.settled_to + 1;
        for event in oracle::events_between(&self.chain, &modules, from, counts.number).await {
            self.settled.read(&event);
        }
        self.settled_to = counts.number;
        let links = self.members.iter();
        let links = links.map(|member| (member.wallet, member.user)).collect();
        let mut deserving = self.settled.members(self.module, &links, counts.timestamp);
        for member in &self.members {
            if member.back_on.is_some() {
                deserving.remove(&member.user);
            }
        }
        let touched = std::mem::take(&mut self.touched);
        let before = std::mem::replace(&mut self.deserved, deserving.clone());
        let steady = &(&before & &deserving) - &touched;
        DayEnd {
            block: counts.number,
            deserving,
            steady,
        }
    }

    /// Moves the chain's clock on to so many seconds after the day's beginning.
    async fn clock(&self, day: u64, seconds: u64) {
        let time = self.start + (day - 1) * DAY + seconds;
        if self.chain.head().await.unwrap().timestamp < time {
            self.chain.advance_to(time).await.unwrap();
        }
    }

    async fn do_next(&mut self, index: usize, day: u64) {
        let (module, chain) = (self.module, &self.chain);
        let member = &mut self.members[index];
        let Some((on, act)) = member.next else {
            return;
        };
        if on > day {
            return;
        }
        member.next = None;
        self.touched.insert(member.user);
        // What a reorganisation has undone may not be possible any more: the contracts say so, and life goes on.
        match (act, member.subscription) {
            (Act::Pay, Some(id)) => drop(chain.pay(module, id).await),
            (Act::Resume, Some(id)) => drop(chain.resume(module, id).await),
            (Act::Unblock, _) => {
                drop(chain.unblock_subscriber(module, member.wallet).await);
            }
            _ => {
                chain.fund(member.wallet, 1_000_000).await.unwrap();
                if let Ok(id) = chain.subscribe(module, member.wallet, self.plan).await {
                    chain.execute(module, id).await.unwrap();
                }
                let newest = chain.newest_subscription(module, member.wallet).await;
                member.subscription = newest.unwrap();
            }
        }
    }

    /// A keeper charges all who are due, and some of them cannot pay, cancel, or are forgotten by every keeper.
    async fn charge(&mut self, day: u64) {
        let (module, chain, dice) = (self.module, &self.chain, &mut self.dice);
        let now = chain.head().await.unwrap().timestamp;
        let mut batch = Vec::new();
        for member in &mut self.members {
            let (None, Some(id)) = (member.next, member.subscription) else {
                continue;
            };
            let state = chain.subscription(module, id).await.unwrap();
            if state.status == CANCELLED {
                // A reorganisation took the newer one.
                member.subscription = None;
                member.next = Some((day + 1, Act::Subscribe));
                continue;
            }
            if state.nextChargeAt > now {
                continue;
            }
            let what = dice.random_range(0..100);
            if what >= 88 {
                self.touched.insert(member.user);
            }
            match what {
                0..88 => batch.push((module, id)),
                88..93 => {
                    chain.fail(module, id).await.unwrap();
                    member.next = Some((day + dice.random_range(1..7), Act::Pay));
                }
                93..96 => member.next = Some((day + dice.random_range(1..9), Act::Pay)),
                _ => {
                    chain.cancel(module, id).await.unwrap();
                    member.subscription = None;
                    member.next = Some((day + dice.random_range(3..40), Act::Subscribe));
                }
            }
        }
        if !batch.is_empty() {
            chain.execute_batch(&batch).await.unwrap();
        }
    }

    async fn surprise(&mut self, day: u64) {
        let index = self.dice.random_range(0..self.members.len());
        let (what, days) = (self.dice.random_range(0..6), self.dice.random_range(1..20));
        let (module, chain) = (self.module, &self.chain);
        let member = &mut self.members[index];
        let (None, Some(id)) = (member.next, member.subscription) else {
            return;
        };
        self.touched.insert(member.user);
        match what {
            0 => {
                drop(chain.pause(module, id).await);
                member.next = Some((day + days, Act::Resume));
            }
            1 => {
                drop(chain.block_subscriber(module, member.wallet).await);
                member.next = Some((day + days, Act::Unblock));
            }
            2 => {
                drop(chain.cancel(module, id).await);
                member.subscription = None;
                member.next = Some((day + days, Act::Subscribe));
            }
            3 | 4 if member.back_on.is_none() => {
                self.discord.remove_member(self.guild, member.user).unwrap();
                member.back_on = Some(day + days);
            }
            _ if member.back_on.is_none() && member.taken < MOST_TAKEN => {
                member.taken += 1;
                // Fails where the member does not hold it.
                drop(self.discord.take_role(self.guild, member.user, self.role));
            }
            _ => {}
        }
    }

    /// The chain changes its mind about some of this day's blocks.
    async fn reorganise(&mut self) {
        let head = self.chain.head().await.unwrap().number;
        let most = head.saturating_sub(self.settled_to + self.confirmations + 1);
        let depth = self.dice.random_range(1..=most.clamp(1, 6));
        self.chain.reorg_to_others(depth).await.unwrap();
        // Subscriptions of the replaced blocks are gone, and their numbers will be given to others.
        for member in &mut self.members {
            if member.subscription.is_some() {
                let newest = self.chain.newest_subscription(self.module, member.wallet);
                member.subscription = newest.await.unwrap();
                if member.subscription.is_none() {
                    member.next = Some((0, Act::Subscribe));
                }
            }
        }
    }
}
