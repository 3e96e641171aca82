//! The whole service in this process, between a real chain and the local Discord, for stories told end to end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::app::Timing;
use amser_roles::domain::{
    Gate, GateId, GateMatch, GateOrigin, GuildId, JournalEntry, Link, ModuleAddress, Outcome,
    PlanId, RoleAction, RoleId, Timestamp, UserId, Wallet,
};
use amser_roles::merchants::Merchants;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::sandbox::discord::{LocalDiscord, Route};
use amser_roles::store::{LinkOutcome, Store};

use super::scene::{TERMS, new_module, patient};
use super::service::Service;

/// Longer than anything here takes, so that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// Where nobody answers: tests ask no one outside of this machine.
const NO_API: &str = "http://127.0.0.1:9";

/// Somebody on the stage: a Discord user with a wallet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) wallet: Address,
}

/// What the service is told besides where things are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// The lines of `[policy]`.
    pub(crate) policy: &'static str,
    /// More lines of `[chain]`.
    pub(crate) chain: String,
    pub(crate) confirmations: u64,
    /// In place of the chain's own websocket.
    pub(crate) rpc_urls: Vec<String>,
    /// amser's API; `None`: nobody answers there.
    pub(crate) api_url: Option<String>,
    /// The waits; `None`: those of a real service.
    pub(crate) timing: Option<Timing>,
}

/// The parts. The service runs between `start` and `stop`.
pub(crate) struct Stage {
    pub(crate) chain: LocalChain,
    pub(crate) module: Address,
    pub(crate) plan: U256,
    pub(crate) discord: LocalDiscord,
    pub(crate) guild: GuildId,
    pub(crate) role: RoleId,
    pub(crate) store: Store,
    pub(crate) setting: Setting,
    marker: Option<(Person, RoleId)>,
    /// A wallet that has paid for the marker's plan and is moved from member to member.
    witness: Address,
    counter: AtomicU64,
    service: Option<Service>,
    /// What the service leaves beside its store.
    folder: tempfile::TempDir,
}

/// Waits until a condition holds that tells nobody when it begins to.
pub(crate) async fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server with the bot, and its roles below the bot's.
pub(crate) fn new_guild(
    discord: &LocalDiscord,
    name: &str,
    roles: &[&str],
) -> (GuildId, Vec<RoleId>) {
    let guild = discord.add_guild(name);
    let roles: Vec<_> = roles
        .iter()
        .map(|role| discord.add_role(guild, role).unwrap())
        .collect();
    let mut order = roles.clone();
    order.push(discord.bot_role(guild).unwrap());
    discord.set_role_order(guild, &order).unwrap();
    (guild, roles)
}

/// `config.toml` for these parts.
pub(crate) fn configuration(
    setting: &Setting,
    chain: &LocalChain,
    discord: &LocalDiscord,
    store: &str,
) -> String {
    let rpc_urls = match setting.rpc_urls.as_slice() {
        [] => vec![chain.ws_url()],
        urls => urls.to_vec(),
    };
    format!(
        "[chain]\nrpc_urls = {rpc_urls:?}\nchain_id = {}\nconfirmations = {}\n{}\n\
         [amser]\napi_url = {:?}\n\
         [discord]\napplication_id = \"{}\"\napi_url = {:?}\n\
         [web]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:1\"\n\
         [store]\npath = {store:?}\n[policy]\n{}\n",
        chain.chain_id,
        setting.confirmations,
        setting.chain,
        setting.api_url.as_deref().unwrap_or(NO_API),
        discord.options().application_id,
        discord.base_url(),
        setting.policy,
    )
}

impl Stage {
    /// The usual stage with its one gate, and the service running.
    pub(crate) async fn open() -> Self {
        Self::open_with(Setting::default()).await
    }

