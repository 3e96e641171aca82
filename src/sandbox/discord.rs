//! A Discord on this machine: REST v10, the gateway and OAuth with real state, rules, limits and error codes, for the
//! sandbox and for tests that drive the real serenity client.
pub(crate) mod board;
mod call;
mod command;
mod control;
mod error;
mod fault;
mod gateway;
pub(crate) mod guild;
mod interaction;
mod invoke;
mod limits;
mod log;
mod mentions;
mod message;
pub(crate) mod oauth;
mod options;
mod rest;
mod route;
pub(crate) mod shape;
pub(crate) mod shared;
mod socket;
mod upload;
pub(crate) mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::routing::{MethodRouter, get};
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

pub use self::board::Happening;
pub use self::control::NewRole;
pub use self::fault::{Fault, Times};
use self::gateway::connection::{Place, serve};
use self::gateway::identify::RESUME_PATH;
pub use self::interaction::{Button, NoReply, Reply, SeenMessage};
pub use self::limits::{Allowance, Bucket, RateLimits};
pub use self::log::{RequestRecord, Rule, Violation};
pub use self::options::Options;
pub use self::route::Route;
use self::shared::Shared;
use self::socket::{ResettableListener, SocketControl};
use super::page;

/// A running local Discord. Clones are handles to the same one; it stops when the last is dropped.
#[derive(Clone, Debug)]
pub struct LocalDiscord {
    pub(crate) shared: Arc<Shared>,
    /// Stops the server when dropped; the server's own handle has none.
    _stop: Option<Arc<DropGuard>>,
}

impl LocalDiscord {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(addr)
            .await
            .context("binding the local Discord")?;
        Self::serve(listener, options)
    }

    /// Starts on a listener that the caller bound.
    pub fn serve(listener: TcpListener, options: Options) -> anyhow::Result<Self> {
        let addr = listener
            .local_addr()
            .context("reading the local Discord's address")?;
        let shared = Arc::new(Shared::new(addr, options));
        let own = Self {
            shared: Arc::clone(&shared),
            _stop: None,
        };
        let app = router(own).into_make_service_with_connect_info::<SocketControl>();
        let stop = shared.stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(ResettableListener(listener), app)
                .with_graceful_shutdown(stop.clone().cancelled_owned());
            // A client that keeps sending would keep a graceful stop waiting.
            let overdue = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                served = serving => if let Err(error) = served {
                    tracing::error!(%error, "the local Discord's server failed");
                },
                () = overdue => {}
            }
        });
        let guard = Arc::new(shared.stop.clone().drop_guard());
        Ok(Self {
            shared,
            _stop: Some(guard),
        })
    }

    /// `http://127.0.0.1:PORT`: what serenity's `HttpBuilder::proxy` and our `discord.api_url` take.
    pub fn base_url(&self) -> String {
        self.shared.base_url()
    }

    /// Stops it now, whatever handles there are.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }
}

/// How long requests may take to end once the server stops.
const GRACE: Duration = Duration::from_millis(200);

/// Answers handshakes at one of the gateway's addresses.
fn handshakes(place: Place) -> MethodRouter<Arc<Shared>> {
    get(
        async move |State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade| {
            let hangs = shared.change(|world| {
                let left = world.hanging_handshakes;
                world.hanging_handshakes = left.saturating_sub(1);
                left > 0
            });
            if hangs {
                shared.stop.cancelled().await;
            }
            upgrade.on_upgrade(move |socket| serve(shared, socket, place))
        },
    )
}

fn router(discord: LocalDiscord) -> Router {
    let shared = Arc::clone(&discord.shared);
    let authorize = get(oauth::authorize::authorize);
    Router::new()
        .nest("/api/v10", rest::router())
        .nest("/api", rest::unversioned())
        .route("/gateway", handshakes(Place::Gateway))
        .route(&format!("/gateway{RESUME_PATH}"), handshakes(Place::Resume))
        .route("/oauth2/authorize", authorize.clone())
        .route("/api/oauth2/authorize", authorize)
        .fallback(rest::unknown_route)
        .method_not_allowed_fallback(rest::unknown_method)
        .with_state(shared)
        .merge(page::router(discord))
}
