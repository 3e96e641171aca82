//! amser's HTTP API: names of plans, a second opinion on access, and the activity that a merchant's key opens. What decides
//! about access and prices comes from the chain alone.

mod activity;
mod check;
mod limits;
mod plans;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::cache::Cache;
use crate::domain::ModuleAddress;
use crate::http::client_to;
use crate::loopback::is_loopback;

pub use activity::{Activity, ActivityPage};
pub use check::{AccessCheck, Reply, ReplyKind};
pub use limits::{Limits, Window};
pub use plans::NamedPlan;

/// How long the API may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(600);
/// How long it is not asked again after it failed: pages do not wait for it each time.
const PAUSE: Duration = Duration::from_secs(30);
/// Modules whose answers are kept.
const MOST_MODULES: usize = 2_000;
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;
/// Characters of a plan's name that are shown.
const LONGEST_NAME: usize = 80;

/// The client; clones share what was asked before.
#[derive(Clone, Debug)]
pub struct AmserApi {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: Url,
    chain_id: u64,
    key: Option<HeaderValue>,
    client: reqwest::Client,
    /// `None`: it did not answer.
    plans: Cache<ModuleAddress, Option<Arc<[NamedPlan]>>>,
}

impl AmserApi {
    /// Asks nothing yet. `key`: `AMSER_ROLES_API_KEY`; sent over TLS or to this machine alone.
    ///
    /// # Errors
    /// When the key is none that a header can carry, or the HTTP client cannot be made.
    pub fn new(base: &Url, chain_id: u64, key: Option<SecretString>) -> anyhow::Result<Self> {
        let is_local = is_loopback(base);
        let client = client_to(base)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let key = key.filter(|_| is_local || base.scheme() == "https");
        let key = key.map(|key| {
            let mut header =
                HeaderValue::try_from(format!("Bearer {}", key.expose_secret().trim()))?;
            header.set_sensitive(true);
            anyhow::Ok(header)
        });
        let key = key
            .transpose()
            .map_err(|_| anyhow::anyhow!("AMSER_ROLES_API_KEY has characters that no key has"))?;
        Ok(Self {
            shared: Arc::new(Shared {
                base: base.clone(),
                chain_id,
                key,
                client: client.build().context("making the client of amser's API")?,
                plans: Cache::new(MOST_MODULES, |plans| match plans {
                    Some(_) => KEPT,
                    None => PAUSE,
                }),
            }),
        })
    }

    /// A request of a path and query that needs no key.
    fn get_public(&self, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        Ok(self.shared.client.get(self.shared.base.join(path)?))
    }

    /// A request of a path and query, with the key where there is one.
    fn get(&self, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        let mut request = self.get_public(path)?;
        if let Some(key) = &self.shared.key {
            request = request.header(AUTHORIZATION, key);
        }
        Ok(request)
    }

    /// Whether there is a merchant's key.
    pub fn has_key(&self) -> bool {
        self.shared.key.is_some()
    }
}

/// The body of an answer that is not too large.
async fn body(mut response: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        ensure!(
            body.len() + piece.len() <= LARGEST_ANSWER,
            "its answer is larger than a megabyte"
        );
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
