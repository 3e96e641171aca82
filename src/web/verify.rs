//! The wallet page and its two posts: a text to sign, and the signature that links the wallet.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::error::{WebError, link_works, signature_holds};
use super::link::{LINK_SECONDS, OPENED_SECONDS, Token, fresh_secret};
use super::link_page::OwnLinkPage;
use super::params::{Asked, LinkPath};
use super::payment::{self, FromCheckout};
use super::post::Posted;
use super::profile::Profile;
use super::session::{OwnLink, OwnLinkAnyState};
use super::siwe::{self, Mismatch, Terms};
use super::standing::{NamedRole, Standing, on_sale, outcome, settled};
use super::{SignIn, Site, proof, view};
use crate::domain::{Link, Timestamp, UserId, Wallet};
use crate::store::{Challenge, Completed, LinkOutcome, LinkRequest, RequestState, Usable};

/// How long a text to sign works, in seconds.
const CHALLENGE_SECONDS: u64 = LINK_SECONDS;

/// Longest signature that is looked at, in bytes: a smart wallet's, with its deployment.
pub(super) const LONGEST_SIGNATURE: usize = 16 * 1024;

/// How long the page itself waits for them, where they are paid for.
const HELD_PATIENCE: Duration = Duration::from_millis(500);

/// Opening the page again within so many seconds does not extend the link again: each time costs an fsync.
const EXTEND_AFTER: u64 = 60;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/verify/{token}", get(page))
        .route("/verify/{token}/challenge", post(challenge))
        .route("/verify/{token}/signature", post(signature))
        .route("/verify/{token}/standing", get(standing))
        .route("/verify/{token}/picture/{of}", get(picture))
}

