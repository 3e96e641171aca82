//! The pages on a port of this machine, with a local Discord, a clock that tests set, and a small world of
//! subscriptions in place of the reconcile loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use alloy::providers::{Provider, RootProvider};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use amser_roles::chain::signature::check_signature;
use amser_roles::domain::{
    ChainStatus, Counts, DiscordStatus, GateId, GateStanding, GuildId, MemberStanding,
    ModuleAddress, PlanId, Question, RoleId, RoleStanding, SignatureVerdict, Timestamp, UserId,
    Wallet,
};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use amser_roles::store::Store;
use amser_roles::web::{
    self, Profile, SignIn, SignatureCheck, WalletMoved, WebSettings, WebState, new_link,
};
use axum_extra::extract::cookie::Key;
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// Where the clock starts.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const PLAN: u64 = 7;

/// What differs between tests.
pub(crate) struct Setup {
    pub(crate) sign_in: bool,
    pub(crate) links_per_member: usize,
    pub(crate) rate_limit_per_minute: u32,
    pub(crate) behind_proxy: bool,
    /// The chain on which contract wallets are asked; without it, the chain is out of reach.
    pub(crate) provider: Option<RootProvider>,
    pub(crate) store: Store,
    /// `https` as the public URL's scheme.
    pub(crate) https: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sign_in: true,
            links_per_member: 5,
            rate_limit_per_minute: 10_000,
            behind_proxy: false,
            provider: None,
            store: Store::in_memory().unwrap(),
            https: false,
        }
    }
}

/// Who pays and what Discord shows, in place of the reconcile loop.
#[derive(Default)]
pub(crate) struct World {
    /// Wallets with an active subscription.
    pub(crate) paid: Mutex<BTreeSet<Wallet>>,
    /// Whether Discord has been slow to show the role so far.
    pub(crate) slow: AtomicBool,
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
    pub(crate) moved: mpsc::UnboundedReceiver<WalletMoved>,
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
    let (moved_to, moved) = mpsc::unbounded_channel();
    let (chain_status, chain) = watch::channel(ChainStatus::default());
    let (discord_status, discord_seen) = watch::channel(DiscordStatus::default());
    let (counts, counts_seen) = watch::channel(Counts::default());
    let pending = Arc::new(AtomicU64::new(0));
    let sign_in = if setup.sign_in {
        SignIn::Discord {
            client_id: options.application_id.to_string(),
            client_secret: SecretString::from(options.client_secret.clone()),
            api_url: Url::parse(&discord.base_url()).unwrap(),
        }
    } else {
        SignIn::TypeTheName
    };
    let names = discord.clone();
    let now = Arc::clone(&clock);
    let state = WebState {
        settings: WebSettings {
            public_url: url.clone(),
            links_per_member: setup.links_per_member,
            rate_limit_per_minute: setup.rate_limit_per_minute,
            behind_proxy: setup.behind_proxy,
            chain_id: CHAIN_ID,
            checkout_url: "https://app.amser.io/subscribe/{module}/{plan_id}".to_owned(),
            sign_in,
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
        profiles: Arc::new(move |_, user| {
            let username = names.user_name(user);
            Box::pin(async move {
                Ok(Profile {
                    server_name: "Café Club".to_owned(),
                    server_icon: None,
                    member_name: format!("{username} the First"),
                    username,
                    avatar: None,
                })
            })
        }),
        moved: moved_to,
        metrics: PrometheusBuilder::new()
            .install_recorder()
            .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle()),
        clock: Arc::new(move || Timestamp(now.load(Ordering::Relaxed))),
    };
    let standing = Standings {
        store: setup.store.clone(),
        world: Arc::clone(&world),
        guild,
        role,
        module,
    };
    tokio::spawn(standing.answer(asked));
    let stop = CancellationToken::new();
    let app = web::router(state)
        .unwrap()
        .into_make_service_with_connect_info::<SocketAddr>();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move {
        tokio::select! {
            served = axum::serve(listener, app).into_future() => served.unwrap(),
            () = stopped => {}
        }
    });
    Running {
        url,
        store: setup.store,
        discord,
        guild,
        role,
        module,
        clock,
        world,
        moved,
        chain_status,
        discord_status,
        counts,
        pending,
        _stop: stop.drop_guard(),
    }
}

fn checker(provider: Option<RootProvider>) -> SignatureCheck {
    Arc::new(move |wallet, message, signature| {
        // A port on which nobody listens is a node that does not answer.
        let provider = provider
            .clone()
            .unwrap_or_else(|| RootProvider::new_http("http://127.0.0.1:9".parse().unwrap()));
        Box::pin(async move { check_signature(&provider, wallet, &message, &signature).await })
    })
}

