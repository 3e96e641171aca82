//! The only way out to Discord's REST API, through our own limits.
//!
//! Requests are written by path. serenity's own know neither all routes nor all fields, and its rate limiter ignores a proxy
//! address and hides the headers of a 429; so it is off, in production and in the sandbox alike.

use std::fmt::Display;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serenity::http::{Http, HttpBuilder};
use tokio::sync::Notify;
use url::Url;

use super::Settings;
use super::error::Failure;
use super::limits::{Answer, Lane, Limits, Ticket, Wait};
use crate::clock::machine_time;
use crate::http::client_to;

/// How long a request may take, connecting and reading included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From such a wait on, the operator is told when it ends.
const LONG: Duration = Duration::from_secs(60);

/// Discord wants this form, and may refuse clients without it.
/// <https://discord.com/developers/docs/reference#user-agent>
const USER_AGENT: &str = concat!(
    "DiscordBot (https://amser.io, ",
    env!("CARGO_PKG_VERSION"),
    ") amser-roles"
);
const AUDIT_LOG_REASON: HeaderName = HeaderName::from_static("x-audit-log-reason");
/// Separates the parts of a body with a file; JSON and ids have no such line.
const BOUNDARY: &str = "amser-roles-7b1f0c9d2e";

#[derive(Debug)]
pub(crate) struct Rest {
    client: reqwest::Client,
    /// Without a slash at its end.
    api_url: String,
    authorization: HeaderValue,
    limits: Mutex<Limits>,
    /// Signalled when an answer came: whoever waits for one asks again.
    answered: Notify,
}

/// The right to send one request now; sending uses it up, dropping gives it back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    rest: &'a Rest,
    ticket: Option<Ticket>,
    sent: bool,
}

impl Rest {
    pub(crate) fn new(settings: &Settings, token: &SecretString) -> anyhow::Result<Self> {
        let mut authorization =
            HeaderValue::try_from(format!("Bot {}", token.expose_secret().trim()))
                .context("the bot token has characters that no token has")?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: client(&settings.api_url)?,
            api_url: settings.api_url.as_str().trim_end_matches('/').to_owned(),
            authorization,
            limits: Mutex::default(),
            answered: Notify::new(),
        })
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().expect("the limits do not panic")
    }

    /// Waits for the right to send a request of `lane`.
    pub(crate) async fn acquire(&self, lane: &Lane) -> Permit<'_> {
        loop {
            let mut answered = pin!(self.answered.notified());
            // An answer that comes between asking and waiting must not be missed.
            answered.as_mut().enable();
            let asked = self.limits().ask(lane, Instant::now());
            match asked {
                Ok(ticket) => {
                    return Permit {
                        rest: self,
                        ticket: Some(ticket),
                        sent: false,
                    };
                }
                // No answer makes this moment come sooner, so thousands of servers need not wake up for each.
                Err(Wait::Until(at)) => tokio::time::sleep_until(at.into()).await,
                Err(Wait::ForAnswer) => answered.await,
            }
        }
    }

    /// A request with the bot's token for a path below `/api/v10`.
    pub(crate) fn request(&self, method: Method, path: impl Display) -> RequestBuilder {
        self.without_token(method, format!("v10/{path}"))
            .header(AUTHORIZATION, self.authorization.clone())
    }

    /// A request without the bot's token for a path below `/api`.
    pub(super) fn without_token(&self, method: Method, path: impl Display) -> RequestBuilder {
        self.client
            .request(method, format!("{}/api/{path}", self.api_url))
    }

    /// Sends a request when the limits allow it, again after each 429, and decodes the answer.
    ///
    /// # Errors
    /// Never [`Failure::RateLimited`].
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        // On the heap: a request is large, and futures that wait for one within one another would hold it again and again.
        let body = Box::pin(self.bytes(request)).await?;
        serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))
    }

    /// Reads from a path below `/api/v10`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: impl Display) -> Result<T, Failure> {
        self.call(self.request(Method::GET, path)).await
    }

    /// As [`Rest::call`], with the answer's body as it is.
    pub(crate) async fn bytes(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        self.bytes_in(|lane| lane, request).await
    }

    /// As [`Rest::bytes`], counted in another lane than the one that the request's path tells.
    pub(super) async fn bytes_in(
        &self,
        other: impl FnOnce(Lane) -> Lane,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, Failure> {
        let request = request.build()?;
        let lane = other(Lane::of(request.method().as_str(), request.url().path()));
        loop {
            let permit = self.acquire(&lane).await;
            let request = request.try_clone().expect("no body is a stream");
            match permit.send(request).await {
                Err(Failure::RateLimited) => {}
                result => return result,
            }
        }
    }
}

