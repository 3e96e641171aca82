//! The token endpoint: codes and refresh tokens become access tokens, and access tokens end.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::grants::{Token, fresh_secret};
use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// How long an access token works. Discord says a week.
const LIFETIME: Duration = Duration::from_secs(604_800);

type Form = BTreeMap<String, String>;

/// Reads the form and checks the client's id and secret, given in the form or as Basic credentials.
fn authenticated_form(world: &World, call: &Call) -> Result<Form, ApiError> {
    if !call.is_form {
        return Err(ApiError::oauth(
            "invalid_request",
            "The body must be application/x-www-form-urlencoded.",
        ));
    }
    let form: Form = form_urlencoded::parse(&call.body).into_owned().collect();
    let given = match &call.basic {
        Some((id, secret)) => Some((id.as_str(), secret.as_str())),
        None => form
            .get("client_id")
            .zip(form.get("client_secret"))
            .map(|(id, secret)| (id.as_str(), secret.as_str())),
    };
    let id = world.options.application_id.to_string();
    if given == Some((id.as_str(), world.options.client_secret.as_str())) {
        return Ok(form);
    }
    let mut refused = ApiError::oauth("invalid_client", "Unknown client or wrong secret.");
    refused.status = StatusCode::UNAUTHORIZED;
    Err(refused)
}

/// Whether the verifier is the one behind an S256 challenge (RFC 7636, 4.6).
fn verifies(challenge: &str, verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == challenge
}

pub(crate) fn exchange(world: &mut World, call: &Call) -> Handled {
    let form = authenticated_form(world, call)?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match field("grant_type") {
        "authorization_code" => {
            let invalid = |why| ApiError::oauth("invalid_grant", why);
            // Taken out whatever follows: a code that was tried is spent.
            let code = world
                .grants
                .codes
                .remove(field("code"))
                .filter(|code| code.issued.elapsed() <= world.options.code_lifetime)
                .ok_or_else(|| invalid("Invalid \"code\" in request."))?;
            if code.redirect_uri != field("redirect_uri") {
                return Err(invalid("Invalid \"redirect_uri\" in request."));
            }
            let verified = match &code.challenge {
                Some(challenge) => verifies(challenge, field("code_verifier")),
                None => true,
            };
            if !verified {
                return Err(invalid("Invalid \"code_verifier\" in request."));
            }
            let token = Token {
                user: code.user,
                scopes: code.scopes,
                refresh: fresh_secret(),
                expires: Instant::now() + LIFETIME,
            };
            let mut answer = issue(world, token);
            if let Some(guild) = code.guild.and_then(|id| world.guilds.get(&id)) {
                answer["guild"] = shape::guild(guild, false);
            }
            Ok(Answer::json(&answer))
        }
        "refresh_token" => {
            let refresh = field("refresh_token");
            let known = world
                .grants
                .tokens
                .iter()
                .find(|(_, token)| token.refresh == refresh);
            let (access, token) = known
                .map(|(access, token)| (access.clone(), token.clone()))
                .ok_or_else(|| {
                    ApiError::oauth("invalid_grant", "Invalid \"refresh_token\" in request.")
                })?;
            world.grants.tokens.remove(&access);
            let token = Token {
                refresh: fresh_secret(),
                expires: Instant::now() + LIFETIME,
                ..token
            };
            Ok(Answer::json(&issue(world, token)))
        }
        _ => Err(ApiError::oauth(
            "unsupported_grant_type",
            "Grant type must be authorization_code or refresh_token.",
        )),
    }
}

/// Stores a token and makes the answer that hands it out.
fn issue(world: &mut World, token: Token) -> Value {
    let access = fresh_secret();
    let answer = json!({
        "token_type": "Bearer",
        "access_token": access,
        "expires_in": LIFETIME.as_secs(),
        "refresh_token": token.refresh,
        "scope": token.scopes.join(" "),
    });
    world.grants.tokens.insert(access, token);
    answer
}

pub(crate) fn revoke(world: &mut World, call: &Call) -> Handled {
    let form = authenticated_form(world, call)?;
    let given = form.get("token").map(String::as_str).unwrap_or_default();
    let mut known = world.grants.tokens.iter();
    let owner = known
        .find(|(access, token)| *access == given || token.refresh == given)
        .map(|(_, token)| token.user);
    // RFC 7009: an unknown token is as good as revoked. Of a known one Discord ends the whole authorization.
    if let Some(owner) = owner {
        world.grants.tokens.retain(|_, token| token.user != owner);
    }
    Ok(Answer::json(&json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_rfc_7636_fits_its_challenge() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies(challenge, verifier));
        assert!(!verifies(challenge, &verifier.replace('d', "e")));
        assert!(!verifies(challenge, ""));
    }
}