async fn page(
    State(site): State<Arc<Site>>,
    OwnLinkPage(link): OwnLinkPage,
    Asked(from): Asked<FromCheckout>,
) -> Result<Response, WebError> {
    let LinkRequest { user, guild, .. } = link.request;
    let payment = payment::news(&site, &link.request, &from).await?;
    let held = match &payment {
        Some(news) if news.linked && !news.waits => {
            let settled = settled(&site, user, guild, None, HELD_PATIENCE).await;
            settled
                .map(|settled| settled.roles(guild))
                .unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let paid = payment.as_ref().map(|news| view::Paid {
        transaction: from.transaction_text().unwrap_or_default(),
        news,
        held: &held,
    });
    let profile = site.profile(guild, user).await?;
    let expires_at = extend(&site, &link).await?;
    let linked = site.with_store(move |store| store.wallets_of(user)).await?;
    let is_used = link.request.state == RequestState::Used;
    // Who has linked a wallet may have paid already, and comes to offers once that is known.
    let offers = match linked.is_empty() && payment.is_none() && !is_used {
        true => on_sale(&site, &link).await?,
        false => Vec::new(),
    };
    let shown = view::LinkPage {
        token: &link.token.reveal(),
        profile: &profile,
        guild,
        csrf: link.session.as_ref().map(|session| session.csrf.as_str()),
        chain_id: site.settings().chain_id,
        has_sign_in: link.session.is_some(),
        is_used,
        paid,
        offers: &offers,
        linked: &linked,
        expires_at,
        wallet_connect: site.settings().wallet_connect.as_ref(),
    };
    Ok(view::link(site.settings(), &shown))
}

/// Gives a signed-in member more time; until when the link works.
async fn extend(site: &Site, link: &OwnLink) -> Result<Timestamp, WebError> {
    let now = site.now();
    let until = now.plus(OPENED_SECONDS);
    let expires_at = link.request.expires_at;
    if link.session.is_none()
        || link.request.state == RequestState::Used
        || expires_at.plus(EXTEND_AFTER) >= until
    {
        return Ok(expires_at);
    }
    let key = link.token.hash();
    site.with_store(move |store| store.extend_request(&key, until, now))
        .await?;
    Ok(until)
}

#[derive(Deserialize)]
struct ChallengeRequest {
    address: String,
    /// What the visitor typed where there is no sign-in.
    discord_name: Option<String>,
    /// For a wallet that takes longer to sign than an ordinary key: the text then lives as long as the link.
    #[serde(default)]
    for_contract: bool,
}

#[derive(Serialize)]
struct ChallengeAnswer {
    message: String,
    valid_seconds: u64,
    /// The wallet is linked to another Discord account, which will lose it.
    moves: bool,
}

async fn challenge(
    State(site): State<Arc<Site>>,
    OwnLink { token, request, .. }: OwnLink,
    Posted(body): Posted<ChallengeRequest>,
) -> Result<Json<ChallengeAnswer>, WebError> {
    let wallet: Wallet = body
        .address
        .trim()
        .parse()
        .map_err(|_| WebError::BadAddress)?;
    let user = request.user;
    let profile = site.profile(request.guild, user).await?;
    if matches!(site.settings().sign_in, SignIn::None) {
        // The one thing that shows the visitor whose link this is.
        let typed = body.discord_name.as_deref().unwrap_or_default();
        let typed = typed.trim().trim_start_matches('@');
        if !typed.eq_ignore_ascii_case(&profile.username) {
            return Err(WebError::NameMismatch);
        }
    }
    let owner = site.with_store(move |store| store.link_of(wallet)).await?;
    let moves = owner.is_some_and(|link| link.user != user);
    let challenge = write_challenge(&site, &token, &request, &profile, wallet, &body, moves)?;
    let (message, expires_at) = (challenge.message.clone(), challenge.expires_at);
    let limit = site.settings().links_per_member;
    let now = site.now();
    let (full, usable) = site
        .with_store(move |store| {
            if store.is_full(user, wallet, limit)? {
                return Ok((true, Usable::Yes));
            }
            Ok((false, store.put_challenge(&challenge, now)?))
        })
        .await?;
    if full {
        return Err(WebError::TooManyWallets(limit));
    }
    link_works(usable)?;
    Ok(Json(ChallengeAnswer {
        message,
        valid_seconds: expires_at.0.saturating_sub(now.0),
        moves,
    }))
}

fn write_challenge(
    site: &Site,
    token: &Token,
    request: &LinkRequest,
    profile: &Profile,
    wallet: Wallet,
    body: &ChallengeRequest,
    moves: bool,
) -> Result<Challenge, WebError> {
    let now = site.now();
    let nonce = fresh_secret()?;
    let soon = now.plus(CHALLENGE_SECONDS);
    let expires_at = match body.for_contract {
        true => soon.max(request.expires_at),
        false => soon,
    };
    let message = siwe::write(&Terms {
        public_url: &site.settings().public_url,
        wallet,
        statement: proof::statement(
            (&profile.username, request.user),
            (&profile.server_name, request.guild),
            moves,
        ),
        chain_id: site.settings().chain_id,
        nonce: &nonce,
        request_id: hex::encode(&token.hash()[..8]),
        issued_at: now,
        expires_at,
    })?;
    Ok(Challenge {
        request: token.hash(),
        user: request.user,
        nonce,
        wallet,
        message,
        expires_at,
        state: RequestState::Open,
    })
}

/// The signed text and its signature, `0x` and hexadecimal digits.
#[derive(Deserialize)]
pub(super) struct SignatureRequest {
    pub(super) message: String,
    pub(super) signature: String,
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
    let (challenge, signature) = signed(&site, &request, &body).await?;
    let (user, wallet) = (request.user, challenge.wallet);
    complete(&site, key, user, challenge, signature).await?;
    let standing = settled(
        &site,
        user,
        request.guild,
        Some(wallet),
        site.settings().roles_within,
    )
    .await;
    Ok(Json(SignatureAnswer {
        address: wallet.to_string(),
        roles: standing
            .map(|standing| standing.roles(request.guild))
            .unwrap_or_default(),
    }))
}

/// The challenge that was signed, and the signature, which its wallet acknowledges.
pub(super) async fn signed(
    site: &Site,
    request: &LinkRequest,
    body: &SignatureRequest,
) -> Result<(Challenge, Vec<u8>), WebError> {
    let challenge = given_out(site, request, &body.message).await?;
    let signature = read_signature(&body.signature)?;
    let check = &site.state.wallets;
    let verdict = check(
        challenge.wallet,
        challenge.message.clone(),
        signature.clone(),
    )
    .await;
    signature_holds(verdict, site.settings().chain_id)?;
    Ok((challenge, signature))
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

/// `GET /verify/{token}/standing`: what came of a link, for the page that used it, and of the payment that the visitor brings
/// from the checkout. Waits for roles on their way.
async fn standing(
    State(site): State<Arc<Site>>,
    OwnLinkAnyState(link): OwnLinkAnyState,
    Asked(from): Asked<FromCheckout>,
) -> Result<Json<Standing>, WebError> {
    let request = &link.request;
    let payment = payment::news(&site, request, &from).await?;
    let is_used = request.has_outcome(site.now());
    if !is_used {
        // An open link has an outcome only of a payment.
        payment.as_ref().ok_or(WebError::LinkExpired)?;
        link_works(request.usable(site.now()))?;
    }
    if let Some(news) = &payment
        && (news.waits || !(is_used || news.linked))
    {
        return Ok(Json(Standing::default().with(payment)));
    }
    let standing = settled(
        &site,
        request.user,
        request.guild,
        None,
        site.settings().roles_within,
    )
    .await;
    let standing = standing.ok_or(WebError::NotReady(
        "The roles cannot be looked up right now; they arrive on their own.",
    ))?;
    let outcome = outcome(&site, &link, &standing).await;
    Ok(Json(outcome.with(payment)))
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
