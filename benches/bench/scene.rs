//! What the whole service is measured on: a real anvil, the local Discord, and members.

use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use amser_roles::app;
use amser_roles::config::{Config, Secrets};
use amser_roles::domain::{GuildId, Link, RoleId, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::{self, ChainOptions, LocalChain, PlanTerms};
use amser_roles::sandbox::discord::{LocalDiscord, Options, RateLimits};
use amser_roles::store::Store;
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(120);

/// What differs between the scenes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup {
    /// Subscribers in the server who have not paid.
    pub(crate) members: usize,
    /// Whether their wallets are linked.
    pub(crate) linked: bool,
    /// Others in the server, each with a linked wallet that never subscribed.
    pub(crate) others: u64,
    pub(crate) confirmations: u64,
    /// Whether the subscribers have paid before the service starts.
    pub(crate) paid: bool,
    /// Members of the server who never linked anything.
    pub(crate) crowd: u64,
    /// Whether Discord's own rate limits hold.
    pub(crate) realistic: bool,
}

/// The service on a chain of its own, with the local Discord.
pub(crate) struct Scene {
    pub(crate) chain: LocalChain,
    pub(crate) module: Address,
    pub(crate) discord: LocalDiscord,
    pub(crate) guild: GuildId,
    pub(crate) role: RoleId,
    /// When the service was started.
    pub(crate) started: Instant,
    pub(crate) members: Vec<(UserId, U256)>,
    pub(crate) store: Store,
    stop: CancellationToken,
    service: Option<JoinHandle<anyhow::Result<()>>>,
    config: Config,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) async fn build(
        setup: Setup,
        rpc_url: impl FnOnce(&LocalChain) -> String,
    ) -> anyhow::Result<Self> {
        let Setup {
            members,
            linked,
            others,
            confirmations,
            paid,
            crowd,
            realistic,
        } = setup;
        let chain = LocalChain::start(ChainOptions::default()).await?;
        let module = chain
            .deploy_module(chain::wallet("merchant").address())
            .await?;
        let terms = PlanTerms {
            price: 1_000,
            interval: 30 * 86_400,
            grace_period: 0,
        };
        let plan = chain.create_plan(module, terms).await?;
        let mut options = Options::default();
        if realistic {
            options.rate_limits = RateLimits::realistic();
        }
        let (token, application) = (options.token.clone(), options.application_id);
        let discord = LocalDiscord::start(options).await?;
        let guild = discord.add_guild("Bench");
        let role = discord.add_role(guild, "Subscriber")?;
        discord.set_role_order(
            guild,
            &[role, discord.bot_role(guild).context("the bot's role")?],
        )?;
        let folder = tempfile::tempdir()?;
        let web = TcpListener::bind("127.0.0.1:0").await?;
        let text = format!(
            "[chain]\nrpc_urls = [{:?}]\nchain_id = {}\nconfirmations = {confirmations}\n\
             [amser]\napi_url = \"http://127.0.0.1:9\"\n\
             [discord]\napplication_id = \"{application}\"\napi_url = {:?}\n\
             [web]\npublic_url = \"http://{}\"\n[store]\npath = {:?}\n[[gates]]\nguild_id = \"{guild}\"\n\
             module = \"{module}\"\nplan_ids = [{plan}]\nrole_ids = [\"{role}\"]\n",
            rpc_url(&chain),
            chain.chain_id,
            discord.base_url(),
            web.local_addr()?,
            folder.path().join("bench.redb").display().to_string(),
        );
        let config = Config::parse(&text, "the benchmark's configuration", [])?;
        let store = app::open_store(&config).await?;
        let mut people = Vec::new();
        for user in discord.add_members(guild, members as u64)? {
            let wallet = link_of(user).wallet.0;
            chain.fund(wallet, 1_000_000).await?;
            let subscription = chain.subscribe(module, wallet, plan).await?;
            if paid {
                chain.execute(module, subscription).await?;
            }
            people.push((user, subscription));
            if linked {
                store.link(&link_of(user), 1)?;
            }
        }
        discord.add_members(guild, crowd)?;
        let strangers = discord.add_members(guild, others)?.into_iter();
        store.link_all(&strangers.map(link_of).collect::<Vec<_>>(), 1)?;
        let secrets = Secrets {
            discord_token: Some(token.into()),
            discord_client_secret: Some("nobody signs in".to_owned().into()),
            ..Secrets::default()
        };
        let (stop, started) = (CancellationToken::new(), Instant::now());
        let service = tokio::spawn(app::serve(
            config.clone(),
            secrets,
            store.clone(),
            web,
            stop.clone(),
        ));
        let scene = Self {
            chain,
            module,
            discord,
            guild,
            role,
            started,
            members: people,
            store,
            stop,
            service: Some(service),
            config,
            folder,
        };
        if confirmations > 0 {
            scene.chain.mine(confirmations).await?;
        }
        Ok(scene)
    }

    /// Where the store is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the pages are.
    pub(crate) fn public_url(&self) -> &url::Url {
        &self.config.web.public_url
    }

    /// Waits until the service follows the tip and is connected.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let url = self.config.web.public_url.join("readyz")?;
        let asked = async {
            while !reqwest::get(url.clone())
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, asked)
            .await
            .context("the service is not ready in time")
    }

    /// Milliseconds from `started` to the arrival of the member's role request.
    pub(crate) async fn request_after(
        &self,
        user: UserId,
        started: Instant,
    ) -> anyhow::Result<f64> {
        let (guild, role) = (self.guild, self.role);
        self.discord
            .wait_until("the role is granted", DEADLINE, |discord| {
                discord.has_role(guild, user, role)
            })
            .await?;
        let path = format!("/members/{user}/roles/{role}");
        let requests = self.discord.requests();
        let request = requests
            .iter()
            .rev()
            .find(|request| request.path.ends_with(&path));
        let at = request
            .context("the role was granted without a request")?
            .at;
        Ok(at.saturating_duration_since(started).as_secs_f64() * 1e3)
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let violations = self.discord.violations();
        anyhow::ensure!(
            violations.is_empty(),
            "the local Discord was misused: {violations:?}"
        );
        self.service
            .take()
            .context("the service runs once")?
            .await?
    }
}

/// A member's link, to the wallet that is theirs in every scene.
pub(crate) fn link_of(user: UserId) -> Link {
    Link {
        user,
        wallet: Wallet(chain::wallet(&format!("member {user}")).address()),
        linked_at: Timestamp(0),
        proof: None,
    }
}
