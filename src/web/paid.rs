//! `GET /paid/{guild_id}`: where the checkout leads back to. On to the wallet page by the link that the visitor came from while
//! that works, else by a new one for who signs in.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;
use url::{Host, Url};

use super::error::WebError;
use super::link::{Token, new_link, under};
use super::link_page::OUTCOME_QUERY;
use super::params::{Asked, LinkPath};
use super::payment::FromCheckout;
use super::session::{Session, Visitor};
use super::{SignIn, Site};
use crate::domain::GuildId;
use crate::store::Usable;

/// Where this page is, without the server.
pub(super) const PATH: &str = "/paid/";

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/paid/{guild_id}", get(come_back))
}

/// The address for the checkout to lead back to, which takes https, or http on this machine.
pub fn return_url(public_url: &Url, guild: GuildId) -> Option<Url> {
    let is_taken = public_url.scheme() == "https"
        || match public_url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
    is_taken.then(|| under(public_url, &format!("paid/{guild}")))
}

/// The same for who comes from a link, and goes on with it while it works.
pub(super) fn return_url_of(public_url: &Url, guild: GuildId, token: &Token) -> Option<Url> {
    let mut url = return_url(public_url, guild)?;
    url.query_pairs_mut().append_pair("link", &token.reveal());
    Some(url)
}

#[derive(Deserialize)]
struct CameFrom {
    link: Option<String>,
}

/// Open to all: who is not signed in is sent to the sign-in, and comes back.
async fn come_back(
    State(site): State<Arc<Site>>,
    LinkPath(guild): LinkPath<GuildId>,
    Asked(from): Asked<CameFrom>,
    Asked(paid): Asked<FromCheckout>,
    Visitor(session): Visitor,
    uri: Uri,
) -> Result<Response, WebError> {
    if matches!(site.settings().sign_in, SignIn::None) {
        return Err(WebError::NoSignIn);
    }
    let token = from.link.as_deref().and_then(Token::parse);
    let page = match (&session, token) {
        (Some(session), Some(token)) if works(&site, session, guild, &token).await? => under(
            &site.settings().public_url,
            &format!("verify/{}", token.reveal()),
        ),
        _ => match session.filter(|session| !session.is_handed_over()) {
            Some(session) => fresh_link(&site, &session, guild).await?,
            None => return Ok(to_sign_in(&uri)),
        },
    };
    Ok(to_page(page, &paid))
}

fn to_page(mut page: Url, paid: &FromCheckout) -> Response {
    page.set_query(Some(OUTCOME_QUERY));
    if let Some(transaction) = paid.transaction_text() {
        page.query_pairs_mut().append_pair("tx_hash", &transaction);
    }
    Redirect::to(page.as_str()).into_response()
}

fn to_sign_in(uri: &Uri) -> Response {
    let here = uri.path_and_query().map_or(PATH, |here| here.as_str());
    let here: String = byte_serialize(here.as_bytes()).collect();
    Redirect::to(&format!("/oauth/login?next={here}")).into_response()
}

/// Whether the visitor may go on with the link that they came from.
async fn works(
    site: &Site,
    session: &Session,
    guild: GuildId,
    token: &Token,
) -> Result<bool, WebError> {
    let (key, now) = (token.hash(), site.now());
    let request = site.with_store(move |store| store.request(&key)).await?;
    Ok(request.is_some_and(|request| {
        let is_theirs = request.user == session.user && request.guild == guild;
        let is_open = request.usable(now) == Usable::Yes || request.has_outcome(now);
        is_theirs && is_open && session.covers(&key)
    }))
}

/// A new link for a member of the server, which has to have something that is paid for.
async fn fresh_link(site: &Site, session: &Session, guild: GuildId) -> Result<Url, WebError> {
    let gates = site.with_store(|store| store.gates()).await?;
    if gates.iter().all(|gate| gate.guild != guild) {
        return Err(WebError::NotFound);
    }
    let user = session.user;
    site.profile(guild, user).await?;
    let (public_url, now) = (site.settings().public_url.clone(), site.now());
    site.with_store(move |store| new_link(store, user, guild, &public_url, now))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_given_only_what_it_takes() {
        let back = |url: &str| return_url(&Url::parse(url).unwrap(), GuildId(7));
        let text = |url: &str| back(url).map(String::from);
        assert_eq!(
            text("https://roles.example").as_deref(),
            Some("https://roles.example/paid/7")
        );
        assert_eq!(
            text("http://127.0.0.1:8787").as_deref(),
            Some("http://127.0.0.1:8787/paid/7")
        );
        assert!(text("http://localhost").is_some() && text("http://[::1]:1").is_some());
        assert_eq!(text("http://roles.example"), None);
    }
}
