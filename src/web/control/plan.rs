//! `GET /plan`: what the next pass would change.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot, watch};

use super::Running;
use crate::domain::{GateTroubles, PlannedChanges, Question};

/// How long `plan` waits for a service that does not know yet what it would change.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it asks in that time.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Answers by way of the roles' loop, with what the chain says of the gates.
pub fn plan_routes(
    questions: mpsc::Sender<Question>,
    troubles: watch::Receiver<GateTroubles>,
) -> Router {
    Router::new()
        .route("/plan", get(plan))
        .with_state((questions, troubles))
}

async fn plan(
    State((questions, troubles)): State<(mpsc::Sender<Question>, watch::Receiver<GateTroubles>)>,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = questions.send(Question::Plan { answer }).await;
    match (asked, answered.await) {
        (Ok(()), Ok(Ok(mut planned))) => {
            planned.add_troubles(&troubles.borrow());
            Json(planned).into_response()
        }
        (Ok(()), Ok(Err(unknown))) => (StatusCode::SERVICE_UNAVAILABLE, unknown).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping").into_response(),
    }
}

/// Asks the service whose socket is at `path` for its plan. One that has just started is given time to read the chain and the
/// servers.
///
/// # Errors
/// When no service answers there, or when it cannot say for too long; with its reason.
pub async fn ask_for_plan(path: &Path) -> anyhow::Result<PlannedChanges> {
    let running = Running::at(path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = running.send(running.get("/plan")).await?;
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