/// A checker whose answer is given, for asserting on the page alone.
pub(crate) async fn verdict(
    provider: &impl Provider,
    wallet: Address,
    message: &str,
    signature: &[u8],
) -> SignatureVerdict {
    check_signature(provider, Wallet(wallet), message, signature).await
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
                held: entitled && !self.world.slow.swap(false, Ordering::Relaxed),
            };
            let standing = MemberStanding {
                user,
                wallets,
                now: Timestamp(START),
                gates: vec![GateStanding {
                    gate: GateId(1),
                    guild: self.guild,
                    module: self.module,
                    plans: vec![PlanId::from(PLAN)],
                    entitled,
                    roles: vec![role],
                    subscriptions: Vec::new(),
                    trouble: None,
                }],
            };
            // Whoever asked may have given up.
            let _ = answer.send(standing);
        }
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

    pub(crate) fn subscribe(&self, wallet: Address) {
        self.world.paid.lock().unwrap().insert(Wallet(wallet));
    }
}

/// An answer: status and body.
pub(crate) type Answer = (u16, Value);

/// The code of a refusal, after checking its shape.
pub(crate) fn code(answer: &Answer) -> String {
    let error = &answer.1["error"];
    assert!(answer.0 >= 400, "not a refusal: {answer:?}");
    assert_eq!(answer.1.as_object().unwrap().len(), 1, "{answer:?}");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with('.') && message.len() > 20, "{message}");
    error["code"].as_str().unwrap().to_owned()
}

/// Keeps cookies, follows no redirect.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) base: Url,
    pub(crate) cookies: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Browser {
    pub(crate) fn new(base: &Url) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            base: base.clone(),
            cookies: BTreeMap::new(),
            http,
        }
    }

    /// The address that the server listens on, also where its public URL says https.
    fn address(&self, path: &str) -> Url {
        let mut url = self.base.join(path).unwrap();
        if url.host() == self.base.host() && url.port() == self.base.port() {
            let plain = url.as_str().replacen("https://", "http://", 1);
            url = Url::parse(&plain).unwrap();
        }
        url
    }

    pub(crate) async fn send(&mut self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let answer = request
            .header("cookie", pairs.join("; "))
            .send()
            .await
            .unwrap();
        for value in answer.headers().get_all("set-cookie") {
            let (pair, attributes) = value.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> reqwest::Response {
        let request = self
            .http
            .get(self.address(path))
            .header("accept", "text/html");
        self.send(request).await
    }

    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(self.address(path))
    }

    /// Posts JSON as the page does.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let origin = self.base.origin().ascii_serialization();
        let request = self.request(path).header("origin", origin).json(body);
        answer(self.send(request).await).await
    }

    /// Signs in to Discord as `user`, going on with a link; returns where the browser ends.
    pub(crate) async fn sign_in(&mut self, user: UserId, token: Option<&str>) -> String {
        let query = token.map_or(String::new(), |token| format!("?link={token}"));
        let away = self.get(&format!("/oauth/login{query}")).await;
        if away.status() == 404 {
            return String::new();
        }
        let back = self.visit_discord(&location(&away), user).await;
        let end = self.get(&back).await;
        match end.headers().get("location") {
            Some(to) => to.to_str().unwrap().to_owned(),
            None => String::new(),
        }
    }

    /// Lets Discord know who the visitor is, and returns where it sends the browser.
    pub(crate) async fn visit_discord(&mut self, authorize: &str, user: UserId) -> String {
        let mut url = Url::parse(authorize).unwrap();
        url.query_pairs_mut().append_pair("as", &user.to_string());
        let answer = self.http.get(url).send().await.unwrap();
        location(&answer)
    }

    /// The text to sign for a wallet.
    pub(crate) async fn challenge(&mut self, link: &str, wallet: Address) -> String {
        let body = json!({ "address": wallet.to_string() });
        let (status, answer) = self.post(&format!("{link}/challenge"), &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn answer(&mut self, link: &str, message: &str, signature: &[u8]) -> Answer {
        let body =
            json!({ "message": message, "signature": format!("0x{}", hex::encode(signature)) });
        self.post(&format!("{link}/signature"), &body).await
    }

    /// Asks for a text, signs it and sends it back.
    pub(crate) async fn link(&mut self, link: &str, signer: &PrivateKeySigner) -> Answer {
        let message = self.challenge(link, signer.address()).await;
        let signature = sign(signer, &message);
        self.answer(link, &message, &signature).await
    }
}

pub(crate) async fn answer(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    (status, body)
}

pub(crate) fn location(answer: &reqwest::Response) -> String {
    assert!(answer.status().is_redirection(), "{answer:?}");
    answer.headers()["location"].to_str().unwrap().to_owned()
}

pub(crate) fn sign(signer: &PrivateKeySigner, message: &str) -> Vec<u8> {
    signer
        .sign_message_sync(message.as_bytes())
        .unwrap()
        .as_bytes()
        .to_vec()
}