pub(super) fn again(request: &RequestBuilder) -> RequestBuilder {
    request.try_clone().expect("no body is a stream")
}

/// Says why in the server's audit log; what no header can say is left out.
pub(super) fn because(request: RequestBuilder, reason: &str) -> RequestBuilder {
    match HeaderValue::try_from(reason) {
        Ok(reason) => request.header(AUDIT_LOG_REASON, reason),
        Err(_) => request,
    }
}

/// A body of JSON and one file, beside one another. `field`: what Discord calls the file; `kind`: its media type.
pub(crate) fn with_file(
    request: RequestBuilder,
    json: &Value,
    [field, name, kind]: [&str; 3],
    content: &[u8],
) -> RequestBuilder {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
         Content-Type: application/json\r\n\r\n{json}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: {kind}\r\n\r\n"
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    request
        .header(
            CONTENT_TYPE,
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body([head.as_bytes(), content, end.as_bytes()].concat())
}

impl Permit<'_> {
    fn route(&self) -> &str {
        self.ticket.as_ref().map_or("", Ticket::route)
    }

    /// Sends the request and returns the body of a successful answer.
    pub(crate) async fn send(mut self, request: reqwest::Request) -> Result<Vec<u8>, Failure> {
        let rest = self.rest;
        // From here on, also when this future is dropped, the request may have reached Discord.
        self.sent = true;
        let response = rest.client.execute(request).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await;
        let answer = Answer::read(
            status.as_u16(),
            &headers,
            body.as_deref().unwrap_or_default(),
        );
        if let Some(too_many) = answer.too_many {
            let (scope, wait) = (too_many.scope, too_many.retry_after);
            if wait >= LONG {
                let until = machine_time().plus(wait.as_secs());
                tracing::warn!(route = self.route(), ?scope, %until, "Discord accepts no such request before then");
            } else {
                tracing::info!(?scope, retry_after = ?wait, "rate limited by Discord");
            }
        }
        if let Some(ticket) = self.ticket.take() {
            rest.limits().answered(ticket, &answer, Instant::now());
        }
        rest.answered.notify_waiters();
        if status.is_success() {
            Ok(body?.to_vec())
        } else {
            Err(Failure::read(status.as_u16(), &body.unwrap_or_default()))
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        if self.sent {
            self.rest.limits().lost(ticket, Instant::now());
        } else {
            self.rest.limits().unused(ticket);
        }
        self.rest.answered.notify_waiters();
    }
}

/// serenity's own client for the gateway and for commands, whose answers need no limits of ours.
pub(crate) fn http(settings: &Settings, token: &SecretString, client: reqwest::Client) -> Http {
    HttpBuilder::new(token.expose_secret())
        .client(client)
        .proxy(settings.api_url.as_str())
        .ratelimiter_disabled(true)
        .application_id(settings.application_id.get().into())
        .build()
}

/// An HTTP client for Discord at this address.
pub(crate) fn client(api_url: &Url) -> anyhow::Result<reqwest::Client> {
    client_to(api_url)
        .user_agent(USER_AGENT)
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot set up the HTTP client for Discord")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use axum::http::HeaderMap;
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::domain::MembersIntent;

    #[tokio::test]
    async fn every_request_says_who_sends_it_and_only_the_bots_own_carry_its_token() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            application_id: NonZeroU64::MIN,
            api_url: format!("http://{}", listener.local_addr().unwrap())
                .parse()
                .unwrap(),
            members_intent: MembersIntent::Never,
        };
        let shown = |headers: HeaderMap| async move {
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap());
            Json(json!([text("user-agent"), text("authorization")]))
        };
        tokio::spawn(async move {
            let anything = Router::new().fallback(shown);
            axum::serve(listener, anything).await.unwrap();
        });
        let rest = Rest::new(&settings, &"token".into()).unwrap();
        let own = rest.request(Method::GET, "users/@me");
        let visitors = rest.without_token(Method::POST, "oauth2/token");
        for (request, token) in [(own, Some("Bot token")), (visitors, None)] {
            let (agent, sent): (String, Option<String>) = rest.call(request).await.unwrap();
            assert!(agent.starts_with("DiscordBot (https://"), "{agent}");
            assert_eq!(sent.as_deref(), token);
        }
    }
}
