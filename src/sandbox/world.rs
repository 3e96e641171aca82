//! A small world to play in: a chain with one merchant and one plan, a server with a few members, and the service's
//! configuration between them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::chain::{self, ChainOptions, LocalChain, PlanTerms};
use super::discord::{LocalDiscord, Options};
use crate::app;
use crate::config::{Config, Secrets};
use crate::domain::{GuildId, Link, RoleId, Timestamp, UserId, Wallet};
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
/// The sandbox's plan: a day's interval and two hours of grace, so that the buttons' jumps in time have something to
/// jump over.
const TERMS: PlanTerms = PlanTerms {
    price: 5_000_000,
    interval: 24 * 3_600,
    grace_period: 2 * 3_600,
};
/// The members of the sandbox's server.
const PEOPLE: [&str; 4] = ["ada", "grace", "linus", "margaret"];

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
    /// The members, by name in the order of `PEOPLE`.
    pub members: Vec<UserId>,
    /// The service's store.
    pub store: Store,
    config: Config,
    secrets: Secrets,
    web: Mutex<Option<TcpListener>>,
    pace: Pace,
    /// Newest subscription of each member.
    subscriptions: Mutex<BTreeMap<UserId, U256>>,
    /// Removed at the end.
    _folder: Folder,
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
        let web = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let public_url = format!("http://{}", web.local_addr()?);
        let chain = LocalChain::start(ChainOptions::default()).await?;
        let module = chain
            .deploy_module(chain::wallet("merchant").address())
            .await?;
        let plan = chain.create_plan(module, TERMS).await?;
        let options = Options {
            redirect_uris: vec![format!("{public_url}/oauth/callback")],
            ..Options::default()
        };
        let discord = LocalDiscord::serve(listener, options.clone())?;
        let guild = discord.add_guild("The Sandbox");
        let role = discord.add_role(guild, "Subscriber")?;
        let bot_role = discord.bot_role(guild).context("the bot has a role")?;
        discord.set_role_order(guild, &[role, bot_role])?;
        let mut members = Vec::new();
        for name in PEOPLE {
            let user = discord.add_user(name);
            discord.add_member(guild, user)?;
            members.push(user);
        }
        let folder = Folder(
            std::env::temp_dir().join(format!("amser-roles-sandbox-{}", rand::random::<u64>())),
        );
        let store_path = folder.0.join("sandbox.redb");
        let text = format!(
            "[chain]\nrpc_urls = [{:?}]\nchain_id = {}\nconfirmations = {CONFIRMATIONS}\n\
             [amser]\ncheckout_url = \"{}?module={{module}}&plan={{plan_id}}\"\n\
             [discord]\napplication_id = \"{}\"\napi_url = {:?}\n\
             [web]\npublic_url = {public_url:?}\nrate_limit_per_minute = 6000\n[store]\npath = {:?}\n\
             [[gates]]\nguild_id = \"{guild}\"\nmodule = \"{module}\"\nplan_ids = [{plan}]\nrole_ids = [\"{role}\"]\n",
            chain.ws_url(),
            chain.chain_id,
            discord.base_url(),
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
            members,
            store,
            config,
            secrets,
            web: Mutex::new(Some(web)),
            pace,
            subscriptions: Mutex::default(),
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
        let web = self
            .web
            .lock()
            .expect("no holder of this lock can panic")
            .take();
        let (config, secrets, store) = (
            self.config.clone(),
            self.secrets.clone(),
            self.store.clone(),
        );
        async move {
            let web = web.context("a world is served once")?;
            app::serve(config, secrets, store, web, stop).await
        }
    }

    /// Where the service's own pages are.
    pub fn public_url(&self) -> &url::Url {
        &self.config.web.public_url
    }

    /// A member's wallet: the same key every time.
    pub fn wallet(&self, user: UserId) -> PrivateKeySigner {
        chain::wallet(&format!("member {user}"))
    }

    /// A member's newest subscription.
    ///
    /// # Errors
    /// When there is none; the sentence says what to do.
    pub fn subscription(&self, user: UserId) -> anyhow::Result<U256> {
        let subscriptions = self
            .subscriptions
            .lock()
            .expect("no holder of this lock can panic");
        let found = subscriptions.get(&user).copied();
        found.context("there is no subscription yet; subscribe first")
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
            linked_at: Timestamp(self.chain.head().await?.timestamp),
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
        let wallet = self.wallet(user).address();
        self.chain.fund(wallet, TERMS.price * 1_000).await?;
        let id = self.chain.subscribe(self.module, wallet, self.plan).await?;
        self.subscriptions
            .lock()
            .expect("no holder of this lock can panic")
            .insert(user, id);
        Ok(id)
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
