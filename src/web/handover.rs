//! *Continue in a wallet's browser*: a one-time code carries a member's sign-in to another browser, for one link alone.
//!
//! Wallets' own browsers share no sign-in with the phone's. Whoever opens the code is asked whether they are the member: a
//! code that was sent to somebody else would link their wallet to the sender's account, as a forwarded link would.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::error::{WebError, link_works};
use super::link::{Token, fresh_secret, under};
use super::params::LinkPath;
use super::post::Posted;
use super::session::{self, OwnLink, Purpose};
use super::{SignIn, Site, view};
use crate::store::LinkRequest;

/// How long a code works, in seconds.
const CODE_SECONDS: u64 = 120;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/verify/{token}/handover", post(offer))
        .route("/verify/{token}/continue", post(take))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Serialize)]
struct Offered {
    /// The wallet page, with the code.
    url: String,
    valid_seconds: u64,
}

fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

/// Makes a code; an older one of the same link stops working.
async fn offer(
    State(site): State<Arc<Site>>,
    OwnLink { token, .. }: OwnLink,
) -> Result<Json<Offered>, WebError> {
    if matches!(site.settings().sign_in, SignIn::None) {
        return Err(WebError::NoSignIn);
    }
    let code = fresh_secret()?;
    let (key, hashed) = (token.hash(), hash(&code));
    let expires_at = site.now().plus(CODE_SECONDS);
    site.with_store(move |store| store.offer_handover(&key, &hashed, expires_at))
        .await?;
    let mut url = under(
        &site.settings().public_url,
        &format!("verify/{}", token.reveal()),
    );
    url.query_pairs_mut().append_pair("code", &code);
    Ok(Json(Offered {
        url: url.into(),
        valid_seconds: CODE_SECONDS,
    }))
}

/// The code with which the wallet page is opened.
pub(super) fn code(parts: &Parts) -> Option<String> {
    let query = Query::<Code>::try_from_uri(&parts.uri);
    query.ok().map(|Query(Code { code })| code)
}

/// What a visitor with a code sees who is not signed in as the link's member: whose link it is, and the question whether that
/// is them. Nothing is used up by looking: previews and prefetches open addresses too.
pub(super) async fn page(
    site: &Site,
    token: &Token,
    request: &LinkRequest,
    code: String,
) -> Response {
    let (key, hashed, now) = (token.hash(), hash(&code), site.now());
    let works = site.with_store(move |store| store.is_handover(&key, &hashed, now));
    match works.await {
        Ok(true) => {}
        Ok(false) => return view::handover_over(site.settings(), &token.reveal()),
        Err(error) => return error.into_response(),
    }
    match site.profile(request.guild, request.user).await {
        Ok(profile) => view::take_over(site.settings(), &code, &profile),
        Err(error) => error.into_response(),
    }
}

/// Uses a code up: this browser is signed in as the link's member, for this link. For everyone who has a code.
async fn take(
    State(site): State<Arc<Site>>,
    LinkPath(token): LinkPath<String>,
    headers: HeaderMap,
    Posted(Code { code }): Posted<Code>,
) -> Result<(axum_extra::extract::CookieJar, Json<Value>), WebError> {
    let key = Token::parse(&token).ok_or(WebError::LinkUnknown)?.hash();
    let (hashed, now) = (hash(&code), site.now());
    let (request, taken) = site
        .with_store(move |store| {
            let taken = store.take_handover(&key, &hashed, now)?;
            Ok((store.request(&key)?, taken))
        })
        .await?;
    let request = request.ok_or(WebError::LinkUnknown)?;
    link_works(request.usable(now))?;
    if !taken {
        return Err(WebError::HandoverOver);
    }
    let jar = session::start(&site, request.user, Purpose::OneLink(key), &headers).await?;
    Ok((jar, Json(json!({}))))
}
