//! The wallet page and its two posts: a text to sign, and the signature that links the wallet.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::error::{WebError, link_works, signature_holds};
use super::link::{LINK_SECONDS, fresh_secret};
use super::params::LinkPath;
use super::post::Posted;
use super::session::{OwnLink, OwnLinkAnyState};
use super::siwe::{self, Mismatch, Terms};
use super::standing::{NamedRole, Standing, settled, shown};
use super::{SignIn, Site, view};
use crate::domain::{Link, UserId, Wallet};
use crate::store::{Challenge, Completed, LinkOutcome, LinkRequest, RequestState, Usable};

/// How long a text to sign works, in seconds.
const CHALLENGE_SECONDS: u64 = LINK_SECONDS;

/// Longest signature that is looked at, in bytes: a smart wallet's, with its deployment.
const LONGEST_SIGNATURE: usize = 16 * 1024;

/// How long the answer to a signature waits for the roles.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a page may ask for its outcome after the link's time, in seconds.
const OUTCOME_SECONDS: u64 = 600;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/verify/{token}", get(page))
        .route("/verify/{token}/challenge", post(challenge))
        .route("/verify/{token}/signature", post(signature))
        .route("/verify/{token}/standing", get(standing))
        .route("/verify/{token}/picture/{of}", get(picture))
}

async fn page(State(site): State<Arc<Site>>, link: OwnLink) -> Result<Response, WebError> {
    let LinkRequest { user, guild, .. } = link.request;
    let profile = site.profile(guild, user).await?;
    let csrf = link.session.as_ref().map(|session| session.csrf.as_str());
    let shown = view::LinkPage {
        token: &link.token.reveal(),
        profile: &profile,
        guild,
        csrf,
        chain_id: site.settings().chain_id,
        types_name: matches!(site.settings().sign_in, SignIn::None),
        wallet_connect: site.settings().wallet_connect.as_ref(),
    };
    Ok(view::link(site.settings(), &shown))
}

#[derive(Deserialize)]
struct ChallengeRequest {
    address: String,
    /// What the visitor typed where there is no sign-in.
    discord_name: Option<String>,
}

#[derive(Serialize)]
struct ChallengeAnswer {
    message: String,
}

async fn challenge(
    State(site): State<Arc<Site>>,
    OwnLink { token, request, .. }: OwnLink,
    Posted(body): Posted<ChallengeRequest>,
) -> Result<Json<ChallengeAnswer>, WebError> {
    let key = token.hash();
    let wallet: Wallet = body
        .address
        .trim()
        .parse()
        .map_err(|_| WebError::BadAddress)?;
    let profile = site.profile(request.guild, request.user).await?;
    let typed = body.discord_name.as_deref().map(str::trim);
    if typed.is_some_and(|typed| {
        !typed
            .trim_start_matches('@')
            .eq_ignore_ascii_case(&profile.username)
    }) {
        return Err(WebError::NameMismatch);
    }
    let now = site.now();
    let nonce = fresh_secret()?;
    let expires_at = now.plus(CHALLENGE_SECONDS);
    let message = siwe::write(&Terms {
        public_url: &site.settings().public_url,
        wallet,
        statement: format!(
            "Link this wallet to the Discord account {} (id {}) in the server {} (id {}). Signing is free and moves nothing.",
            siwe::plain(&profile.username),
            request.user,
            siwe::plain(&profile.server_name),
            request.guild,
        ),
        chain_id: site.settings().chain_id,
        nonce: &nonce,
        request_id: hex::encode(&key[..8]),
        issued_at: now,
        expires_at,
    })?;
    let challenge = Challenge {
        request: key,
        user: request.user,
        nonce,
        wallet,
        message: message.clone(),
        expires_at,
        state: RequestState::Open,
    };
    let limit = site.settings().links_per_member;
    let (full, usable) = site
        .with_store(move |store| {
            if store.is_full(request.user, wallet, limit)? {
                return Ok((true, Usable::Yes));
            }
            Ok((false, store.put_challenge(&challenge, now)?))
        })
        .await?;
    if full {
        return Err(WebError::TooManyWallets(limit));
    }
    link_works(usable)?;
    Ok(Json(ChallengeAnswer { message }))
}

#[derive(Deserialize)]
struct SignatureRequest {
    message: String,
    signature: String,
}

#[derive(Serialize)]
struct SignatureAnswer {
    address: String,
    roles: Vec<NamedRole>,
}

