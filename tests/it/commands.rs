//! Slash commands and buttons, typed by members of the local Discord, over the real store and roles' loop.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod approve;
mod bot;
mod busy;
mod direct;
mod fresh;
mod grant;
mod log;
mod manager;
mod member;
mod menu;
mod moved;
mod privacy;
mod registration;
mod setup;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use amser_roles::commands::Services;
use amser_roles::domain::{
    Batch, ChainEvent, ChainStatus, Checkpoint, Coverage, DiscordStatus, EventKind, Gate, GateId,
    GateMatch, GateOrigin, GuildId, Link, ModuleAddress, PlanId, Position, Question, ReadingState,
    RoleId, SubscriptionId, Timestamp, UserId, Wallet,
};
use amser_roles::sandbox::discord::{LocalDiscord, Reply};
use amser_roles::store::{Challenge, RequestState, Store, Usable};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::support::scene::patient;
use bot::{Bot, start};

/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(40);
const PUBLIC_URL: &str = "https://roles.example";
/// The chain's time at block 0; every block takes ten seconds.
const GENESIS: u64 = 1_700_000_000;

/// Two servers with a paid role each, a member of both, and the program's Discord side with its commands.
struct Story {
    local: LocalDiscord,
    club: GuildId,
    pub_: GuildId,
    paid: RoleId,
    user: UserId,
    store: Store,
    bot: Bot,
    chain: watch::Sender<ChainStatus>,
    block: u64,
    /// Held by a test that wants links to take long.
    slow: Arc<Mutex<()>>,
    per_minute: u32,
}

fn module() -> ModuleAddress {
    ModuleAddress(Address::repeat_byte(0xaa))
}

fn wallet(n: u8) -> Wallet {
    Wallet(Address::repeat_byte(n))
}

fn checkpoint(number: u64) -> Checkpoint {
    Checkpoint {
        number,
        hash: B256::from(U256::from(number + 1)),
        timestamp: Timestamp(GENESIS + number * 10),
    }
}

fn event(block: u64, log_index: u32, kind: EventKind) -> ChainEvent {
    ChainEvent {
        module: module(),
        position: Position { block, log_index },
        transaction: B256::from(U256::from(block * 1_000 + u64::from(log_index))),
        timestamp: Some(checkpoint(block).timestamp),
        kind,
    }
}

fn created(id: u64, subscriber: Wallet) -> EventKind {
    EventKind::SubscriptionCreated {
        subscription: SubscriptionId::from(id),
        subscriber,
        plan: PlanId::from(1),
        execution_budget: U256::from(12),
        allowance_expiry: U256::from(u64::MAX),
    }
}

fn executed(id: u64, at: Timestamp) -> EventKind {
    EventKind::ExecutionExecuted {
        subscription: SubscriptionId::from(id),
        payer: Address::ZERO,
        amount: U256::from(5),
        execution_time: at,
    }
}

fn gate(id: u64, guild: GuildId, role: RoleId) -> Gate {
    Gate {
        id: GateId(id),
        guild,
        module: module(),
        plans: BTreeSet::from([PlanId::from(1)]),
        matching: GateMatch::Any,
        roles: BTreeSet::from([role]),
        origin: GateOrigin::Config,
    }
}

impl Story {
    async fn begin() -> Self {
        Self::begin_limited(10_000).await
    }

    /// Where each member may use so many commands a minute.
    async fn begin_limited(per_minute: u32) -> Self {
        let local = LocalDiscord::start(patient()).await.unwrap();
        let (club, pub_) = (local.add_guild("Club *7*"), local.add_guild("Pub"));
        let user = local.add_user("ada");
        let mut gates = Vec::new();
        for (id, guild) in [(1, club), (2, pub_)] {
            let role = local.add_role(guild, "Supporter").unwrap();
            let order = [role, local.bot_role(guild).unwrap()];
            local.set_role_order(guild, &order).unwrap();
            local.add_member(guild, user).unwrap();
            gates.push(gate(id, guild, role));
        }
        let paid = *gates[0].roles.first().unwrap();
        let store = Store::in_memory().unwrap();
        store.add_module(module(), 0, Address::ZERO).unwrap();
        store
            .set_config(&gates, &Default::default(), Timestamp(0))
            .unwrap();
        let (chain, chain_seen) = watch::channel(ChainStatus::default());
        let slow = Arc::new(Mutex::new(()));
        let bot = start(&local, &store, &chain_seen, &slow, per_minute, |_| {});
        let mut story = Self {
            local,
            club,
            pub_,
            paid,
            user,
            store,
            bot,
            chain,
            block: 0,
            slow,
            per_minute,
        };
        let plan = EventKind::PlanCreated {
            plan: PlanId::from(1),
            token: Address::ZERO,
            price: U256::from(5),
            interval: 1_000,
            grace_period: 500,
        };
        story.mine(vec![plan]);
        let registered = |local: &LocalDiscord| local.commands(None).len() == 9;
        story
            .local
            .wait_until("the commands are registered", DEADLINE, registered)
            .await
            .unwrap();
        story.ready().await;
        story
    }

    /// One confirmed block with these events.
    fn mine(&mut self, kinds: Vec<EventKind>) {
        self.block += 1;
        let events = kinds.into_iter().zip(0..);
        let events = events.map(|(kind, index)| event(self.block, index, kind));
        let to = checkpoint(self.block);
        let coverage = Coverage::Cursor {
            joined: vec![module()],
            left: Vec::new(),
        };
        self.store
            .ingest(Batch {
                events: events.collect(),
                headers: vec![to],
                ..Batch::new(to, coverage)
            })
            .unwrap();
        self.chain.send_replace(ChainStatus {
            head: Some(to),
            confirmed: Some(to),
            at_tip: true,
            ..ChainStatus::default()
        });
    }

