//! A small world to play in: a chain with one merchant and one plan, a server with a few members, and the service's
//! configuration between them.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::amser_api::{self, LocalApi};
use super::chain::{self, ChainOptions, LocalChain, PlanTerms};
use super::discord::{LocalDiscord, Options};
use super::front;
use super::page::plan_names;
use crate::app;
use crate::clock::machine_time;
use crate::config::{Config, Secrets};
use crate::domain::{GuildId, Link, RoleId, UserId, Wallet};
use crate::store::{LinkOutcome, Store};

/// When the local chain makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At each transaction.
    OnDemand,
    /// Every two seconds, as Base does.
    EveryTwoSeconds,
}

/// Blocks on top of an event's block before it counts, in the sandbox.
pub const CONFIRMATIONS: u64 = 2;
/// Where an installation listens that `init` set up against the sandbox.
pub(super) const OWN_INSTALLATION: &str = "http://127.0.0.1:8787";
/// The sandbox's plan: a day's interval and two hours of grace, so that the buttons' jumps in time have something to
/// jump over.
const TERMS: PlanTerms = PlanTerms {
    price: 5_000_000,
    interval: 24 * 3_600,
    grace_period: 2 * 3_600,
};
/// What amser's API would call it.
pub const PLAN_NAME: &str = "Gold";
/// The members of the sandbox's servers.
const PEOPLE: [&str; 4] = ["ada", "grace", "linus", "margaret"];
/// The merchant, who owns the servers and the plan.
const MERCHANT: &str = "mona";

/// The parts, running.
#[derive(Debug)]
pub struct World {
    /// The chain with the protocol.
    pub chain: LocalChain,
    /// The merchant's module.
    pub module: Address,
    /// Its plan.
    pub plan: U256,
    /// Discord.
    pub discord: LocalDiscord,
    /// The merchant's server.
    pub guild: GuildId,
    /// The role that the plan opens.
    pub role: RoleId,
    /// The merchant: owns the servers, and the module by the wallet.
    pub merchant: UserId,
    /// Another server of the merchant's, which the bot is not in.
    pub club: GuildId,
    /// The members, by name in the order of `PEOPLE`.
    pub members: Vec<UserId>,
    /// amser's API, which says what the chain says.
    pub api: LocalApi,
    /// The service's store.
    pub store: Store,
    config: Config,
    secrets: Secrets,
    listeners: Mutex<Option<Listeners>>,
    pace: Pace,
    /// Removed at the end.
    _folder: Folder,
}

/// Where the service listens, and where browsers reach it: through [`front`].
#[derive(Debug)]
struct Listeners {
    service: TcpListener,
    front: TcpListener,
}

/// A temporary folder that goes with its owner.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // The system cleans its temporary folder up if this cannot.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

impl World {
    /// Starts the chain and the Discord (on `listener`), and prepares the service.
    ///
    /// # Errors
    /// When anvil is missing or something cannot start.
    pub async fn build(listener: TcpListener, pace: Pace) -> anyhow::Result<Self> {
        let free = || TcpListener::bind("127.0.0.1:0");
        let service = free().await.context("no free port")?;
        let front = free().await.context("no free port")?;
        let public_url = format!("http://{}", front.local_addr()?);
        let chain = LocalChain::start(ChainOptions::default()).await?;
        let module = chain
            .deploy_module(chain::wallet("merchant").address())
            .await?;
        let plan = chain.create_plan(module, TERMS).await?;
        // Whoever is quick must not find a merchant whose plan is not confirmed yet.
        chain.mine(CONFIRMATIONS).await?;
        let options = Options {
            redirect_uris: [public_url.as_str(), OWN_INSTALLATION]
                .map(|origin| format!("{origin}/oauth/callback"))
                .to_vec(),
            ..Options::default()
        };
        let discord = LocalDiscord::serve(listener, options.clone())?;
        let truth = amser_api::of_chain(&chain);
        let api = LocalApi::start(truth, plan_names(discord.clone())).await?;
        let merchant = discord.add_user(MERCHANT);
        let guild = discord.add_guild("The Sandbox");
        discord.set_owner(guild, merchant)?;
        let role = discord.add_role(guild, "Subscriber")?;
        let bot_role = discord.bot_role(guild).context("the bot has a role")?;
        discord.set_role_order(guild, &[role, bot_role])?;
        let mut members = Vec::new();
        for name in PEOPLE {
            let user = discord.add_user(name);
            discord.add_member(guild, user)?;
            members.push(user);
        }
        let club = discord.add_guild("Mona's Club");
        discord.kick_bot(club)?;
        discord.set_owner(club, merchant)?;
        for user in &members {
            discord.add_member(club, *user)?;
        }
        let folder = Folder(
            std::env::temp_dir().join(format!("amser-roles-sandbox-{}", rand::random::<u64>())),
        );
        let store_path = folder.0.join("sandbox.redb");
        let text = format!(
            "[chain]\nrpc_urls = [{:?}]\nchain_id = {}\nconfirmations = {CONFIRMATIONS}\n\
             [amser]\napi_url = {:?}\ncheckout_url = \"{}/checkout?module={{module}}&plan={{plan_id}}\"\nfactory = \"{}\"\n\
             [discord]\napplication_id = \"{}\"\napi_url = {:?}\n\
             [web]\npublic_url = {public_url:?}\nrate_limit_per_minute = 6000\n[store]\npath = {:?}\n\
             [[gates]]\nguild_id = \"{guild}\"\nmodule = \"{module}\"\nplan_ids = [{plan}]\nrole_ids = [\"{role}\"]\n",
            chain.ws_url(),
            chain.chain_id,
            api.base_url(),
            discord.base_url(),
            chain.factory,
            options.application_id,
            discord.base_url(),
            store_path.display().to_string(),
        );
        let config = Config::parse(&text, "the sandbox's configuration", [])?;
        let secrets = Secrets {
            discord_token: Some(options.token.into()),
            discord_client_secret: Some(options.client_secret.into()),
            ..Secrets::default()
        };
        let store = app::open_store(&config).await?;
        if pace == Pace::EveryTwoSeconds {
            chain.set_block_time(2).await?;
        }
        Ok(Self {
            chain,
            module,
            plan,
            discord,
            guild,
            role,
            merchant,
            club,
            members,
            store,
            config,
            secrets,
            listeners: Mutex::new(Some(Listeners { service, front })),
            pace,
            api,
            _folder: folder,
        })
    }

