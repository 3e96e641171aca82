//! Who the visitor is: a session in the store, of which the browser has the id alone, in a cookie.

mod extract;

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Json, Router};
use axum_extra::extract::cookie::{Cookie, CookieJar, PrivateCookieJar, SameSite};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use time::Duration;

use super::Site;
use super::error::WebError;
use super::layers::accepts_page;
use super::link::{Token, fresh_secret};
use crate::domain::{GuildId, UserId};
use crate::store;

pub(super) use extract::{Managing, OwnLink, OwnLinkAnyState, SignedIn, find_link, of_visitor};

/// How long the sign-in of a member who came from a link lasts, in seconds.
const MEMBER_SECONDS: u64 = 3600;
/// How long a merchant's sign-in outlives its last use, in seconds.
const MERCHANT_IDLE_SECONDS: u64 = 8 * 3600;
/// How long a merchant's browser keeps the session's id, used or not, in seconds.
const MERCHANT_COOKIE_SECONDS: u64 = 7 * 24 * 3600;

/// The header that carries the CSRF token.
const CSRF_HEADER: &str = "x-csrf-token";

/// The cookies' names, without the prefix.
const SESSION: &str = "session";
const CSRF: &str = "csrf";

/// A visitor who signed in to Discord.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Who signed in.
    pub(super) user: UserId,
    /// Servers that Discord said the user manages, at the sign-in with the `guilds` scope.
    pub(super) servers: Vec<GuildId>,
    /// Proves that a request comes from our page.
    pub(super) csrf: String,
    /// The one link that this session is for, by the SHA-256 of its token; `None`: for everything.
    link: Option<[u8; 32]>,
    /// SHA-256 of the id.
    key: [u8; 32],
}

impl Session {
    /// Whether it was handed over for one link, and so is no sign-in anywhere else.
    pub(super) fn is_handed_over(&self) -> bool {
        self.link.is_some()
    }

    /// Whether it is a sign-in for this link, by the SHA-256 of its token.
    pub(super) fn covers(&self, link: &[u8; 32]) -> bool {
        self.link.is_none_or(|only| only == *link)
    }
}

/// What a sign-in was for, which decides how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To link a wallet.
    Link,
    /// To link a wallet in another browser than that of the sign-in, by this link alone (the SHA-256 of its token).
    OneLink([u8; 32]),
    /// To look after servers: those that Discord said the user manages.
    Servers(Vec<GuildId>),
}

/// The visitor of a request, signed in or not.
#[derive(Clone)]
pub(super) struct Visitor(pub(super) Option<Session>);

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = WebError;

    /// Read from the store once per request.
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, WebError> {
        if let Some(visitor) = parts.extensions.get::<Self>() {
            return Ok(visitor.clone());
        }
        let visitor = Self(find(site, &parts.headers).await?);
        parts.extensions.insert(visitor.clone());
        Ok(visitor)
    }
}

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/logout", post(log_out))
}

/// Ends the session. A form comes back to the first page, also where the session had ended by itself.
async fn log_out(
    State(site): State<Arc<Site>>,
    Visitor(session): Visitor,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    match session.filter(|session| !session.is_handed_over()) {
        Some(session) => {
            site.with_store(move |store| store.end_session(&session.key))
                .await?;
        }
        None if accepts_page(&headers) => {}
        None => return Err(WebError::NotSignedIn),
    }
    let jar = CookieJar::new()
        .add(attributes(&site, SESSION, String::new(), 0)?)
        .add(attributes(&site, CSRF, String::new(), 0)?);
    let answer = if accepts_page(&headers) {
        Redirect::to("/").into_response()
    } else {
        Json(json!({})).into_response()
    };
    Ok((jar, answer).into_response())
}

/// The session of a request.
async fn find(site: &Site, headers: &HeaderMap) -> Result<Option<Session>, WebError> {
    let Some(key) = key(site, headers) else {
        return Ok(None);
    };
    let now = site.now();
    let found = site
        .with_store(move |store| store.use_session(&key, now))
        .await?;
    Ok(found.map(|session| Session {
        user: session.user,
        servers: session.servers,
        csrf: session.csrf,
        link: session.link,
        key,
    }))
}

