//! Starts a local Discord: one listener for REST, the gateway, OAuth and the page.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::routing::{MethodRouter, get};
use tokio::net::TcpListener;

use super::gateway::connection::{Place, serve};
use super::gateway::identify::RESUME_PATH;
use super::handle::LocalDiscord;
use super::options::Options;
use super::shared::Shared;
use super::socket::{ResettableListener, SocketControl};
use super::{oauth, rest};
use crate::sandbox::page;

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
        let app = router(Self::of_server(Arc::clone(&shared)))
            .into_make_service_with_connect_info::<SocketControl>();
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
        Ok(Self::running(shared))
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
