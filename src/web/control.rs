//! What another process of the same person may ask the running service: the plan and the findings of `doctor`, which need the
//! locked store.
//!
//! Over a Unix socket beside the store, which only its owner can open: no route of the pages, and no key.

use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::domain::{Finding, PlannedChanges, Question};

/// How long `plan` waits for a service that does not know yet what it would change.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it asks in that time.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How long `doctor` waits: each of its parts has a deadline of its own.
const EXAMINATION: Duration = Duration::from_secs(120);

/// Looks at everything that the service depends on.
pub type Examine = Arc<dyn Fn() -> BoxFuture<'static, Vec<Finding>> + Send + Sync>;

/// Who answers.
#[derive(Clone)]
pub struct Answers {
    /// The roles' loop, to `plan`.
    pub questions: mpsc::Sender<Question>,
    /// The doctor.
    pub examine: Examine,
}

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
    pub async fn serve(self, answers: Answers, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, path } = self;
        let _removed = RemovedAtTheEnd(path);
        let routes = Router::new()
            .route("/plan", get(plan))
            .route("/doctor", get(findings))
            .with_state(answers);
        axum::serve(listener, routes)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .context("the control socket failed")
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

async fn findings(State(answers): State<Answers>) -> Json<Vec<Finding>> {
    Json((answers.examine)().await)
}

async fn plan(State(answers): State<Answers>) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = answers.questions.send(Question::Plan { answer }).await;
    match (asked, answered.await) {
        (Ok(()), Ok(Ok(planned))) => Json(planned).into_response(),
        (Ok(()), Ok(Err(unknown))) => (StatusCode::SERVICE_UNAVAILABLE, unknown).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping").into_response(),
    }
}

/// A client whose every request goes to the service whose socket is at `path`.
fn client(path: &Path) -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .unix_socket(path)
        .no_proxy()
        .build()
        .context("cannot set up the HTTP client")
}

/// Asks the service whose socket is at `path` for the findings of its doctor.
///
/// # Errors
/// When no service answers there.
pub async fn ask_for_findings(path: &Path) -> anyhow::Result<Vec<Finding>> {
    let request = client(path)?.get("http://localhost/doctor");
    let answer = request.timeout(EXAMINATION).send().await;
    let answer = answer.with_context(|| {
        format!(
            "the service that holds the store does not answer at {}",
            path.display()
        )
    })?;
    answer
        .error_for_status()
        .context(
            "the running service refuses to answer; restart it where it is of an older version",
        )?
        .json()
        .await
        .context("the running service answered something else than findings")
}

/// Asks the service whose socket is at `path` for its plan. One that has just started is given time to read the chain and the
/// servers.
///
/// # Errors
/// When no service answers there, or when it cannot say for too long; with its reason.
pub async fn ask_for_plan(path: &Path) -> anyhow::Result<PlannedChanges> {
    let name = path.display();
    let client = client(path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.get("http://localhost/plan").send().await;
        let answer = answer.with_context(|| {
            format!("the service that holds the store does not answer at {name}")
        })?;
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
