//! The pages on a port of this machine, with a local Discord, a clock that tests set, and a small world of
//! subscriptions in place of the roles' loop.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use alloy::providers::{Provider, RootProvider};
use amser_roles::discord::{Discord, OauthApplication, Settings};
use amser_roles::domain::{
    ChainStatus, Counts, DiscordStatus, Gate, GateId, GateMatch, GateOrigin, GateStanding, GuildId,
    Link, MemberStanding, MembersIntent, ModuleAddress, PlanId, Question, RoleId, RoleStanding,
    SignatureVerdict, Timestamp, UserId, Wallet,
};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::store::Store;
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
use crate::support::merchants::without_chain;

/// Where the clock starts.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const PLAN: u64 = 7;

/// What differs between tests.
pub(crate) struct Setup {
    pub(crate) sign_in: bool,
    pub(crate) links_per_member: usize,
    pub(crate) rate_limit_per_minute: u32,
    pub(crate) proxies: usize,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    /// The chain on which contract wallets are asked; without it, the chain is out of reach.
    pub(crate) provider: Option<RootProvider>,
    pub(crate) store: Store,
    /// Wallets on another device.
    pub(crate) wallet_connect: Option<WalletConnect>,
    /// The server's picture and every member's.
    pub(crate) pictures: Option<(Url, Url)>,
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
            provider: None,
            store: Store::in_memory().unwrap(),
            wallet_connect: None,
            pictures: None,
            https: false,
        }
    }
}

/// Who pays and what Discord shows, in place of the roles' loop.
#[derive(Default)]
pub(crate) struct World {
    /// Wallets with an active subscription.
    pub(crate) paid: Mutex<BTreeSet<Wallet>>,
    /// Whether Discord has been slow to show the role so far.
    pub(crate) slow: AtomicBool,
    /// Whether the server's members were not read yet.
    pub(crate) unread: AtomicBool,
    /// Whether the member holds a role of a gate in another server as well.
    pub(crate) elsewhere: AtomicBool,
    /// Why the role cannot come; it is not held then.
    pub(crate) trouble: Mutex<Option<String>>,
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
    pub(crate) pending: Arc<AtomicU64>,
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
    let merchants = without_chain(
        &setup.store,
        &rest,
        &chain,
        &discord_seen,
        &questions,
        Arc::clone(&clock_seen),
    );
    let stop = CancellationToken::new();
    let state = WebState {
        settings: WebSettings {
            public_url: url.clone(),
            links_per_member: setup.links_per_member,
            rate_limit_per_minute: setup.rate_limit_per_minute,
            proxies: setup.proxies,
            trusted_proxies: setup.trusted_proxies.clone(),
            monitor_token: Some("monitors' token".into()),
            monitors_apart: false,
            chain_id: CHAIN_ID,
            checkout_url: "https://app.amser.io/subscribe/{module}/{plan_id}".to_owned(),
            sign_in,
            wallet_connect: setup.wallet_connect,
            contact: Some("help@club.example".to_owned()),
            privacy_url: Some(Url::parse("https://club.example/privacy").unwrap()),
        },
        cookie_key: Key::generate(),
        store: setup.store.clone(),
        chain,
        discord: discord_seen,
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
        merchants,
        redeem: redeemer(&options, &rest),
        metrics: PrometheusBuilder::new()
            .install_recorder()
            .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle()),
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
        pending,
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
    let checked = check_signature(provider, CHAIN_ID, Reached::default(), text).await;
    checked.unwrap_or_else(|error| match error {
        CheckError::CannotRun { .. } => SignatureVerdict::CannotCheck,
        CheckError::Lags | CheckError::Node(_) => SignatureVerdict::Unavailable,
    })
}

struct Standings {
    store: Store,
    world: Arc<World>,
    guild: GuildId,
    role: RoleId,
    module: ModuleAddress,
}

impl Standings {
    async fn answer(self, mut questions: mpsc::Receiver<Question>) {
        while let Some(question) = questions.recv().await {
            let Question::Standing { user, answer } = question else {
                continue;
            };
            let wallets = self.store.wallets_of(user).unwrap();
            let paid = self.world.paid.lock().unwrap().clone();
            let entitled = wallets.iter().any(|wallet| paid.contains(wallet));
            let role = RoleStanding {
                role: self.role,
                name: "Subscriber".to_owned(),
                held: entitled
                    && !self.world.slow.swap(false, Ordering::Relaxed)
                    && self.trouble().is_none(),
            };
            let standing = MemberStanding {
                user,
                wallets,
                now: Timestamp(START),
                gates: match self.world.unread.load(Ordering::Relaxed) {
                    true => Vec::new(),
                    false => self.gates(entitled, role),
                },
            };
            // Whoever asked may have given up.
            let _ = answer.send(standing);
        }
    }

    fn gates(&self, entitled: bool, role: RoleStanding) -> Vec<GateStanding> {
        let here = self.gate(entitled, role);
        let patron = RoleStanding {
            role: RoleId(9),
            name: "Patron".to_owned(),
            held: true,
        };
        let elsewhere = GateStanding {
            gate: GateId(2),
            guild: GuildId(2),
            roles: vec![patron],
            ..here.clone()
        };
        let also = self.world.elsewhere.load(Ordering::Relaxed);
        [here]
            .into_iter()
            .chain(also.then_some(elsewhere))
            .collect()
    }

    fn gate(&self, entitled: bool, role: RoleStanding) -> GateStanding {
        GateStanding {
            gate: GateId(1),
            guild: self.guild,
            module: self.module,
            plans: vec![PlanId::from(PLAN)],
            entitled,
            roles: vec![role],
            subscriptions: Vec::new(),
            trouble: self.trouble(),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.world.trouble.lock().unwrap().clone()
    }
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
