//! What another process of the same person may ask the running service: the plan, which needs the locked store.
//!
//! The key lies in a file beside the store that only its owner can read; it is new at every start.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, oneshot};

use super::link::fresh_secret;
use crate::domain::{PlannedChanges, Question};

/// How long `plan` waits for a service that does not know yet what it would change.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it asks in that time.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The key to a running service, and the file in which it lies; the file goes when this is dropped.
#[derive(Debug)]
pub struct ControlKey {
    secret: String,
    path: PathBuf,
}

impl ControlKey {
    /// Makes a new key and leaves it in `path` (mode 0600) together with the service's address.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn leave(path: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let secret = fresh_secret()?;
        let name = path.display();
        // A leftover of a crash may belong to someone else or be readable to others: it is never written into.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {name}"));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| writeln!(file, "{address}\n{secret}"))
            .with_context(|| format!("cannot write {name}"))?;
        Ok(Self {
            secret,
            path: path.to_owned(),
        })
    }
}

impl Drop for ControlKey {
    fn drop(&mut self) {
        // A file that stays behind opens nothing: the next start has another key.
        let _left_behind = std::fs::remove_file(&self.path);
    }
}

/// `GET /control/plan` for the holder of the key.
pub fn router(key: Arc<ControlKey>, questions: mpsc::Sender<Question>) -> Router {
    Router::new()
        .route("/control/plan", get(plan))
        .with_state((key, questions))
}

async fn plan(
    State((key, questions)): State<(Arc<ControlKey>, mpsc::Sender<Question>)>,
    headers: HeaderMap,
) -> Response {
    let given = headers
        .get(AUTHORIZATION)
        .map_or(&[][..], |value| value.as_bytes());
    let expected = format!("Bearer {}", key.secret);
    if !bool::from(given.ct_eq(expected.as_bytes())) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (answer, answered) = oneshot::channel();
    let asked = questions.send(Question::Plan { answer }).await;
    match (asked, answered.await) {
        (Ok(()), Ok(Ok(planned))) => Json(planned).into_response(),
        (Ok(()), Ok(Err(unknown))) => (StatusCode::SERVICE_UNAVAILABLE, unknown).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping").into_response(),
    }
}

/// Asks the service whose key lies in `path` for its plan. One that has just started is given time to read the chain and
/// the servers.
///
/// # Errors
/// When no service answers there, or when it cannot say for too long; with its reason.
pub async fn ask_for_plan(path: &Path) -> anyhow::Result<PlannedChanges> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the service that holds the store left no key in {name}"))?;
    let (address, secret) = text
        .trim_end()
        .split_once('\n')
        .with_context(|| format!("{name} is damaged; restart the service"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = reqwest::Client::new()
            .get(format!("http://{address}/control/plan"))
            .bearer_auth(secret)
            .send()
            .await
            .context("the running service does not answer")?;
        if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
            return answer
                .error_for_status()
                .context("the running service refuses to answer")?
                .json()
                .await
                .context("the running service answered something else than a plan");
        }
        let reason = answer
            .text()
            .await
            .context("the running service stopped in the middle of its answer")?;
        anyhow::ensure!(
            Instant::now() < deadline,
            "the running service cannot say what it would change: {reason}"
        );
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
