//! The pages on a port of this machine, with a local Discord, a clock that tests set, and a small world of
//! subscriptions in place of the roles' loop.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::primitives::Address;
use alloy::providers::{Provider, RootProvider};
use amser_roles::discord::{Discord, OauthApplication, Settings};
use amser_roles::domain::{
    ChainStatus, Counts, DiscordStatus, DriftStatus, Gate, GateId, GateMatch, GateOrigin,
    GateTroubles, GuildId, Link, MembersIntent, ModuleAddress, PlanId, RoleId, SignatureVerdict,
    Timestamp, UserId, Wallet,
};
use amser_roles::merchants::Merchants;
use amser_roles::payments::Payments;
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::store::Store;
use amser_roles::views::Views;
use amser_roles::wallet::signature::{CheckError, Reached, SignedText, check_signature};
use amser_roles::web::{
    self, Profile, SignIn, SignatureCheck, WalletConnect, WebSettings, WebState, new_link,
};
use axum_extra::extract::cookie::Key;
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::visitor::Browser;
use super::world::{Standings, World};
use crate::support::merchants::{inputs_without_chain, no_chain};

/// Where the clock starts.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const PLAN: u64 = 7;
/// Blocks on top of a payment's before it counts.
pub(crate) const CONFIRMATIONS: u64 = 3;

/// What differs between tests.
pub(crate) struct Setup {
    pub(crate) sign_in: bool,
    pub(crate) links_per_member: usize,
    pub(crate) rate_limit_per_minute: u32,
    pub(crate) proxies: usize,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    /// Monitors have a listener of their own.
    pub(crate) monitors_apart: bool,
    /// The chain on which contract wallets are asked; without it, the chain is out of reach.
    pub(crate) provider: Option<RootProvider>,
    pub(crate) store: Store,
    /// Wallets on another device.
    pub(crate) wallet_connect: Option<WalletConnect>,
    /// The server's picture and every member's.
    pub(crate) pictures: Option<(Url, Url)>,
    /// How long an answer waits for the roles: longer than in production, where that is not what is tested.
    pub(crate) roles_within: Duration,
    /// `https` as the public URL's scheme.
    pub(crate) https: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sign_in: true,
            links_per_member: 5,
            rate_limit_per_minute: 10_000,
            proxies: 0,
            trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
            monitors_apart: false,
            provider: None,
            store: Store::in_memory().unwrap(),
            wallet_connect: None,
            pictures: None,
            roles_within: Duration::from_secs(30),
            https: false,
        }
    }
}

/// The running pages.
pub(crate) struct Running {
    pub(crate) url: Url,
    pub(crate) store: Store,
    pub(crate) discord: LocalDiscord,
    pub(crate) guild: GuildId,
    pub(crate) role: RoleId,
    pub(crate) module: ModuleAddress,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) world: Arc<World>,
    pub(crate) chain_status: watch::Sender<ChainStatus>,
    pub(crate) discord_status: watch::Sender<DiscordStatus>,
    pub(crate) counts: watch::Sender<Counts>,
    pub(crate) drift: watch::Sender<DriftStatus>,
    pub(crate) pending: Arc<AtomicU64>,
    /// Where monitors ask, if they have a listener of their own.
    pub(crate) monitors_url: Url,
    _stop: DropGuard,
}

/// A member who ran `/verify`, and their browser.
pub(crate) struct Member {
    pub(crate) id: UserId,
    pub(crate) browser: Browser,
}

