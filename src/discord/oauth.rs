//! Who a visitor is: the code that Discord gave their browser is redeemed, and the token used once and revoked.
//!
//! Every request counts against the bot's own limits: Discord counts refused ones per address, whoever sent them.
//! <https://discord.com/developers/docs/topics/oauth2>

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::RwLock;
use tokio::time::timeout;
use url::form_urlencoded;

use super::Discord;
use super::error::{Failure, Reason};
use super::hierarchy::{ADMINISTRATOR, MANAGE_GUILD};
use super::limits::Lane;
use super::member::Object;
use super::rest::Rest;
use crate::domain::{GuildId, SignInCode, SignedInVisitor, UserId};

/// How long a visitor waits for Discord.
const PATIENCE: Duration = Duration::from_secs(12);

/// The application that visitors sign in to.
#[derive(Clone, Debug)]
pub struct OauthApplication {
    /// Its id.
    pub id: NonZeroU64,
    /// Its OAuth secret.
    pub secret: SecretString,
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
    #[serde(default)]
    scope: String,
    guild: Option<Object<GuildId>>,
}

/// The sign-ins under way, and the tokens that are of no use any more.
///
/// With one token Discord ends all that the visitor has of this application, so none is revoked while a sign-in, which may be
/// the same visitor's, still needs its own.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    /// Read by each sign-in; written while tokens are revoked.
    turn: RwLock<()>,
    used: Mutex<Vec<SecretString>>,
}

impl SignIns {
    fn used(&self) -> MutexGuard<'_, Vec<SecretString>> {
        self.used.lock().expect("no holder of this lock can panic")
    }
}

#[derive(Deserialize)]
struct UserGuild {
    id: GuildId,
    #[serde(default)]
    name: String,
    #[serde(default)]
    owner: bool,
    permissions: String,
}

impl UserGuild {
    fn is_managed(&self) -> bool {
        let permissions: u64 = self.permissions.parse().unwrap_or(0);
        self.owner || permissions & (ADMINISTRATOR | MANAGE_GUILD) != 0
    }
}

impl Discord {
    /// Redeems a code: who the visitor is, and which servers they manage if they allowed to tell. The token is revoked.
    ///
    /// # Errors
    /// When Discord refuses the code (the text has OAuth's error code) or does not answer in time.
    pub async fn redeem(
        &self,
        application: &OauthApplication,
        code: &SignInCode,
    ) -> anyhow::Result<SignedInVisitor> {
        let (rest, sign_ins) = (&self.shared.rest, &self.shared.sign_ins);
        let turn = sign_ins.turn.read().await;
        let token = timeout(PATIENCE, exchange(rest, application, code)).await;
        let token = token.context("Discord did not exchange the code in time")??;
        // Before it is used: a visitor may leave meanwhile, and the next one's sign-in revokes it then.
        sign_ins.used().push(token.access_token.clone());
        let visitor = timeout(PATIENCE, look(rest, &token)).await;
        drop(turn);
        let (discord, application) = (self.clone(), application.clone());
        // The visitor need not wait for this.
        tokio::spawn(async move { discord.revoke_used(&application).await });
        Ok(visitor.context("Discord did not say in time who signed in")??)
    }

    async fn revoke_used(&self, application: &OauthApplication) {
        let (rest, sign_ins) = (&self.shared.rest, &self.shared.sign_ins);
        let _turn = sign_ins.turn.write().await;
        let used = std::mem::take(&mut *sign_ins.used());
        let revoked = used
            .iter()
            .map(|token| timeout(PATIENCE, revoke(rest, application, token)));
        for revoked in join_all(revoked).await {
            match revoked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a used access token is not revoked"),
                Err(_) => tracing::warn!("a used access token is not revoked in time"),
            }
        }
    }

    /// Whether Discord accepts the application's client secret: a code that cannot be one is redeemed, and Discord looks at the
    /// secret first.
    ///
    /// # Errors
    /// When Discord cannot be reached.
    pub async fn accepts_secret(&self, application: &OauthApplication) -> Result<bool, Failure> {
        let code = SignInCode {
            code: "none".into(),
            verifier: "none".into(),
            redirect_uri: String::new(),
        };
        match exchange(&self.shared.rest, application, &code).await {
            Ok(_) => Ok(true),
            Err(Failure::Refused(refusal)) => Ok(refusal.reason != Reason::Token),
            Err(failure) => Err(failure),
        }
    }
}

