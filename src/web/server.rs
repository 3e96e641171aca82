//! Serves the routes: with time limits for slow clients, a limit on connections, and a stop that waits for no client.

mod body;
mod connections;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum_server::Handle;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use connections::Connections;

/// How long a client may take to send its first request's head.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request: longer than a reverse proxy keeps one that it does not use (nginx 60 s,
/// Caddy 2 minutes), since a proxy that sends a request while we hang up answers its client with an error.
const IDLE: Duration = Duration::from_secs(150);
/// How long it may take to send a request's body.
const BODY: Duration = Duration::from_secs(10);
/// How long requests that are being answered at the stop may take.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `routes` until `stop`, and what is being answered by then for a moment longer. The reverse proxies at `proxies` may
/// open more connections than other clients.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    proxies: Vec<IpNet>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let handle = Handle::new();
    // HTTP/1.1 alone: HTTP/2 without TLS is spoken by no browser, and its streams would need limits of their own.
    let mut server = axum_server::Server::<SocketAddr>::from_listener(listener)
        .http1_only()
        .handle(handle.clone())
        .acceptor(Connections::new(proxies))
        .first_request_timeout(HEAD);
    server.http_builder().http1().header_read_timeout(IDLE);
    let stopped = stop.clone();
    let routes = routes
        .layer(from_fn(move |request: Request, next: Next| {
            let stopped = stopped.clone();
            async move {
                let answer = next.run(body::within(request, BODY)).await;
                body::until_stop(answer, stopped)
            }
        }))
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
