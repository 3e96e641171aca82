//! A server with five members behind a node and an API that can both fail, and the oracle that reads the chain itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::config::Config;
use amser_roles::domain::{
    Gate, GateId, GateMatch, GateOrigin, GuildId, Link, ModuleAddress, PlanId, RoleAction, RoleId,
    Timestamp, UserId, Wallet,
};
use amser_roles::sandbox::amser_api::LocalApi;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;

use super::soon;
use crate::support::entitled::Entitled;
use crate::support::oracle;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{new_module, patient};
use crate::support::service::Service;
use crate::support::stage::{Setting, configuration, new_guild};

/// How long anything may take; only a fault reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often the newest blocks are read a second time.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A member and the subscription that they made last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) user: UserId,
    pub(super) wallet: Address,
    subscription: Option<U256>,
}

/// Who is there. Each story gives every one of them the same part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Pays, and pays again when it is due.
    Steady,
    /// Pays, and does not pay again.
    Lapses,
    /// Pays, and cancels.
    Cancels,
    /// Pays for the first time.
    Comes,
    /// Never pays.
    Stranger,
}

use Part::{Cancels, Comes, Lapses, Steady, Stranger};

const PARTS: [Part; 5] = [Steady, Lapses, Cancels, Comes, Stranger];

/// All of it. The service runs between `start` and `stop`.
pub(super) struct World {
    pub(super) chain: LocalChain,
    pub(super) proxy: RpcProxy,
    pub(super) api: LocalApi,
    pub(super) discord: LocalDiscord,
    pub(super) store: Store,
    pub(super) guild: GuildId,
    role: RoleId,
    module: Address,
    plan: U256,
    members: Vec<Member>,
    /// Who comes in later stories: one whose subscription an event ended is none of those whom the API's word lets in.
    comers: Vec<Member>,
    config: String,
    service: Option<Service>,
    _folder: tempfile::TempDir,
}

