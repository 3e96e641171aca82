//! The merchant's wallet: a text to sign and the signature, as on the wallet page.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::Site;
use super::super::error::WebError;
use super::super::link::{LINK_SECONDS, OPENED_SECONDS, fresh_secret};
use super::super::post::Posted;
use super::super::session::SignedIn;
use super::super::siwe::{self, Mismatch, Terms};
use super::super::verify::{SignatureRequest, signed};
use super::Failure;
use crate::domain::{GuildId, ModuleAddress, UserId, Wallet};
use crate::merchants::Refusal;
use crate::store::{Challenge, RequestState, Usable};

/// In place of a server: a merchant's wallet belongs to none.
const NO_SERVER: GuildId = GuildId(0);

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/me/wallet/challenge", post(challenge))
        .route("/api/v1/me/wallet/signature", post(signature))
}

#[derive(Deserialize)]
struct ChallengeRequest {
    address: String,
    /// The wallet may be one whose owners sign one after the other.
    #[serde(default)]
    for_contract: bool,
}

#[derive(Serialize)]
struct ChallengeAnswer {
    message: String,
    /// How long it works.
    valid_seconds: u64,
}

#[derive(Serialize)]
struct SignatureAnswer {
    address: String,
    modules: Vec<String>,
}

async fn challenge(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
    Posted(body): Posted<ChallengeRequest>,
) -> Result<Json<ChallengeAnswer>, Failure> {
    let valid_seconds = match body.for_contract {
        true => OPENED_SECONDS,
        false => LINK_SECONDS,
    };
    let message = give_out(&site, session.user, &body.address, valid_seconds).await?;
    Ok(Json(ChallengeAnswer {
        message,
        valid_seconds,
    }))
}

async fn signature(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
    Posted(body): Posted<SignatureRequest>,
) -> Result<Json<SignatureAnswer>, Failure> {
    let (wallet, modules) = accept(&site, session.user, &body).await?;
    Ok(Json(SignatureAnswer {
        address: wallet.to_string(),
        modules: modules.iter().map(ToString::to_string).collect(),
    }))
}

/// The text that a wallet shall sign within so many seconds to be a user's as a merchant; one given out before stops working.
pub(in crate::web) async fn give_out(
    site: &Site,
    user: UserId,
    address: &str,
    seconds: u64,
) -> Result<String, Failure> {
    let wallet: Wallet = address.trim().parse().map_err(|_| Refusal::NotAnAddress)?;
    let (key, now, nonce) = (request_of(user), site.now(), fresh_secret()?);
    let expires_at = now.plus(seconds);
    let message = siwe::write(&Terms {
        public_url: &site.settings().public_url,
        wallet,
        statement: format!(
            "Manage Discord roles for the subscription plans of this wallet, as the Discord account with the id {user}. Signing is free and moves nothing."
        ),
        chain_id: site.settings().chain_id,
        nonce: &nonce,
        request_id: hex::encode(&key[..8]),
        issued_at: now,
        expires_at,
    })?;
    let challenge = Challenge {
        request: key,
        user,
        nonce,
        wallet,
        message: message.clone(),
        expires_at,
        state: RequestState::Open,
    };
    site.with_store(move |store| {
        store.open_request(&key, user, NO_SERVER, expires_at)?;
        store.put_challenge(&challenge, now)
    })
    .await?;
    Ok(message)
}

/// Checks the signed text, and keeps the wallet as the merchant's; the modules that are its.
pub(in crate::web) async fn accept(
    site: &Site,
    user: UserId,
    body: &SignatureRequest,
) -> Result<(Wallet, Vec<ModuleAddress>), Failure> {
    let key = request_of(user);
    let request = site.with_store(move |store| store.request(&key)).await?;
    let request = request.ok_or(WebError::ChallengeMissing)?;
    let (challenge, signature) = signed(site, &request, body).await?;
    let (nonce, now) = (challenge.nonce.clone(), site.now());
    let used = site
        .with_store(move |store| store.use_request(&key, &nonce, user, now))
        .await?;
    match used {
        Usable::Yes => {}
        Usable::Expired => return Err(WebError::Message(Mismatch::Expired).into()),
        Usable::Unknown | Usable::Used | Usable::Replaced => {
            return Err(WebError::NonceUsed.into());
        }
    }
    let proof = (challenge.message, signature);
    let merchants = &site.state.merchants;
    let modules = merchants.set_wallet(user, challenge.wallet, proof).await?;
    tracing::info!(%user, "a merchant's wallet was shown");
    Ok((challenge.wallet, modules))
}

/// Under which a merchant's texts are stored. A link's key is the hash of a random token, and never one of these.
fn request_of(user: UserId) -> [u8; 32] {
    Sha256::digest(format!("merchant wallet of {user}")).into()
}
