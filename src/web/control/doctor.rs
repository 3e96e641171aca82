//! `GET /doctor`: what the running service finds when it looks at everything it depends on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::BoxFuture;

use super::Running;
use crate::domain::Finding;

/// How long `doctor` waits: each of its parts has a deadline of its own.
const PATIENCE: Duration = Duration::from_secs(120);

/// Looks at everything that the service depends on.
pub type Examine = Arc<dyn Fn() -> BoxFuture<'static, Vec<Finding>> + Send + Sync>;

/// Answers by way of the doctor.
pub fn doctor_routes(examine: Examine) -> Router {
    Router::new()
        .route("/doctor", get(findings))
        .with_state(examine)
}

async fn findings(State(examine): State<Examine>) -> Json<Vec<Finding>> {
    Json(examine().await)
}

/// Asks the service whose socket is at `path` for the findings of its doctor.
///
/// # Errors
/// When no service answers there.
pub async fn ask_for_findings(path: &Path) -> anyhow::Result<Vec<Finding>> {
    let running = Running::at(path)?;
    let answer = running
        .ask(running.get("/doctor").timeout(PATIENCE))
        .await?;
    answer
        .json()
        .await
        .context("the running service answered something else than findings")
}
