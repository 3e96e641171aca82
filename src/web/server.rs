//! Serves the routes: with time limits for clients that dawdle, and a stop that does not wait for them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// How long it may pause within a body.
const BODY: Duration = Duration::from_secs(10);
/// How long requests that are being answered at the stop may take.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `routes` until `stop`, and what is being answered by then for a moment longer.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let handle = Handle::new();
    let mut server = axum_server::Server::<SocketAddr>::from_listener(listener)
        .handle(handle.clone())
        .first_request_timeout(HEAD);
    server.http_builder().http1().header_read_timeout(HEAD);
    let routes = routes
        .layer(RequestBodyTimeoutLayer::new(BODY))
        .into_make_service_with_connect_info::<SocketAddr>();
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(GRACE));
        std::future::pending().await
    };
    tokio::select! {
        served = server.serve(routes) => served,
        never = stopping => never,
    }
}
