//! What another process of the same person may ask the running service, which holds the store: over a Unix socket beside
//! the store that only its owner can open, so there is no route of the pages and no key.
//!
//! HTTP, so that each question is a route. A part that answers one gives a router; `app` merges them.

mod doctor;
mod plan;
mod rebuild;
mod stream;
mod transfer;

use std::fs::{DirBuilder, Permissions};
use std::future::IntoFuture as _;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub use doctor::{Examine, ask_for_findings, doctor_routes};
pub use plan::{ask_for_plan, plan_routes};
pub use rebuild::{ReadAgain, RebuildStep, ask_for_rebuild, rebuild_routes};
pub use transfer::{ask_for_backup, store_routes};

/// The bound socket.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket at `path`, in place of one that a crash left behind.
    ///
    /// # Errors
    /// When it cannot be made: on a file system without sockets, or at a path that is too long for one.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        // Made where only its owner can look, so that at no moment anybody else can open it.
        let folder = path.with_extension("control-new");
        remove(|| std::fs::remove_dir_all(&folder))
            .with_context(|| format!("cannot remove {}", folder.display()))?;
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
        let socket = folder.join("s");
        let bound = UnixListener::bind(&socket).and_then(|listener| {
            std::fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
            std::fs::rename(&socket, path)?;
            Ok(listener)
        });
        // Empty by now, or of no use.
        let _left_behind = std::fs::remove_dir_all(&folder);
        Ok(Self {
            listener: bound.with_context(|| format!("cannot make the socket {name}"))?,
            path: path.to_owned(),
        })
    }

    /// Answers until `stop`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, routes: Router, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, path } = self;
        let _removed = RemovedAtTheEnd(path);
        // What is under way is cut off at the stop: a backup that is not whole is no backup, and nobody waits for it.
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            served = axum::serve(listener, routes).into_future() => {
                served.context("the control socket failed")
            }
        }
    }
}

struct RemovedAtTheEnd(PathBuf);

impl Drop for RemovedAtTheEnd {
    fn drop(&mut self) {
        // A file that stays behind is replaced at the next start.
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

/// Runs a removal; that there is nothing to remove is fine.
fn remove(removal: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    match removal() {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The running service, as another process asks it.
#[derive(Clone, Debug)]
pub struct Running {
    client: reqwest::Client,
    path: PathBuf,
}

impl Running {
    /// The service whose socket is at `path`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let client = crate::http::local_client()
            .unix_socket(path)
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self {
            client,
            path: path.to_owned(),
        })
    }

    /// A question of this route (`/plan`).
    pub fn get(&self, route: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("http://localhost{route}"))
    }

    /// Something to do, with what the caller puts into its body.
    pub fn post(&self, route: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("http://localhost{route}"))
    }

    /// Sends a request; the answer may still say that it was refused.
    ///
    /// # Errors
    /// When no service answers.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> anyhow::Result<reqwest::Response> {
        let name = self.path.display();
        let answer = request.send().await;
        answer
            .with_context(|| format!("the service that holds the store does not answer at {name}"))
    }

    /// Sends a request and takes only an answer that is none of an error.
    ///
    /// # Errors
    /// When no service answers, with the service's own sentence when it refuses, or when it does not know the question.
    pub async fn ask(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => anyhow::bail!(
                "the running service does not know this question: it is of another version; restart it with this one"
            ),
            status if status.is_success() => Ok(answer),
            _ => {
                let why = answer.text().await.unwrap_or_default();
                anyhow::bail!("the running service refuses: {why}")
            }
        }
    }
}
