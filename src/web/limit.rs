//! How often a visitor may ask: a signed-in one by their own allowance, everyone else by that of their address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts as _, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::address::{forwarded, rate_limit_key};
use super::error::WebError;
use super::layers::cost;
use super::session::Visitor;
use super::{SignIn, Site};

/// Whom a request comes from: the peer, or whom our own reverse proxy names.
fn client(site: &Site, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(address)| {
        address.ip().to_canonical()
    });
    let settings = site.settings();
    let headers = request.headers().get_all("x-forwarded-for").iter();
    // What the client wrote may be no text; our proxies' entries behind it are.
    let headers: Vec<_> = headers
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    let is_proxy = settings
        .trusted_proxies
        .iter()
        .any(|range| range.contains(&peer));
    if settings.proxies > 0 && !is_proxy && !headers.is_empty() {
        site.unknown_proxy.call_once(|| {
            tracing::warn!(
                %peer,
                "X-Forwarded-For from an address outside web.trusted_proxies is not believed"
            );
        });
    }
    let proxies = if is_proxy { settings.proxies } else { 0 };
    let behind = forwarded(headers.iter().map(AsRef::as_ref), proxies);
    rate_limit_key(behind.unwrap_or(peer))
}

/// Turns away who asks too often: a signed-in visitor by their own allowance, whatever the address, so that a crowd behind one
/// address gets in; everyone else by the address's.
pub(super) async fn limit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let address = client(&site, &request);
    let (mut parts, body) = request.into_parts();
    let visitor = match Visitor::from_request_parts(&mut parts, &site).await {
        Ok(Visitor(session)) => session.map(|session| session.user),
        Err(error) => return error.into_response(),
    };
    let route = parts.extensions.get::<MatchedPath>();
    let cost = cost(&parts.method, route.map_or("", MatchedPath::as_str));
    let now = Instant::now();
    let taken = match (visitor, &site.settings().sign_in) {
        (Some(user), _) => site.members.take(user, cost, now),
        // Without a sign-in the whole cost is the member's whose link it is (`session::OwnLink`).
        (None, SignIn::None) => site.addresses.take(address, cost.floor().min(1.0), now),
        (None, _) => site.addresses.take(address, cost, now),
    };
    match taken {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(wait) => WebError::TooManyRequests(wait).into_response(),
    }
}