/// SHA-256 of the id in a request's cookie.
fn key(site: &Site, headers: &HeaderMap) -> Option<[u8; 32]> {
    let jar = CookieJar::from_headers(headers);
    let id = jar.get(&full_name(site, SESSION))?;
    Some(Token::parse(id.value())?.hash())
}

/// Starts a session, and ends the one that the browser had. Beside the id goes the CSRF token in a cookie that browsers
/// never send from another site, so that a client which keeps cookies and sends no `Origin` needs no header.
pub(super) async fn start(
    site: &Site,
    user: UserId,
    purpose: Purpose,
    headers: &HeaderMap,
) -> Result<CookieJar, WebError> {
    let link = match purpose {
        Purpose::OneLink(link) => Some(link),
        Purpose::Link | Purpose::Servers(_) => None,
    };
    let (servers, seconds, idle_seconds, cookie_seconds) = match purpose {
        Purpose::Link | Purpose::OneLink(_) => (Vec::new(), MEMBER_SECONDS, None, MEMBER_SECONDS),
        Purpose::Servers(servers) => {
            let idle = MERCHANT_IDLE_SECONDS;
            (servers, idle, Some(idle), MERCHANT_COOKIE_SECONDS)
        }
    };
    let id = Token::fresh()?;
    let session = store::Session {
        user,
        servers,
        csrf: fresh_secret()?,
        expires_at: site.now().plus(seconds),
        idle_seconds,
        link,
    };
    let mut csrf = attributes(site, CSRF, session.csrf.clone(), cookie_seconds)?;
    csrf.set_same_site(SameSite::Strict);
    let jar = CookieJar::new()
        .add(attributes(site, SESSION, id.reveal(), cookie_seconds)?)
        .add(csrf);
    let (key, replaced) = (id.hash(), key(site, headers));
    site.with_store(move |store| store.start_session(&key, &session, replaced.as_ref()))
        .await?;
    Ok(jar)
}

/// Whether a request carries the session's CSRF token, in the header or in its cookie.
pub(super) fn has_csrf_token(site: &Site, headers: &HeaderMap, session: &Session) -> bool {
    let same = |token: &str| bool::from(token.as_bytes().ct_eq(session.csrf.as_bytes()));
    let header = headers.get(CSRF_HEADER).map(HeaderValue::to_str);
    let cookie = CookieJar::from_headers(headers);
    let cookie = cookie.get(&full_name(site, CSRF)).map(Cookie::value);
    matches!(header, Some(Ok(token)) if same(token)) || cookie.is_some_and(same)
}

/// An empty jar, for setting private cookies.
pub(super) fn private_jar(site: &Site) -> PrivateCookieJar {
    PrivateCookieJar::new(site.state.cookie_key.clone())
}

/// A private cookie's value, if it is ours and intact.
pub(super) fn get<T: DeserializeOwned>(site: &Site, headers: &HeaderMap, name: &str) -> Option<T> {
    let jar: PrivateCookieJar =
        PrivateCookieJar::from_headers(headers, site.state.cookie_key.clone());
    serde_json::from_str(jar.get(&full_name(site, name))?.value()).ok()
}

/// A cookie for [`private_jar`].
pub(super) fn cookie(
    site: &Site,
    name: &str,
    value: &impl Serialize,
    seconds: u64,
) -> anyhow::Result<Cookie<'static>> {
    attributes(site, name, serde_json::to_string(value)?, seconds)
}

/// A cookie with the attributes that all of ours have.
fn attributes(
    site: &Site,
    name: &str,
    value: String,
    seconds: u64,
) -> anyhow::Result<Cookie<'static>> {
    Ok(Cookie::build((full_name(site, name), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https(site))
        .max_age(Duration::seconds(seconds.try_into()?))
        .build())
}

/// On https, browsers refuse a cookie of this prefix from anyone but this host itself.
fn full_name(site: &Site, name: &str) -> String {
    let prefix = if is_https(site) { "__Host-" } else { "" };
    format!("{prefix}amser_roles_{name}")
}

fn is_https(site: &Site) -> bool {
    site.settings().public_url.scheme() == "https"
}