    /// A wallet subscribes and pays.
    fn pay(&mut self, id: u64, wallet: Wallet) {
        let at = checkpoint(self.block + 1).timestamp;
        self.mine(vec![created(id, wallet), executed(id, at)]);
    }

    fn link(&self, user: UserId, wallet: Wallet) {
        let link = Link {
            user,
            wallet,
            linked_at: Timestamp(GENESIS),
            proof: Some(("the signed text".to_owned(), vec![0xab; 65])),
        };
        self.store.link(&link, 5).unwrap();
    }

    /// The member opened a link in the second server and asked for texts to sign, one after the other.
    fn ask_to_sign(&self, nonces: &[&str]) {
        let (request, now) = ([7; 32], Timestamp(GENESIS));
        let expires_at = now.plus(600);
        let opened = self
            .store
            .open_request(&request, self.user, self.pub_, expires_at);
        opened.unwrap();
        for nonce in nonces {
            let challenge = Challenge {
                request,
                user: self.user,
                nonce: (*nonce).to_owned(),
                wallet: wallet(1),
                message: format!("text {nonce}"),
                expires_at,
                state: RequestState::Open,
            };
            let put = self.store.put_challenge(&challenge, now).unwrap();
            assert_eq!(put, Usable::Yes);
        }
    }

    /// The member types a command in the first server.
    async fn run(&self, name: &str, options: &[(&str, Value)]) -> Reply {
        self.run_as(self.club, self.user, name, options).await
    }

    async fn run_as(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        name: &str,
        options: &[(&str, Value)],
    ) -> Reply {
        let reply = self.local.run_command(guild, user, name, options).await;
        private(reply.unwrap())
    }

    async fn press(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        reply: &Reply,
        label: &str,
    ) -> Reply {
        let messages = std::iter::once(&reply.message).chain(&reply.followups);
        let mut buttons = messages.flat_map(|message| {
            let ids = message.buttons.iter().map(|button| (message.id, button));
            ids.collect::<Vec<_>>()
        });
        let (message, button) = buttons.find(|(_, button)| button.label == label).unwrap();
        let id = button.custom_id.as_deref().unwrap();
        let pressed = self.local.click_button(guild, user, message, id).await;
        private(pressed.unwrap())
    }

    /// Asks until the answer says this: what Discord shows is known here a moment later.
    async fn until_says(
        &self,
        guild: GuildId,
        user: UserId,
        (name, options): (&str, &[(&str, Value)]),
        words: &str,
    ) -> String {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let text = self.run_as(guild, user, name, options).await.text();
            if text.contains(words) {
                return text;
            }
            assert!(tokio::time::Instant::now() < deadline, "{words}? {text}");
        }
    }

    async fn until_role(&self, guild: GuildId, role: RoleId, held: bool) {
        let user = self.user;
        let reached = |local: &LocalDiscord| local.has_role(guild, user, role) == held;
        self.local
            .wait_until("the role is as expected", DEADLINE, reached)
            .await
            .unwrap();
    }

    /// The role in a server.
    fn role(&self, guild: GuildId) -> RoleId {
        let gates = self.store.gates().unwrap();
        let gate = gates.iter().find(|gate| gate.guild == guild).unwrap();
        *gate.roles.first().unwrap()
    }

    /// The program ends, and begins again on the same store.
    async fn restart(&mut self) {
        self.restart_with(|_| {}).await;
    }

    /// As [`Self::restart`], with other things for the commands to work with.
    async fn restart_with(&mut self, adapt: impl FnOnce(&mut Services)) {
        self.bot.end().await;
        self.start_with(adapt).await;
    }

    /// As [`Self::restart`]; where the roles' loop is asked.
    async fn restart_to_ask(&mut self) -> mpsc::Sender<Question> {
        let mut questions = None;
        self.restart_with(|services| questions = Some(services.questions.clone()))
            .await;
        questions.unwrap()
    }

    /// The program begins again after its stop.
    async fn start_again(&mut self) {
        self.start_with(|_| {}).await;
    }

    async fn start_with(&mut self, adapt: impl FnOnce(&mut Services)) {
        self.bot = start(
            &self.local,
            &self.store,
            &self.chain.subscribe(),
            &self.slow,
            self.per_minute,
            adapt,
        );
        self.ready().await;
    }

    /// The gateway is connected and both servers were read.
    async fn ready(&self) {
        let mut status = self.bot.status.clone();
        let ready = async {
            let is_read = |status: &DiscordStatus| {
                let mut servers = status.servers.values();
                status.servers.len() == 2
                    && servers.all(|server| server.reading == ReadingState::Done)
            };
            let ready = status.wait_for(|status| status.connected && is_read(status));
            ready.await.unwrap();
        };
        tokio::time::timeout(DEADLINE, ready).await.unwrap();
    }

    /// Discord has no complaint.
    fn end(self) {
        assert_eq!(self.local.violations(), []);
    }
}

/// Every answer is for one pair of eyes.
fn private(reply: Reply) -> Reply {
    let all = std::iter::once(&reply.message).chain(&reply.followups);
    assert!(all.clone().all(|message| message.ephemeral), "{reply:?}");
    reply
}