async fn exchange(
    rest: &Rest,
    application: &OauthApplication,
    code: &SignInCode,
) -> Result<Token, Failure> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.code.expose_secret()),
        ("redirect_uri", &code.redirect_uri),
        ("code_verifier", code.verifier.expose_secret()),
    ];
    read(&rest.bytes(post(rest, "token", application, &form)).await?)
}

async fn look(rest: &Rest, token: &Token) -> Result<SignedInVisitor, Failure> {
    let me: Object<UserId> = ask(rest, token, "users/@me").await?;
    let may_see_guilds = token.scope.split(' ').any(|scope| scope == "guilds");
    let guilds: Vec<UserGuild> = match may_see_guilds {
        true => ask(rest, token, "users/@me/guilds").await?,
        false => Vec::new(),
    };
    let managed = guilds.into_iter().filter(UserGuild::is_managed);
    Ok(SignedInVisitor {
        user: me.id,
        manages: managed.map(|guild| (guild.id, guild.name)).collect(),
        invited_to: token.guild.as_ref().map(|guild| guild.id),
    })
}

async fn ask<T: serde::de::DeserializeOwned>(
    rest: &Rest,
    token: &Token,
    path: &str,
) -> Result<T, Failure> {
    let request = rest
        .without_token(Method::GET, format!("v10/{path}"))
        .bearer_auth(token.access_token.expose_secret());
    // Discord has a bucket per visitor here.
    let of_visitor = |lane: Lane| lane.of_visitor(rand::random());
    read(&rest.bytes_in(of_visitor, request).await?)
}

/// Ends the token and, with it, all that the visitor allowed.
async fn revoke(
    rest: &Rest,
    application: &OauthApplication,
    token: &SecretString,
) -> Result<(), Failure> {
    let form = [
        ("token", token.expose_secret()),
        ("token_type_hint", "access_token"),
    ];
    let request = post(rest, "token/revoke", application, &form);
    rest.bytes(request).await.map(drop)
}

/// A form that the application itself sends.
fn post(
    rest: &Rest,
    path: &str,
    application: &OauthApplication,
    form: &[(&str, &str)],
) -> RequestBuilder {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    rest.without_token(Method::POST, format!("oauth2/{path}"))
        .basic_auth(application.id, Some(application.secret.expose_secret()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form)
}

/// An answer that is not what it should be may hold a token, so nothing of it is quoted.
fn read<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer)
        .map_err(|_| Failure::Transient("Discord's answer to a sign-in cannot be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_or_may_manage_a_server_manages_it() {
        let is_managed = |owner, permissions: &str| {
            let guild = UserGuild {
                id: GuildId(1),
                name: String::new(),
                owner,
                permissions: permissions.to_owned(),
            };
            guild.is_managed()
        };
        assert!(is_managed(true, "0") && is_managed(false, "8") && is_managed(false, "32"));
        assert!(!is_managed(false, "268435456") && !is_managed(false, "nonsense"));
    }

    #[test]
    fn a_token_answer_names_the_server_that_the_bot_was_added_to() {
        let token: Token = read(
            br#"{"access_token":"a","scope":"bot identify","guild":{"id":"7","name":"Club"}}"#,
        )
        .unwrap();
        assert_eq!(token.guild.map(|guild| guild.id), Some(GuildId(7)));
        let token: Token = read(br#"{"access_token":"a","scope":"identify"}"#).unwrap();
        assert!(token.guild.is_none());
        let odd = read::<Token>(br#"{"token":"secret"}"#).err().unwrap();
        assert!(!odd.to_string().contains("secret"));
    }
}
