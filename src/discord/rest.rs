//! The only way out to Discord's REST API: serenity's requests, sent through our own limits.
//!
//! serenity's rate limiter ignores a proxy address and hides the headers of a 429, so it is off, in production and in
//! the sandbox alike.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serenity::http::{Http, HttpBuilder, LightMethod, Request, Route};
use tokio::sync::Notify;
use url::Url;

use super::Settings;
use super::error::Failure;
use super::limits::{Answer, Lane, Limits, Ticket, Wait};
use crate::clock::machine_time;

/// How long a request may take, connecting and reading included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From such a wait on, the operator is told when it ends.
const LONG: Duration = Duration::from_secs(60);

/// The REST client.
pub(crate) struct Rest {
    http: Http,
    client: reqwest::Client,
    api_url: Url,
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

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}

impl Rest {
    pub(crate) fn new(settings: &Settings, token: &SecretString) -> anyhow::Result<Self> {
        let client = client(settings)?;
        let http = http(settings, token, client.clone());
        Ok(Self {
            http,
            client,
            api_url: settings.api_url.clone(),
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

    /// Sends a request when the limits allow it, again after each 429, and decodes the answer.
    ///
    /// # Errors
    /// Never [`Failure::RateLimited`].
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, Failure> {
        // On the heap: a request is large, and futures that wait for one within one another would hold it again and again.
        let body = Box::pin(self.bytes(request)).await?;
        serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))
    }

    /// Reads from a route.
    pub(super) async fn get<T: DeserializeOwned>(&self, route: Route<'_>) -> Result<T, Failure> {
        self.call(Request::new(route, LightMethod::Get)).await
    }

    /// What the bot sends as `Authorization`.
    pub(super) fn authorization(&self) -> &str {
        self.http.token()
    }

    /// An address of Discord's, by its path.
    pub(super) fn url(&self, path: &str) -> String {
        let base = self.api_url.as_str().trim_end_matches('/');
        format!("{base}/{path}")
    }

    /// Sends a request that serenity cannot write, within the bot's limits, and again after each 429.
    ///
    /// # Errors
    /// Never [`Failure::RateLimited`].
    pub(super) async fn send_built(
        &self,
        lane: &Lane,
        build: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<Vec<u8>, Failure> {
        loop {
            let permit = self.acquire(lane).await;
            match permit.execute(build(&self.client).build()?).await {
                Err(Failure::RateLimited) => {}
                result => return result,
            }
        }
    }

    /// As [`Rest::call`], with the answer's body as it is.
    pub(crate) async fn bytes(&self, request: Request<'_>) -> Result<Vec<u8>, Failure> {
        let method = request.method_ref().reqwest_method();
        let lane = Lane::of(method.as_str(), &request.route_ref().path());
        loop {
            let permit = self.acquire(&lane).await;
            match permit.send(request.clone()).await {
                Err(Failure::RateLimited) => {}
                result => return result,
            }
        }
    }
}

impl Permit<'_> {
    fn route(&self) -> &str {
        self.ticket.as_ref().map_or("", Ticket::route)
    }

    /// Sends the request and returns the body of a successful answer.
    pub(crate) async fn send(self, request: Request<'_>) -> Result<Vec<u8>, Failure> {
        let rest = self.rest;
        let built = request.build(&rest.client, rest.http.token(), rest.http.proxy.as_deref());
        let request = built
            .map_err(|error| Failure::Transient(error.to_string()))?
            .build()?;
        self.execute(request).await
    }

    async fn execute(mut self, mut request: reqwest::Request) -> Result<Vec<u8>, Failure> {
        let rest = self.rest;
        if let Some(token) = request.headers_mut().get_mut(AUTHORIZATION) {
            token.set_sensitive(true);
        }
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

/// The HTTP client.
pub(crate) fn client(settings: &Settings) -> anyhow::Result<reqwest::Client> {
    let local = match settings.api_url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    // A proxy of the machine's environment cannot reach the local Discord.
    build(local)
}

/// A client for addresses of this machine.
pub(crate) fn client_without_proxy() -> anyhow::Result<reqwest::Client> {
    build(true)
}

fn build(without_proxy: bool) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if without_proxy {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .context("cannot set up the HTTP client for Discord")
}