    /// Runs the service in this world until `stop`.
    ///
    /// # Errors
    /// As [`app::serve`].
    pub fn serve(
        &self,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        let listeners = self
            .listeners
            .lock()
            .expect("no holder of this lock can panic")
            .take();
        let (config, secrets, store) = (
            self.config.clone(),
            self.secrets.clone(),
            self.store.clone(),
        );
        let (discord, merchant) = (self.discord.clone(), self.merchant);
        let chain_id = self.chain.chain_id;
        async move {
            let Listeners { service, front } = listeners.context("a world is served once")?;
            let router = front::router(service.local_addr()?, discord, merchant, chain_id);
            let in_front = front::serve(front, router, stop.clone());
            let (served, fronted) = tokio::join!(
                app::serve(config, secrets, store, service, stop.clone()),
                in_front
            );
            served.and(fronted)
        }
    }

    /// Where the service's own pages are.
    pub fn public_url(&self) -> &url::Url {
        &self.config.web.public_url
    }

    /// A user's wallet: the same key every time; the merchant's is the one that owns the module.
    pub fn wallet(&self, user: UserId) -> PrivateKeySigner {
        front::wallet(user, self.merchant)
    }

    /// The account that a user acts with on the chain: the wallet that was linked last, whoever holds its key, else the
    /// sandbox's wallet of theirs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn account(&self, user: UserId) -> anyhow::Result<Address> {
        let store = self.store.clone();
        let links = tokio::task::spawn_blocking(move || store.links_of(user)).await??;
        let last = links.into_iter().max_by_key(|link| link.linked_at);
        Ok(last.map_or_else(|| self.wallet(user).address(), |link| link.wallet.0))
    }

    /// A user's newest subscription to a plan of the merchant's module, and whose it is.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn subscription(&self, user: UserId) -> anyhow::Result<Option<U256>> {
        let account = self.account(user).await?;
        self.chain.newest_subscription(self.module, account).await
    }

    /// Links a member's wallet without a signature, as only the sandbox may.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn link(&self, user: UserId) -> anyhow::Result<LinkOutcome> {
        let store = self.store.clone();
        let link = Link {
            user,
            wallet: Wallet(self.wallet(user).address()),
            linked_at: machine_time(),
            proof: None,
        };
        let limit = self.config.web.links_per_member;
        tokio::task::spawn_blocking(move || store.link(&link, limit)).await?
    }

    /// Subscribes a member to the plan, with tokens for years.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn subscribe(&self, user: UserId) -> anyhow::Result<U256> {
        self.subscribe_to(user, self.module, self.plan).await
    }

    /// Subscribes a member to any plan of this chain.
    ///
    /// # Errors
    /// When the contract refuses.
    pub async fn subscribe_to(
        &self,
        user: UserId,
        module: Address,
        plan: U256,
    ) -> anyhow::Result<U256> {
        let wallet = self.account(user).await?;
        self.chain.fund(wallet, TERMS.price * 1_000).await?;
        self.chain.subscribe(module, wallet, plan).await
    }

    /// Puts enough blocks on top for what happened to count, where blocks do not come by themselves.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn confirm(&self) -> anyhow::Result<()> {
        if self.pace == Pace::OnDemand {
            self.chain.mine(CONFIRMATIONS).await?;
        }
        Ok(())
    }

    /// Waits until a member holds the role, or does not.
    ///
    /// # Errors
    /// When it takes longer than `deadline`.
    pub async fn wait_for_role(
        &self,
        user: UserId,
        held: bool,
        deadline: Duration,
    ) -> anyhow::Result<()> {
        let what = if held {
            "the role is granted"
        } else {
            "the role is revoked"
        };
        let (guild, role) = (self.guild, self.role);
        let condition = move |discord: &LocalDiscord| discord.has_role(guild, user, role) == held;
        self.discord.wait_until(what, deadline, condition).await
    }
}