impl World {
    /// For so many stories.
    pub(super) async fn open(stories: usize) -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let proxy = RpcProxy::start(&chain).await;
        let api = LocalApi::of_chain(&chain).await.unwrap();
        let (module, plan) = new_module(&chain, "merchant").await;
        let discord = LocalDiscord::start(patient()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "World", &["Subscriber"]);
        let store = Store::in_memory().unwrap();
        store.bind_chain(chain.chain_id).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.redb").display().to_string();
        let setting = Setting {
            // The brake has stories of its own.
            policy: "max_revoke_floor = 1000",
            rpc_urls: vec![proxy.ws_url()],
            api_url: Some(api.base_url().to_owned()),
            ..Setting::default()
        };
        let config = configuration(&setting, &chain, &discord, &path);
        let gate = Gate {
            id: GateId(1),
            guild,
            module: ModuleAddress(module),
            plans: [PlanId(plan)].into(),
            matching: GateMatch::Any,
            roles: [roles[0]].into(),
            origin: GateOrigin::Dashboard,
        };
        store.put_gate(&gate).unwrap();
        let join = |name: &str| {
            let user = discord.add_user(name);
            discord.add_member(guild, user).unwrap();
            let wallet = wallet(name).address();
            let link = Link {
                user,
                wallet: Wallet(wallet),
                linked_at: Timestamp(0),
                proof: None,
            };
            store.link(&link, 5).unwrap();
            Member {
                user,
                wallet,
                subscription: None,
            }
        };
        let members = PARTS.map(|part| join(&format!("{part:?}"))).into();
        let comers = (0..stories).map(|number| join(&format!("comer {number}")));
        let comers = comers.collect();
        let mut world = Self {
            chain,
            proxy,
            api,
            discord,
            store,
            guild,
            role: roles[0],
            module,
            plan,
            members,
            comers,
            config,
            service: None,
            _folder: folder,
        };
        world.start();
        world
    }

    pub(super) fn start(&mut self) {
        let store = self.store.clone();
        let look_soon = |config: &mut Config| config.chain.second_look_every = SECOND_LOOK;
        let (config, discord) = (&self.config, &self.discord);
        let service = Service::start_with(config, discord, store, soon(), look_soon);
        self.service = Some(service);
    }

    pub(super) async fn stop(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    pub(super) fn member(&self, part: Part) -> Member {
        self.members[part as usize]
    }

    pub(super) fn has_role(&self, part: Part) -> bool {
        let user = self.member(part).user;
        self.discord.has_role(self.guild, user, self.role)
    }

    async fn subscribe(&mut self, part: Part) {
        let member = self.member(part);
        self.chain.fund(member.wallet, 1_000).await.unwrap();
        let subscribed = self.chain.subscribe(self.module, member.wallet, self.plan);
        let id = subscribed.await.unwrap();
        assert_eq!(self.chain.execute(self.module, id).await.unwrap().reason, 0);
        self.members[part as usize].subscription = Some(id);
    }

    async fn cancel(&mut self, part: Part) {
        if let Some(id) = self.members[part as usize].subscription.take() {
            self.chain.cancel(self.module, id).await.unwrap();
        }
    }

    /// Everyone is where the story begins, with a subscription that begins now, or none.
    pub(super) async fn begin(&mut self, story: &str) {
        for part in PARTS {
            self.cancel(part).await;
        }
        self.members[Comes as usize] = self.comers.pop().expect("one for each story");
        // Step by step, so that nothing of it is still to come when the story begins.
        self.until_at_rest(story).await;
        for part in [Steady, Lapses, Cancels] {
            self.subscribe(part).await;
        }
        self.until_at_rest(story).await;
    }

    /// What the story tells.
    pub(super) async fn happen(&mut self) {
        let id = |world: &Self, part| world.member(part).subscription.unwrap();
        let renewed = self.chain.pay_when_due(self.module, id(self, Steady));
        renewed.await.unwrap();
        let lapsed = self.chain.let_lapse(self.module, id(self, Lapses));
        lapsed.await.unwrap();
        self.cancel(Cancels).await;
        self.subscribe(Comes).await;
    }

    /// Who deserves the role by the newest block, as PROTOCOL.md says it.
    async fn deserving(&self) -> BTreeSet<UserId> {
        let head = self.chain.head().await.unwrap();
        let modules = BTreeMap::from([(ModuleAddress(self.module), self.chain.processor)]);
        let mut entitled = Entitled::default();
        for event in oracle::events(&self.chain, &modules, head.number).await {
            entitled.read(&event);
        }
        let links = self.members.iter().map(|one| (one.wallet, one.user));
        entitled.members(self.module, &links.collect(), head.timestamp)
    }

    /// Waits until exactly those hold the role who deserve it.
    pub(super) async fn until_at_rest(&self, story: &str) {
        let expected = self.deserving().await;
        let (guild, role) = (self.guild, self.role);
        let wanted = expected.clone();
        let is_so = move |discord: &LocalDiscord| discord.members_with(guild, role) == wanted;
        let waited = self
            .discord
            .wait_until("all roles are right", DEADLINE, is_so);
        let waited = waited.await;
        let holding = self.discord.members_with(guild, role);
        assert!(
            waited.is_ok(),
            "{story}: {:?} hold the role, {:?} deserve it",
            self.names(&holding),
            self.names(&expected)
        );
    }

    /// Waits until something holds that nobody tells.
    pub(super) async fn until(&self, story: &str, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !holds(self) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{story}: waited in vain until {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many lines the journal has.
    pub(super) fn lines(&self) -> usize {
        self.store.journal(usize::MAX).unwrap().len()
    }

    /// Of whom the role was taken since the journal had so many lines.
    pub(super) fn taken_since(&self, lines: usize) -> Vec<Part> {
        let mut entries = self.store.journal(usize::MAX).unwrap();
        let new = entries.len() - lines;
        entries.truncate(new);
        let taken = |part: &Part| {
            let user = self.member(*part).user;
            let mut entries = entries.iter().map(|entry| &entry.change);
            entries.any(|change| change.user == user && change.action == RoleAction::Revoke)
        };
        PARTS.into_iter().filter(taken).collect()
    }

    fn names(&self, users: &BTreeSet<UserId>) -> Vec<Part> {
        let is_one = |part: &Part| users.contains(&self.member(*part).user);
        PARTS.into_iter().filter(is_one).collect()
    }
}