async fn signature(
    State(site): State<Arc<Site>>,
    OwnLink { token, request, .. }: OwnLink,
    Posted(body): Posted<SignatureRequest>,
) -> Result<Json<SignatureAnswer>, WebError> {
    let key = token.hash();
    let challenge = given_out(&site, &request, &body.message).await?;
    let signature = read_signature(&body.signature)?;
    let check = &site.state.wallets;
    let verdict = check(
        challenge.wallet,
        challenge.message.clone(),
        signature.clone(),
    )
    .await;
    signature_holds(verdict, site.settings().chain_id)?;
    let (user, wallet) = (request.user, challenge.wallet);
    complete(&site, key, user, challenge, signature).await?;
    let standing = settled(&site, user, request.guild, Some(wallet), PATIENCE).await;
    let checkout = &site.settings().checkout_url;
    let standing = standing.map(|standing| shown(&standing, request.guild, checkout));
    Ok(Json(SignatureAnswer {
        address: wallet.to_string(),
        roles: standing.map(|standing| standing.roles).unwrap_or_default(),
    }))
}

/// The challenge that a text answers, if it is the one given out to this link.
async fn given_out(
    site: &Site,
    request: &LinkRequest,
    message: &str,
) -> Result<Challenge, WebError> {
    if message.len() > siwe::LONGEST_MESSAGE {
        return Err(WebError::Message(Mismatch::TooLong));
    }
    let newest = request.nonce.clone().ok_or(WebError::ChallengeMissing)?;
    let named = siwe::nonce(message);
    let (challenge, named) = site
        .with_store(move |store| {
            let named = named.map(|nonce| store.challenge(&nonce)).transpose()?;
            Ok((store.challenge(&newest)?, named.flatten()))
        })
        .await?;
    let challenge = challenge.ok_or(WebError::ChallengeMissing)?;
    match siwe::check(&challenge.message, message, site.now()) {
        Ok(()) => Ok(challenge),
        // A text that was given out once, and whose turn is over.
        Err(Mismatch::Nonce) if named.is_some_and(|old| old.state != RequestState::Open) => {
            Err(WebError::NonceUsed)
        }
        Err(mismatch) => Err(WebError::Message(mismatch)),
    }
}

fn read_signature(text: &str) -> Result<Vec<u8>, WebError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() > 2 * LONGEST_SIGNATURE {
        return Err(WebError::SignatureMalformed);
    }
    hex::decode(digits).map_err(|_| WebError::SignatureMalformed)
}

/// Uses up link and challenge and links the wallet.
async fn complete(
    site: &Site,
    key: [u8; 32],
    user: UserId,
    challenge: Challenge,
    signature: Vec<u8>,
) -> Result<(), WebError> {
    let now = site.now();
    let limit = site.settings().links_per_member;
    let wallet = challenge.wallet;
    let completed = site
        .with_store(move |store| {
            let link = Link {
                user,
                wallet,
                linked_at: now,
                proof: Some((challenge.message, signature)),
            };
            store.complete_request(&key, &challenge.nonce, &link, limit, now)
        })
        .await?;
    match completed {
        Completed::Linked(LinkOutcome::TooMany) => return Err(WebError::TooManyWallets(limit)),
        // A former owner is told of by the store.
        Completed::Linked(LinkOutcome::Linked | LinkOutcome::Moved(_)) => {}
        Completed::Request(usable) => return link_works(usable),
        Completed::Challenge(Usable::Expired) => {
            return Err(WebError::Message(Mismatch::Expired));
        }
        Completed::Challenge(_) => return Err(WebError::NonceUsed),
    }
    // Never together with the wallet: the log of a server must not tell whose wallet is whose.
    tracing::info!(%user, "wallet linked");
    metrics::counter!("amser_roles_wallets_linked_total").increment(1);
    Ok(())
}

/// `GET /verify/{token}/standing`: what came of a link, for the page that used it. Waits for roles on their way.
async fn standing(
    State(site): State<Arc<Site>>,
    OwnLinkAnyState(OwnLink { request, .. }): OwnLinkAnyState,
) -> Result<Json<Standing>, WebError> {
    if request.state != RequestState::Used || site.now() >= request.expires_at.plus(OUTCOME_SECONDS)
    {
        return Err(WebError::LinkExpired);
    }
    let standing = settled(&site, request.user, request.guild, None, PATIENCE).await;
    let standing = standing.ok_or(WebError::NotReady(
        "The roles cannot be looked up right now; they arrive on their own.",
    ))?;
    let checkout = &site.settings().checkout_url;
    Ok(Json(shown(&standing, request.guild, checkout)))
}

/// `GET /verify/{token}/picture/{server|member}`: from Discord's CDN by way of us.
async fn picture(
    State(site): State<Arc<Site>>,
    OwnLinkAnyState(OwnLink { request, .. }): OwnLinkAnyState,
    LinkPath((_, of)): LinkPath<(String, String)>,
) -> Result<Response, WebError> {
    let LinkRequest { user, guild, .. } = request;
    let url = match of.as_str() {
        "server" => site.profile(guild, user).await?.server_icon,
        "member" => site.profile(guild, user).await?.avatar,
        _ => None,
    };
    Ok(site.picture(url).await?.into_response())
}