pub(crate) async fn start(setup: Setup) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scheme = if setup.https { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{address}")).unwrap();
    let options = Options {
        redirect_uris: vec![format!("{scheme}://{address}/oauth/callback")],
        ..Options::default()
    };
    let discord = LocalDiscord::start(options.clone()).await.unwrap();
    let guild = discord.add_guild("Café Club");
    let role = discord.add_role(guild, "Subscriber").unwrap();
    let module = ModuleAddress(Address::repeat_byte(0xaa));
    let clock = Arc::new(AtomicU64::new(START));
    let world = Arc::new(World::default());
    let (questions, asked) = mpsc::channel(16);
    let (chain_status, chain) = watch::channel(ChainStatus::default());
    let (discord_status, discord_seen) = watch::channel(DiscordStatus::default());
    let (counts, counts_seen) = watch::channel(Counts::default());
    let (drift, drift_seen) = watch::channel(DriftStatus::default());
    let pending = Arc::new(AtomicU64::new(0));
    let sign_in = if setup.sign_in {
        SignIn::Discord {
            client_id: options.application_id.to_string(),
            api_url: Url::parse(&discord.base_url()).unwrap(),
        }
    } else {
        SignIn::None
    };
    let names = discord.clone();
    let now = Arc::clone(&clock);
    let clock_seen: web::Clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
    let settings = Settings {
        application_id: NonZeroU64::new(options.application_id.get()).unwrap(),
        api_url: Url::parse(&discord.base_url()).unwrap(),
        members_intent: MembersIntent::Used,
    };
    let token = SecretString::from(options.token.clone());
    let rest = Discord::new(&settings, &token, watch::Sender::default()).unwrap();
    let merchants = Merchants::new(inputs_without_chain(
        &setup.store,
        &rest,
        &chain,
        &discord_seen,
        &questions,
        Arc::clone(&clock_seen),
    ));
    let stop = CancellationToken::new();
    let state = WebState {
        settings: WebSettings {
            public_url: url.clone(),
            links_per_member: setup.links_per_member,
            rate_limit_per_minute: setup.rate_limit_per_minute,
            proxies: setup.proxies,
            trusted_proxies: setup.trusted_proxies.clone(),
            monitor_token: Some("monitors' token".into()),
            monitors_apart: setup.monitors_apart,
            chain_id: CHAIN_ID,
            checkout_url: "https://app.amser.io/subscribe/{module}/{plan_id}".to_owned(),
            sign_in,
            wallet_connect: setup.wallet_connect,
            roles_within: setup.roles_within,
            contact: Some("help@club.example".to_owned()),
            privacy_url: Some(Url::parse("https://club.example/privacy").unwrap()),
        },
        cookie_key: Key::generate(),
        store: setup.store.clone(),
        chain,
        discord: discord_seen,
        drift: drift_seen,
        gate_troubles: watch::channel(GateTroubles::default()).1,
        counts: counts_seen,
        pending: {
            let pending = Arc::clone(&pending);
            Arc::new(move || pending.load(Ordering::Relaxed))
        },
        questions,
        wallets: checker(setup.provider),
        profiles: Arc::new(move |of, user| {
            let username = names.user_name(user);
            let is_there = names.bot_role(of).is_some();
            let (server_icon, avatar) = setup.pictures.clone().unzip();
            let server_name = if of == guild {
                "Café Club"
            } else {
                "Second Club"
            };
            Box::pin(async move {
                if !is_there {
                    return Err(web::NoProfile::BotAbsent);
                }
                Ok(Profile {
                    server_name: server_name.to_owned(),
                    server_icon,
                    member_name: format!("{username} the First"),
                    username,
                    avatar,
                })
            })
        }),
        payments: Payments::new(
            setup.store.clone(),
            chain_status.subscribe(),
            Views::new(&no_chain(), chain_status.subscribe()),
            CONFIRMATIONS,
        ),
        merchants,
        redeem: redeemer(&options, &rest),
        // Counters are the process's, which other tests may share: `watching` looks at those of the real program.
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        clock: clock_seen,
    };
    let standing = Standings {
        store: setup.store.clone(),
        world: Arc::clone(&world),
        guild,
        role,
        module,
    };
    tokio::spawn(standing.answer(asked));
    let monitors = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let monitors_url = format!("http://{}", monitors.local_addr().unwrap());
    if setup.monitors_apart {
        let routes = web::monitor_router(state.clone()).unwrap();
        let serving = web::serve(monitors, routes, Vec::new(), stop.clone());
        tokio::spawn(async move { serving.await.unwrap() });
    }
    let serving = web::serve(
        listener,
        web::router(state).unwrap(),
        setup.trusted_proxies,
        stop.clone(),
    );
    tokio::spawn(async move { serving.await.unwrap() });
    Running {
        url,
        store: setup.store,
        discord,
        guild,
        role,
        module,
        clock,
        world,
        chain_status,
        discord_status,
        counts,
        drift,
        pending,
        monitors_url: monitors_url.parse().unwrap(),
        _stop: stop.drop_guard(),
    }
}

