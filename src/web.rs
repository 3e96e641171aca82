//! Everything that is served over HTTP: the wallet page, Discord sign-in, health, status and metrics.

mod address;
mod api;
mod assets;
mod blocking;
pub mod control;
mod dashboard;
mod drift;
mod error;
mod handover;
mod health;
mod layers;
mod limit;
mod link;
mod link_page;
mod oauth;
mod paid;
mod params;
mod payment;
mod post;
mod profile;
mod proof;
mod ready;
mod same_origin;
mod server;
mod session;
mod siwe;
mod standing;
mod terms;
pub mod transfer;
mod verify;
mod view;

use std::net::IpAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum_extra::extract::cookie::Key;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

use crate::clock::machine_time;
use crate::domain::{
    ChainStatus, Counts, DiscordStatus, DriftStatus, GateTroubles, Question, SignInCode,
    SignatureVerdict, SignedInVisitor, Timestamp, UserId, Wallet,
};
use crate::limiter::Limiter;
use crate::merchants::Merchants;
use crate::payments::Payments;
use crate::store::Store;

pub use health::{UPKEEP_EVERY, keep_metrics_small, while_starting};
pub use link::{FORGET_EVERY, LINK_SECONDS, keep_forgetting, new_link};
pub use paid::return_url;
pub use profile::{NoProfile, Profile, Profiles};
pub use server::serve;

/// Reads the time; tests set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Checks whether a wallet signed a text (`wallet::Signatures::check`).
pub type SignatureCheck =
    Arc<dyn Fn(Wallet, String, Vec<u8>) -> BoxFuture<'static, SignatureVerdict> + Send + Sync>;

/// What visitors wait for their roles at most, before the page says that these arrive on their own.
pub const ROLES_WITHIN: Duration = Duration::from_secs(3);

/// `[web]`, and what the pages need of the other sections.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where browsers reach the pages; decides domain, origin, cookies and redirects.
    pub public_url: Url,
    /// The most wallets that a member may link.
    pub links_per_member: usize,
    /// Requests per minute of one address, and of one member.
    pub rate_limit_per_minute: u32,
    /// How many reverse proxies stand in front, each of which adds to `X-Forwarded-For` by whom it was asked.
    pub proxies: usize,
    /// From where they ask: nobody else's `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Lets `/metrics` and `/api/status` be asked from elsewhere than this machine.
    pub monitor_token: Option<SecretString>,
    /// Whether these are served by [`monitor_router`] instead.
    pub monitors_apart: bool,
    /// The chain on which contract wallets are asked.
    pub chain_id: u64,
    /// The merchant's checkout, with `{module}` and `{plan_id}`.
    pub checkout_url: String,
    /// How a visitor proves to be the member.
    pub sign_in: SignIn,
    /// What visitors with a wallet on another device are offered.
    pub wallet_connect: Option<WalletConnect>,
    /// How long the answer to a signature waits for the roles: [`ROLES_WITHIN`].
    pub roles_within: Duration,
    /// Who runs the service: an e-mail address, an https address, or words. Shown on every page.
    pub contact: Option<String>,
    /// The operator's privacy policy. Linked on every page.
    pub privacy_url: Option<Url>,
}

/// A merchant's WalletConnect project, for wallets on another device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletConnect {
    /// The project's id. Public: the page tells it to the browser.
    pub project_id: String,
    /// The relay, `wss://`.
    pub relay_url: Url,
}

/// How a visitor proves to be the member who ran `/verify`.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// By signing in to Discord.
    Discord {
        /// The application's id.
        client_id: String,
        /// `https://discord.com`, or the local Discord.
        api_url: Url,
    },
    /// Not at all: whoever has the link counts as the member, and types the member's Discord name, which the page shows.
    None,
}

/// Redeems a code (`discord::Discord::redeem`).
pub type RedeemCode =
    Arc<dyn Fn(SignInCode) -> BoxFuture<'static, anyhow::Result<SignedInVisitor>> + Send + Sync>;