    /// The same under this setting.
    pub(crate) async fn open_with(setting: Setting) -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let mut stage = Self::build(chain, setting).await;
        stage.start();
        stage
    }

    /// Everything but the running service.
    pub(crate) async fn build(chain: LocalChain, setting: Setting) -> Self {
        let (module, plan) = new_module(&chain, "merchant").await;
        let discord = LocalDiscord::start(patient()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Stage", &["Subscriber", "Marker"]);
        let store = Store::in_memory().unwrap();
        store.bind_chain(chain.chain_id).unwrap();
        let mut stage = Self {
            chain,
            module,
            plan,
            discord,
            guild,
            role: roles[0],
            store,
            setting,
            marker: None,
            witness: wallet("the witness").address(),
            counter: AtomicU64::new(0),
            service: None,
            folder: tempfile::tempdir().unwrap(),
        };
        stage.gate(guild, module, &[plan], GateMatch::Any, &[roles[0]]);
        stage.add_marker(roles[1]).await;
        stage
    }

    async fn add_marker(&mut self, role: RoleId) {
        let marker = self.join("the marker").await;
        let terms = PlanTerms {
            interval: 100 * 365 * 24 * 3_600,
            ..TERMS
        };
        let plan = self.chain.create_plan(self.module, terms).await.unwrap();
        self.gate(self.guild, self.module, &[plan], GateMatch::Any, &[role]);
        self.pay_for(marker, self.module, plan).await;
        let witness = Person {
            wallet: self.witness,
            ..marker
        };
        self.pay_for(witness, self.module, plan).await;
        self.chain
            .block_subscriber(self.module, marker.wallet)
            .await
            .unwrap();
        self.marker = Some((marker, role));
    }

    /// Starts the service on the store as it is.
    pub(crate) fn start(&mut self) {
        let path = self.folder.path().join("stage.redb");
        let path = path.display().to_string();
        let config = configuration(&self.setting, &self.chain, &self.discord, &path);
        self.service = Some(Service::start_with(
            &config,
            &self.discord,
            self.store.clone(),
            self.setting.timing.unwrap_or_default(),
            |_| {},
        ));
    }

    /// Stops the service and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// What merchants may do with the running service.
    pub(crate) async fn merchants(&self) -> Merchants {
        self.service.as_ref().unwrap().merchants().await
    }

    /// Adds a gate; its id.
    pub(crate) fn gate(
        &self,
        guild: GuildId,
        module: Address,
        plans: &[U256],
        matching: GateMatch,
        roles: &[RoleId],
    ) -> GateId {
        let id = GateId(self.counter.fetch_add(1, Ordering::Relaxed) + 1);
        self.store
            .put_gate(&Gate {
                id,
                guild,
                module: ModuleAddress(module),
                plans: plans.iter().map(|plan| PlanId(*plan)).collect(),
                matching,
                roles: roles.iter().copied().collect::<BTreeSet<_>>(),
                origin: GateOrigin::Dashboard,
            })
            .unwrap();
        id
    }

    /// A new member of the server, without a link.
    pub(crate) fn newcomer(&self, name: &str) -> Person {
        let user = self.discord.add_user(name);
        self.discord.add_member(self.guild, user).unwrap();
        Person {
            user,
            wallet: wallet(name).address(),
        }
    }

    /// A new member of the server who has linked a wallet.
    pub(crate) async fn join(&self, name: &str) -> Person {
        let person = self.newcomer(name);
        assert_eq!(self.link(person.user, person.wallet), LinkOutcome::Linked);
        person
    }

    /// Links any wallet to any member.
    pub(crate) fn link(&self, user: UserId, wallet: Address) -> LinkOutcome {
        let link = Link {
            user,
            wallet: Wallet(wallet),
            linked_at: Timestamp(0),
            proof: None,
        };
        self.store.link(&link, 5).unwrap()
    }

    /// Subscribes to a plan and pays for the first window; the subscription.
    pub(crate) async fn pay_for(&self, person: Person, module: Address, plan: U256) -> U256 {
        self.chain.fund(person.wallet, 1_000).await.unwrap();
        let id = self
            .chain
            .subscribe(module, person.wallet, plan)
            .await
            .unwrap();
        assert_eq!(self.chain.execute(module, id).await.unwrap().reason, 0);
        id
    }

    /// The same for the stage's own plan.
    pub(crate) async fn pay(&self, person: Person) -> U256 {
        self.pay_for(person, self.module, self.plan).await
    }

    /// A new member who has linked, paid, and got the role.
    pub(crate) async fn subscriber(&self, name: &str) -> (Person, U256) {
        let person = self.join(name).await;
        let id = self.pay(person).await;
        self.until_role(person, true).await;
        (person, id)
    }

    /// Waits until the member holds the stage's role, or does not.
    pub(crate) async fn until_role(&self, person: Person, held: bool) {
        self.until(person, self.guild, self.role, held).await;
    }

    /// The same for any role.
    pub(crate) async fn until(&self, person: Person, guild: GuildId, role: RoleId, held: bool) {
        let what = if held {
            "the role is held"
        } else {
            "the role is gone"
        };
        let condition =
            move |discord: &LocalDiscord| discord.has_role(guild, person.user, role) == held;
        self.discord
            .wait_until(what, DEADLINE, condition)
            .await
            .unwrap();
    }

    /// Whether the member holds the stage's role now.
    pub(crate) fn has_role(&self, person: Person) -> bool {
        self.discord.has_role(self.guild, person.user, self.role)
    }

    /// Waits until everything that happened so far has had its effect: what happens to the marker after it is seen.
    pub(crate) async fn barrier(&self) {
        let (marker, role) = self.marker.unwrap();
        let unblock = self.chain.unblock_subscriber(self.module, marker.wallet);
        unblock.await.unwrap();
        self.confirm().await;
        self.until(marker, self.guild, role, true).await;
        let block = self.chain.block_subscriber(self.module, marker.wallet);
        block.await.unwrap();
        self.confirm().await;
        self.until(marker, self.guild, role, false).await;
    }

    /// The same without a block: waits until the newest block is stored, then watches a wallet move.
    pub(crate) async fn barrier_without_a_block(&self) {
        let head = self.chain.head().await.unwrap().number;
        let confirmed = head - self.setting.confirmations;
        let is_read = || {
            self.store
                .cursor()
                .unwrap()
                .is_some_and(|cursor| cursor.number >= confirmed)
        };
        wait("the newest block is stored", is_read).await;
        let (_, role) = self.marker.unwrap();
        let mut former: Option<Person> = None;
        for _ in 0..2 {
            let count = self.counter.fetch_add(1, Ordering::Relaxed);
            let witness = self.newcomer(&format!("witness {count}"));
            self.link(witness.user, self.witness);
            self.until(witness, self.guild, role, true).await;
            if let Some(former) = former {
                self.until(former, self.guild, role, false).await;
            }
            former = Some(witness);
        }
    }

    /// Puts as many blocks on top as it takes to count.
    pub(crate) async fn confirm(&self) {
        if self.setting.confirmations > 0 {
            self.chain.mine(self.setting.confirmations).await.unwrap();
        }
    }

    /// What was journaled about a member, oldest first.
    pub(crate) fn journal(&self, person: Person) -> Vec<JournalEntry> {
        let mut entries = self.store.journal(usize::MAX).unwrap();
        entries.retain(|entry| entry.change.user == person.user);
        entries.reverse();
        entries
    }

    /// Waits until the last line about a member says that this was done.
    pub(crate) async fn until_journaled(&self, person: Person, action: RoleAction) -> JournalEntry {
        let is_it =
            |entry: &JournalEntry| entry.change.action == action && entry.outcome == Outcome::Done;
        let last = || self.journal(person).pop().filter(is_it);
        wait("the change is journaled", || last().is_some()).await;
        last().unwrap()
    }

    /// How many requests to change roles have left.
    pub(crate) fn role_requests(&self) -> u64 {
        self.discord.count(Route::AddMemberRole) + self.discord.count(Route::RemoveMemberRole)
    }

    /// The local Discord's rules were kept.
    pub(crate) fn assert_no_violations(&self) {
        assert_eq!(self.discord.violations(), []);
    }
}