fn redeemer(options: &Options, discord: &Discord) -> web::RedeemCode {
    let application = OauthApplication {
        id: NonZeroU64::new(options.application_id.get()).unwrap(),
        secret: options.client_secret.clone().into(),
    };
    let discord = discord.clone();
    Arc::new(move |code| {
        let (discord, application) = (discord.clone(), application.clone());
        Box::pin(async move { discord.redeem(&application, &code).await })
    })
}

fn checker(provider: Option<RootProvider>) -> SignatureCheck {
    Arc::new(move |wallet, message, signature| {
        // A port on which nobody listens is a node that does not answer.
        let provider = provider
            .clone()
            .unwrap_or_else(|| RootProvider::new_http("http://127.0.0.1:9".parse().unwrap()));
        Box::pin(async move { verdict(&provider, wallet.0, &message, &signature).await })
    })
}

/// A checker whose answer is given, for asserting on the page alone.
pub(crate) async fn verdict(
    provider: &impl Provider,
    wallet: Address,
    message: &str,
    signature: &[u8],
) -> SignatureVerdict {
    let text = SignedText {
        wallet: Wallet(wallet),
        message,
        signature,
    };
    let ask = |method: &'static str, params: serde_json::Value| async move {
        let answer = provider.raw_request(method.into(), params).await;
        answer.map_err(|error| amser_roles::chain::node::RpcError::from_transport(&error))
    };
    let checked = check_signature(ask, CHAIN_ID, Reached::default(), text).await;
    checked.unwrap_or_else(|error| match error {
        CheckError::CannotRun { .. } => SignatureVerdict::CannotCheck,
        CheckError::Lags | CheckError::Node(_) => SignatureVerdict::Unavailable,
    })
}

impl Running {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// A member of the server with a fresh browser, signed in where that is possible.
    pub(crate) async fn member(&self, name: &str) -> Member {
        let id = self.discord.add_user(name);
        self.discord.add_member(self.guild, id).unwrap();
        let mut browser = Browser::new(&self.url);
        browser.sign_in(id, None).await;
        Member { id, browser }
    }

    /// What `/verify` gives out: the link's path.
    pub(crate) fn verify(&self, user: UserId) -> String {
        let url = new_link(&self.store, user, self.guild, &self.url, self.now()).unwrap();
        assert!(url.as_str().starts_with(self.url.as_str()));
        url.path().to_owned()
    }

    /// The gate of which the world tells, in the store as well.
    pub(crate) fn add_gate(&self) {
        let gate = Gate {
            id: GateId(1),
            guild: self.guild,
            module: self.module,
            plans: [PlanId::from(PLAN)].into(),
            matching: GateMatch::Any,
            roles: [self.role].into(),
            origin: GateOrigin::Config,
        };
        self.store.put_gate(&gate).unwrap();
    }

    /// Links a wallet as if its owner had signed.
    pub(crate) fn link(&self, user: UserId, wallet: Wallet) {
        let link = Link {
            user,
            wallet,
            linked_at: self.now(),
            proof: None,
        };
        self.store.link(&link, 5).unwrap();
    }

    pub(crate) fn subscribe(&self, wallet: Address) {
        self.world.paid.lock().unwrap().insert(Wallet(wallet));
    }
}
