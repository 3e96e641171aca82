//! Sign-in with Discord: the code grant with state and PKCE, for who the visitor is and nothing else.
//!
//! <https://discord.com/developers/docs/topics/oauth2>. The access token is used once and kept nowhere.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse as _, TokenUrl,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::error::WebError;
use super::layers::{refuse, wants_page};
use super::link::{Token, under};
use super::params::Asked;
use super::{SignIn, Site, session, view};
use crate::domain::{Timestamp, UserId};

/// How long a visitor may take on Discord's page, in seconds.
const PATIENCE_SECONDS: u64 = 600;

/// Larger answers of Discord's are none of its own.
const LARGEST_ANSWER: usize = 64 * 1024;

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// What is kept in the visitor's browser between leaving and coming back.
#[derive(Serialize, Deserialize)]
struct Leaving {
    state: String,
    verifier: String,
    /// The token of the link to go on with.
    link: Option<String>,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct LoginQuery {
    link: Option<String>,
    #[serde(default)]
    switch: Option<String>,
}

#[derive(Deserialize)]
struct CallbackQuery {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct DiscordUser {
    id: UserId,
}

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/oauth/login", get(login))
        .route("/oauth/callback", get(callback))
}

async fn login(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<LoginQuery>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    leave(&site, query).unwrap_or_else(|error| refuse(error, wants_page(&method, &headers)))
}

fn leave(site: &Site, query: LoginQuery) -> Result<Response, WebError> {
    let (client, _) = client(site)?.ok_or(WebError::NotFound)?;
    // Only ever a token, so that nobody can be sent anywhere else afterwards.
    let link = match query.link {
        Some(text) => Some(Token::parse(&text).ok_or(WebError::LinkUnknown)?.reveal()),
        None => None,
    };
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let prompt = if query.switch.is_some() {
        "consent"
    } else {
        "none"
    };
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("identify".to_owned()))
        .add_extra_param("prompt", prompt)
        .set_pkce_challenge(challenge)
        .url();
    let leaving = Leaving {
        state: state.into_secret(),
        verifier: verifier.into_secret(),
        link,
        expires_at: site.now().plus(PATIENCE_SECONDS),
    };
    let cookie = session::cookie(site, "oauth", &leaving, PATIENCE_SECONDS)?;
    Ok((session::jar(site).add(cookie), Redirect::to(url.as_str())).into_response())
}

async fn callback(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<CallbackQuery>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let come_back = come_back(&site, query, &headers).await;
    // Used up whatever comes of it.
    let spent =
        session::cookie(&site, "oauth", &(), 0).map(|cookie| session::jar(&site).add(cookie));
    let response = come_back.unwrap_or_else(|error| refuse(error, wants_page(&method, &headers)));
    match spent {
        Ok(spent) => (spent, response).into_response(),
        Err(error) => WebError::from(error).into_response(),
    }
}

async fn come_back(
    site: &Site,
    query: CallbackQuery,
    headers: &HeaderMap,
) -> Result<Response, WebError> {
    let (client, api_url) = client(site)?.ok_or(WebError::NotFound)?;
    let leaving: Leaving = session::get(site, headers, "oauth").ok_or(WebError::SignInStale)?;
    let state = query.state.unwrap_or_default();
    let same: bool = state.as_bytes().ct_eq(leaving.state.as_bytes()).into();
    if !same || site.now() >= leaving.expires_at {
        return Err(WebError::SignInStale);
    }
    if query.error.is_some() {
        return Err(WebError::SignInDeclined);
    }
    let code = query.code.ok_or(WebError::BadRequest)?;
    let user = who(site, &client, api_url, code, leaving.verifier)
        .await
        .map_err(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "a sign-in with Discord failed"
            );
            WebError::SignInFailed
        })?;
    tracing::debug!(%user, "signed in");
    let jar = session::start(site, user)?;
    let next = match leaving.link {
        Some(link) => {
            let url = under(&site.settings().public_url, &format!("verify/{link}"));
            Redirect::to(url.as_str()).into_response()
        }
        None => view::signed_in(site.settings()),
    };
    Ok((jar, next).into_response())
}

/// Exchanges the code and asks Discord whose it is.
async fn who(
    site: &Site,
    client: &Client,
    api_url: &Url,
    code: String,
    verifier: String,
) -> anyhow::Result<UserId> {
    let http = site.http.clone();
    let send = move |request: HttpRequest| send(http.clone(), request);
    let token = client
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier))
        .request_async(&send)
        .await
        // The error's own text may quote Discord's answer, and with it a token.
        .map_err(|_| anyhow::anyhow!("Discord did not exchange the code"))?;
    let me = site
        .http
        .get(under(api_url, "api/v10/users/@me"))
        .bearer_auth(token.access_token().secret())
        .send()
        .await?
        .error_for_status()?;
    let user: DiscordUser = serde_json::from_slice(&limited(me).await?)?;
    Ok(user.id)
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Unsent> {
    let answer = async {
        let answer = http.execute(request.try_into()?).await?;
        let mut response = oauth2::http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        anyhow::Ok(response.body(limited(answer).await?)?)
    };
    answer.await.map_err(Unsent)
}

/// The oauth2 crate wants an error type of its own.
#[derive(Debug, thiserror::Error)]
#[error("Discord could not be asked: {0:#}")]
struct Unsent(anyhow::Error);

/// The body, unless it is too large.
async fn limited(mut answer: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(
            body.len() + chunk.len() <= LARGEST_ANSWER,
            "too large an answer"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The client and Discord's base URL, where sign-in is configured.
fn client(site: &Site) -> anyhow::Result<Option<(Client, &Url)>> {
    let SignIn::Discord {
        client_id,
        client_secret,
        api_url,
    } = &site.settings().sign_in
    else {
        return Ok(None);
    };
    let authorize = under(api_url, "oauth2/authorize");
    let token = under(api_url, "api/oauth2/token");
    let callback = under(&site.settings().public_url, "oauth/callback");
    let client = BasicClient::new(ClientId::new(client_id.clone()))
        .set_client_secret(ClientSecret::new(client_secret.expose_secret().to_owned()))
        .set_auth_uri(AuthUrl::new(authorize.into()).context("the sign-in address")?)
        .set_token_uri(TokenUrl::new(token.into()).context("the token address")?)
        .set_redirect_uri(RedirectUrl::new(callback.into()).context("the callback address")?);
    Ok(Some((client, api_url)))
}
