//! Sign-in with Discord, and the bot's invite: the code grant with state and PKCE.
//!
//! <https://discord.com/developers/docs/topics/oauth2>. What needs the client secret is done by [`super::RedeemCode`].

mod finish;
mod return_to;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, EndpointNotSet, EndpointSet, PkceCodeChallenge, RedirectUrl,
    Scope,
};
use serde::{Deserialize, Serialize};

use super::error::WebError;
use super::link::{Token, under};
use super::params::Asked;
use super::{SignIn, Site, WebSettings, session};
use crate::domain::{GuildId, Timestamp};
pub(super) use finish::Callbacks;
use return_to::ReturnTo;

/// How long a visitor may take on Discord's page, in seconds.
const PENDING_SECONDS: u64 = 600;

/// What the bot asks for in a server: Manage Roles. <https://discord.com/developers/docs/topics/permissions>
const MANAGE_ROLES: &str = "268435456";

/// Makes the addresses of Discord's sign-in page.
pub(super) type Client =
    BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointNotSet>;

/// What is kept in the visitor's browser, encrypted, while they are on Discord's page.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    verifier: String,
    return_to: ReturnTo,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct LoginQuery {
    link: Option<String>,
    next: Option<String>,
    switch: Option<String>,
}

#[derive(Deserialize)]
struct ConnectQuery {
    guild_id: Option<GuildId>,
}

/// All of these are for everyone: they are how a visitor becomes someone.
pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/oauth/login", get(login))
        .route("/oauth/callback", get(finish::callback))
        .route("/connect", get(connect))
}

/// The client; `None` without a sign-in.
///
/// # Errors
/// When an address of Discord's is none.
pub(super) fn client(settings: &WebSettings) -> anyhow::Result<Option<Client>> {
    let SignIn::Discord { client_id, api_url } = &settings.sign_in else {
        return Ok(None);
    };
    let authorize = AuthUrl::new(under(api_url, "oauth2/authorize").into());
    let callback = RedirectUrl::new(callback_url(settings));
    let client = BasicClient::new(ClientId::new(client_id.clone()))
        .set_auth_uri(authorize.context("the sign-in address")?)
        .set_redirect_uri(callback.context("the callback address")?);
    Ok(Some(client))
}

fn callback_url(settings: &WebSettings) -> String {
    under(&settings.public_url, "oauth/callback").into()
}

async fn login(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<LoginQuery>,
) -> Result<Response, WebError> {
    let return_to = match (query.link, query.next) {
        (Some(text), _) => {
            ReturnTo::Link(Token::parse(&text).ok_or(WebError::LinkUnknown)?.reveal())
        }
        (None, Some(next)) => ReturnTo::page(&site.settings().public_url, &next)?,
        (None, None) => ReturnTo::Home,
    };
    let scopes: &[&str] = match return_to {
        ReturnTo::Page(_) => &["identify", "guilds"],
        _ => &["identify"],
    };
    // "none" lets who has agreed before pass at once.
    let prompt = if query.switch.is_some() {
        "consent"
    } else {
        "none"
    };
    start(&site, return_to, scopes, &[("prompt", prompt)])
}

/// `GET /connect`: Discord's page on which a server is chosen for the bot; with `guild_id`, for this server alone.
async fn connect(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<ConnectQuery>,
) -> Result<Response, WebError> {
    let guild = query.guild_id.map(|guild| guild.to_string());
    let mut parameters = vec![("permissions", MANAGE_ROLES)];
    if let Some(guild) = &guild {
        parameters.extend([
            ("guild_id", guild.as_str()),
            ("disable_guild_select", "true"),
        ]);
    }
    let scopes = ["bot", "applications.commands", "identify", "guilds"];
    start(&site, ReturnTo::Connect, &scopes, &parameters)
}

/// Sends the visitor to Discord.
fn start(
    site: &Site,
    return_to: ReturnTo,
    scopes: &[&str],
    parameters: &[(&str, &str)],
) -> Result<Response, WebError> {
    let client = site.sign_in.as_ref().ok_or(WebError::NoSignIn)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = client
        .authorize_url(CsrfToken::new_random)
        .add_scopes(scopes.iter().map(|scope| Scope::new((*scope).to_owned())))
        .set_pkce_challenge(challenge);
    for (name, value) in parameters {
        request = request.add_extra_param(*name, *value);
    }
    let (url, state) = request.url();
    let pending = Pending {
        state: state.into_secret(),
        verifier: verifier.into_secret(),
        return_to,
        expires_at: site.now().plus(PENDING_SECONDS),
    };
    let name = cookie_name(&pending.state);
    let cookie = session::cookie(site, &name, &pending, PENDING_SECONDS)?;
    Ok((
        session::private_jar(site).add(cookie),
        Redirect::to(url.as_str()),
    )
        .into_response())
}

/// One cookie for each sign-in under way, so that two windows do not disturb each other.
fn cookie_name(state: &str) -> String {
    let start = state.bytes().take(8).filter(u8::is_ascii_alphanumeric);
    format!("oauth_{}", start.map(char::from).collect::<String>())
}
