//! Who the visitor is, in private cookies: encrypted, authenticated, and gone after an hour.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum_extra::extract::cookie::{Cookie, PrivateCookieJar, SameSite};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use time::Duration;

use super::{Site, link};
use crate::domain::{Timestamp, UserId};

/// How long a sign-in lasts, in seconds.
const SESSION_SECONDS: u64 = 3600;

/// The header that carries the CSRF token.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// A visitor who signed in to Discord.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) user: UserId,
    /// Proves that a request comes from our page.
    pub(super) csrf: String,
    expires_at: Timestamp,
}

/// The visitor of a request, signed in or not.
pub(super) struct Visitor(pub(super) Option<Session>);

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Infallible> {
        Ok(Self(read(site, &parts.headers)))
    }
}

/// The session of a request.
pub(super) fn read(site: &Site, headers: &HeaderMap) -> Option<Session> {
    let session: Session = get(site, headers, "session")?;
    (site.now() < session.expires_at).then_some(session)
}

/// Starts a session. Beside it goes the CSRF token in a cookie that browsers never send from another site, so that a
/// client which keeps cookies and sends no `Origin` needs no header.
pub(super) fn start(site: &Site, user: UserId) -> anyhow::Result<PrivateCookieJar> {
    let session = Session {
        user,
        csrf: link::fresh_secret()?,
        expires_at: site.now().plus(SESSION_SECONDS),
    };
    let jar = jar(site).add(cookie(site, "session", &session, SESSION_SECONDS)?);
    let mut csrf = cookie(site, "csrf", &session.csrf, SESSION_SECONDS)?;
    csrf.set_same_site(SameSite::Strict);
    Ok(jar.add(csrf))
}

/// Whether a request carries the session's CSRF token, in the header or in its cookie.
pub(super) fn has_csrf_token(site: &Site, headers: &HeaderMap, session: &Session) -> bool {
    let same = |token: &str| bool::from(token.as_bytes().ct_eq(session.csrf.as_bytes()));
    let header = headers
        .get(CSRF_HEADER)
        .and_then(|value| value.to_str().ok());
    header.is_some_and(same)
        || get::<String>(site, headers, "csrf").is_some_and(|token| same(&token))
}

/// An empty jar, for setting cookies.
pub(super) fn jar(site: &Site) -> PrivateCookieJar {
    PrivateCookieJar::new(site.state.cookie_key.clone())
}

/// A cookie's value, if it is ours and intact.
pub(super) fn get<T: DeserializeOwned>(site: &Site, headers: &HeaderMap, name: &str) -> Option<T> {
    let jar: PrivateCookieJar =
        PrivateCookieJar::from_headers(headers, site.state.cookie_key.clone());
    serde_json::from_str(jar.get(&full_name(site, name))?.value()).ok()
}

/// A cookie with the attributes that all of ours have.
pub(super) fn cookie(
    site: &Site,
    name: &str,
    value: &impl Serialize,
    seconds: u64,
) -> anyhow::Result<Cookie<'static>> {
    let max_age = Duration::seconds(seconds.try_into()?);
    let value = serde_json::to_string(value)?;
    Ok(Cookie::build((full_name(site, name), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https(site))
        .max_age(max_age)
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
