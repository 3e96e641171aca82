//! The way back from Discord: the code becomes a session, and the chosen server is connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use url::Url;

use super::{Pending, ReturnTo, callback_url, cookie_name};
use crate::domain::{GuildId, SignInCode, SignedInVisitor, Timestamp, UserId};
use crate::limiter::Limiter;
use crate::merchants::Refusal;
use crate::web::error::{SignInAgain, WebError};
use crate::web::link::new_link;
use crate::web::params::Asked;
use crate::web::session::{self, Purpose};
use crate::web::{NoProfile, Site};

/// Sign-ins a minute that Discord is asked about, of all visitors together, and at once: each costs up to four of the
/// requests that the bot may send.
const PER_MINUTE: u32 = 120;
const BURST: u32 = 20;

/// The sign-ins that came back of late: each state works once.
pub(in crate::web) struct Callbacks {
    limiter: Limiter<()>,
    /// Used states, with when each would have expired.
    used: Mutex<BTreeMap<String, Timestamp>>,
}

impl Default for Callbacks {
    fn default() -> Self {
        Self {
            limiter: Limiter::with_burst(PER_MINUTE, BURST),
            used: Mutex::default(),
        }
    }
}

impl Callbacks {
    /// Uses a sign-in up.
    fn admit(&self, pending: &Pending, now: Timestamp) -> Result<(), WebError> {
        let mut used = self.used.lock().expect("no holder of this lock can panic");
        if now >= pending.expires_at || used.contains_key(&pending.state) {
            return Err(WebError::SignInStale);
        }
        let taken = self.limiter.take((), 1.0, Instant::now());
        taken.map_err(WebError::TooManyRequests)?;
        used.retain(|_, expires_at| now < *expires_at);
        used.insert(pending.state.clone(), pending.expires_at);
        Ok(())
    }
}