/// What the pages are served from. The caller keeps the other ends.
#[derive(Clone)]
pub struct WebState {
    /// Settings.
    pub settings: WebSettings,
    /// Encrypts the cookies.
    pub cookie_key: Key,
    /// Links and challenges.
    pub store: Store,
    /// The chain's side of health and status.
    pub chain: watch::Receiver<ChainStatus>,
    /// Discord's side.
    pub discord: watch::Receiver<DiscordStatus>,
    /// The checks against second sources.
    pub drift: watch::Receiver<DriftStatus>,
    /// Gates that cannot work, by what the chain says.
    pub gate_troubles: watch::Receiver<GateTroubles>,
    /// Numbers of the status page.
    pub counts: watch::Receiver<Counts>,
    /// Role changes decided and not acknowledged yet.
    pub pending: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// To the roles' loop.
    pub questions: mpsc::Sender<Question>,
    /// Checks signatures.
    pub wallets: SignatureCheck,
    /// Names and pictures of servers and members.
    pub profiles: Profiles,
    /// Asks Discord who signed in; never asked with [`SignIn::None`].
    pub redeem: RedeemCode,
    /// What merchants and managers of servers may do.
    pub merchants: Merchants,
    /// Looks up where a payment is on its way.
    pub payments: Payments,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// The machine's clock: [`machine_clock`].
    pub clock: Clock,
}

/// The state with what only the pages know.
struct Site {
    state: WebState,
    addresses: Limiter<IpAddr>,
    members: Limiter<UserId>,
    profiles: profile::Cache,
    /// Where visitors sign in, if they can.
    sign_in: Option<oauth::Client>,
    callbacks: oauth::Callbacks,
    policies: layers::Policies,
    /// Warns once of a reverse proxy that is not among the trusted ones.
    unknown_proxy: Once,
    /// For pictures; follows no redirect.
    http: reqwest::Client,
}

impl Site {
    fn now(&self) -> Timestamp {
        (self.state.clock)()
    }

    fn settings(&self) -> &WebSettings {
        &self.state.settings
    }
}

/// The machine's clock.
pub fn machine_clock() -> Clock {
    Arc::new(machine_time)
}

/// Every route of the pages. Served without the clients' addresses (see [`serve`]), all clients share one limit.
///
/// # Errors
/// When the HTTP client cannot be made, or the public URL is none that a browser can open.
pub fn router(state: WebState) -> anyhow::Result<Router> {
    let site = site(state)?;
    let guarded = |routes: Router<Arc<Site>>| {
        routes
            .layer(from_fn_with_state(Arc::clone(&site), same_origin::require))
            .layer(from_fn_with_state(Arc::clone(&site), limit::limit))
    };
    let limited = Router::new()
        .merge(verify::router())
        .merge(handover::router())
        .merge(paid::router())
        .merge(oauth::router())
        .merge(dashboard::router());
    let scripts = session::router().merge(api::router());
    // Pages refuse with pages; health, status and the API with JSON, whatever a browser says that it accepts.
    let pages = Router::new()
        .merge(guarded(limited))
        .merge(assets::router())
        .route("/", get(front))
        .fallback(layers::not_found)
        .method_not_allowed_fallback(layers::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&site), layers::show_refusals));
    let mut routes = pages.merge(guarded(scripts)).merge(health::router());
    if !site.settings().monitors_apart {
        let may_watch = from_fn_with_state(Arc::clone(&site), health::may_watch);
        routes = routes.merge(health::numbers_router().layer(may_watch));
    }
    Ok(surround(routes, site))
}

/// What monitors ask, for a listener of its own that only they reach.
///
/// # Errors
/// As [`router`].
pub fn monitor_router(state: WebState) -> anyhow::Result<Router> {
    let routes = health::router().merge(health::numbers_router());
    Ok(surround(routes.fallback(layers::not_found), site(state)?))
}

/// The layers around every route.
fn surround(routes: Router<Arc<Site>>, site: Arc<Site>) -> Router {
    routes
        .method_not_allowed_fallback(layers::method_not_allowed)
        .layer(from_fn(layers::in_time))
        .layer(from_fn(layers::count))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(Arc::clone(&site), layers::protect))
        .with_state(site)
}

fn site(state: WebState) -> anyhow::Result<Arc<Site>> {
    let public = &state.settings.public_url;
    anyhow::ensure!(
        matches!(public.scheme(), "http" | "https")
            && public.host_str().is_some()
            && public.path() == "/",
        "web.public_url must be an http or https address without a path"
    );
    let http = crate::http::client()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(10))
        .build()
        .context("making the HTTP client of the pages")?;
    Ok(Arc::new(Site {
        addresses: Limiter::new(state.settings.rate_limit_per_minute),
        members: Limiter::new(state.settings.rate_limit_per_minute),
        profiles: profile::Cache::default(),
        sign_in: oauth::client(&state.settings)?,
        callbacks: oauth::Callbacks::default(),
        policies: layers::Policies::new(&state.settings),
        unknown_proxy: Once::new(),
        http,
        state,
    }))
}

async fn front(State(site): State<Arc<Site>>) -> Response {
    view::front(site.settings())
}