#[derive(Deserialize)]
pub(super) struct CallbackQuery {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// `GET /oauth/callback`
pub(super) async fn callback(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<CallbackQuery>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let state = query.state.clone().unwrap_or_default();
    let name = cookie_name(&state);
    let pending: Pending = session::get(&site, &headers, &name).ok_or(WebError::SignInStale)?;
    let same: bool = state.as_bytes().ct_eq(pending.state.as_bytes()).into();
    if !same {
        return Err(WebError::SignInStale);
    }
    let again = Extension(SignInAgain(pending.return_to.beginning()));
    let answer = match site.callbacks.admit(&pending, site.now()) {
        // It still works in a moment.
        Err(error @ WebError::TooManyRequests(_)) => return Err(error),
        Err(error) => (again, error).into_response(),
        Ok(()) => {
            let finished = finish(&site, pending, query, &headers).await;
            finished.unwrap_or_else(|error| (again, error).into_response())
        }
    };
    let spent = session::cookie(&site, &name, &(), 0)?;
    Ok((session::private_jar(&site).add(spent), answer).into_response())
}

async fn finish(
    site: &Site,
    pending: Pending,
    query: CallbackQuery,
    headers: &HeaderMap,
) -> Result<Response, WebError> {
    let connects = pending.return_to == ReturnTo::Connect;
    match query.error.as_deref() {
        None => {}
        Some("access_denied") if connects => return Err(WebError::ConnectDeclined),
        Some("access_denied") => return Err(WebError::SignInDeclined),
        Some(error) => {
            tracing::warn!(error = error_code(error), "Discord refused a sign-in");
            return Err(WebError::SignInFailed);
        }
    }
    let code = SignInCode {
        code: query.code.ok_or(WebError::BadRequest)?.into(),
        verifier: pending.verifier.into(),
        redirect_uri: callback_url(site.settings()),
    };
    let visitor = (site.state.redeem)(code).await.map_err(|error| {
        let error = format!("{error:#}");
        tracing::warn!(error, "a sign-in with Discord failed");
        WebError::SignInFailed
    })?;
    let SignedInVisitor {
        user,
        manages,
        invited_to,
    } = visitor;
    tracing::debug!(%user, "signed in");
    site.state.merchants.learn_names(&manages);
    let manages: Vec<GuildId> = manages.into_keys().collect();
    let shown = manages.clone();
    let purpose = match pending.return_to {
        ReturnTo::Link(_) | ReturnTo::Paid(_) | ReturnTo::Home => Purpose::Link,
        ReturnTo::Page(_) | ReturnTo::Connect => Purpose::Servers(manages),
    };
    let jar = session::start(site, user, purpose, headers).await?;
    let next = if connects {
        let connected = connect(site, user, invited_to, &shown).await;
        connected.unwrap_or_else(WebError::into_response)
    } else if pending.return_to == ReturnTo::Home
        && let Some(link) = newest_link(site, user).await?
    {
        Redirect::to(link.as_str()).into_response()
    } else {
        pending.return_to.respond(site.settings())
    };
    Ok((jar, next).into_response())
}

/// The visitor's newest link that works, under a new token, since nobody knows the old one. A sign-in that began in the browser
/// inside the Discord app may end in another; there the visitor signs in again, without the link, and is led on to it.
async fn newest_link(site: &Site, user: UserId) -> Result<Option<Url>, WebError> {
    let (now, public_url) = (site.now(), site.settings().public_url.clone());
    site.with_store(move |store| {
        let newest = store.newest_request_of(user, now)?;
        newest
            .map(|link| new_link(store, user, link.guild, &public_url, now))
            .transpose()
    })
    .await
}

/// An error code of OAuth, without anything that a visitor may have written in its place.
fn error_code(text: &str) -> &str {
    let is_code = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_code { text } else { "not a code" }
}

/// Connects the server that the bot was invited to, as Discord's own answer names it: the address that the browser came
/// back to names one too, which anybody can change.
async fn connect(
    site: &Site,
    user: UserId,
    invited_to: Option<GuildId>,
    manages: &[GuildId],
) -> Result<Response, WebError> {
    let guild = invited_to.ok_or(WebError::NoServerChosen)?;
    let merchants = &site.state.merchants;
    let was_connected = merchants.is_connected(guild).await;
    let was_connected = was_connected.map_err(not_connected)?;
    if let Err(refusal) = merchants.connect(guild, user).await {
        return Err(why_not_connected(site, refusal, guild, user, manages).await);
    }
    let done = if was_connected {
        "?done=already_connected"
    } else {
        ""
    };
    Ok(Redirect::to(&format!("/dashboard/{guild}{done}")).into_response())
}

async fn why_not_connected(
    site: &Site,
    refusal: Refusal,
    guild: GuildId,
    user: UserId,
    manages: &[GuildId],
) -> WebError {
    if !matches!(refusal, Refusal::NotFound) {
        return not_connected(refusal);
    }
    // Not a manager, or no server that the bot sees: the server is asked which.
    match (site.state.profiles)(guild, user).await {
        Ok(_) | Err(NoProfile::MemberLeft) => WebError::NeedsManageServer,
        // Discord answers the bot the same for both; the visitor it names the server while it exists.
        Err(NoProfile::BotAbsent) if manages.contains(&guild) => WebError::BotRemoved(guild),
        Err(NoProfile::BotAbsent) => WebError::ServerDeleted,
        Err(NoProfile::Unavailable(_)) => WebError::DiscordUnavailable,
    }
}

fn not_connected(refusal: Refusal) -> WebError {
    match refusal {
        Refusal::NotFound => WebError::NeedsManageServer,
        Refusal::DiscordUnavailable(_) | Refusal::NotRead(_) => WebError::DiscordUnavailable,
        other => anyhow::Error::from(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(state: &str, expires_at: u64) -> Pending {
        Pending {
            state: state.to_owned(),
            verifier: String::new(),
            return_to: ReturnTo::Home,
            expires_at: Timestamp(expires_at),
        }
    }

    #[test]
    fn a_state_works_once_and_is_forgotten_when_it_would_have_expired() {
        let callbacks = Callbacks::default();
        let now = Timestamp(100);
        callbacks.admit(&pending("a", 700), now).unwrap();
        let again = callbacks.admit(&pending("a", 700), now);
        assert_eq!(again, Err(WebError::SignInStale));
        let late = callbacks.admit(&pending("b", 100), now);
        assert_eq!(late, Err(WebError::SignInStale));
        callbacks
            .admit(&pending("c", 1_400), Timestamp(700))
            .unwrap();
        let used = callbacks.used.lock().unwrap();
        assert_eq!(used.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn more_sign_ins_than_a_burst_wait_and_stay_usable() {
        let callbacks = Callbacks::default();
        let now = Timestamp(100);
        for state in 0..BURST {
            callbacks
                .admit(&pending(&state.to_string(), 700), now)
                .unwrap();
        }
        let refused = callbacks.admit(&pending("late", 700), now);
        assert!(matches!(refused, Err(WebError::TooManyRequests(_))));
        assert!(!callbacks.used.lock().unwrap().contains_key("late"));
    }

    #[test]
    fn only_codes_of_oauth_are_logged() {
        assert_eq!(error_code("invalid_scope"), "invalid_scope");
        assert_eq!(error_code("a\nb"), "not a code");
        assert_eq!(error_code(&"a".repeat(41)), "not a code");
    }
}
