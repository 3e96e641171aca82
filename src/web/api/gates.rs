//! Gates: shown, previewed, made, changed, removed, taken back and tried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Site;
use super::super::error::WebError;
use super::super::post::Posted;
use super::super::session::Managing;
use super::Failure;
use crate::domain::{
    Gate, GateDraft, GateId, GateMatch, GateOrigin, Named, PlanId, Preview, RoleId,
};
use crate::merchants::{Refusal, TestOutcome};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/guilds/{guild_id}/gates", post(create).get(list))
        .route("/api/v1/guilds/{guild_id}/gates/preview", post(preview))
        .route(
            "/api/v1/guilds/{guild_id}/gates/{gate_id}",
            put(change).delete(remove),
        )
        .route("/api/v1/guilds/{guild_id}/undo", post(undo))
        .route("/api/v1/guilds/{guild_id}/test", post(test))
}

/// A gate as it is shown.
#[derive(Serialize)]
pub(super) struct GateBody {
    id: GateId,
    module: String,
    plan_ids: Vec<String>,
    #[serde(rename = "match")]
    matching: GateMatch,
    role_ids: BTreeSet<RoleId>,
    source: &'static str,
}

impl From<&Gate> for GateBody {
    fn from(gate: &Gate) -> Self {
        Self {
            id: gate.id,
            module: gate.module.to_string(),
            plan_ids: gate.plans.iter().map(ToString::to_string).collect(),
            matching: gate.matching,
            role_ids: gate.roles.clone(),
            source: match gate.origin {
                GateOrigin::Config => "config",
                GateOrigin::Dashboard => "dashboard",
            },
        }
    }
}

/// A gate as it is asked for. A misspelt field would make another gate than is meant, so it is refused; what [`GateBody`] shows
/// beside is taken, so that a gate can be sent back as it was read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftBody {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "source")]
    _source: IgnoredAny,
    module: String,
    plan_ids: BTreeSet<PlanId>,
    #[serde(default, rename = "match")]
    matching: GateMatch,
    role_ids: BTreeSet<RoleId>,
    /// The gate that a preview shows the change of.
    replaces: Option<GateId>,
    /// Whether roles with dangerous permissions are meant.
    #[serde(default)]
    confirm: bool,
}

impl DraftBody {
    fn draft(&self) -> Result<GateDraft, Refusal> {
        Ok(GateDraft {
            module: self
                .module
                .trim()
                .parse()
                .map_err(|_| Refusal::NotAnAddress)?,
            plans: self.plan_ids.clone(),
            matching: self.matching,
            roles: self.role_ids.clone(),
        })
    }
}

/// The gate's id in a path. What is no id is no gate.
pub(in crate::web) struct GatePath(pub(in crate::web) GateId);

impl FromRequestParts<Arc<Site>> for GatePath {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, WebError> {
        #[derive(Deserialize)]
        struct Ids {
            gate_id: String,
        }
        let path = Path::<Ids>::from_request_parts(parts, site).await;
        let Path(Ids { gate_id }) = path.map_err(|_| WebError::NoServer)?;
        gate_id.parse().map(Self).map_err(|_| WebError::NoServer)
    }
}

async fn list(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
) -> Result<Json<Value>, Failure> {
    let gates = site.state.merchants.gates(manager.guild).await?;
    let gates: Vec<_> = gates.iter().map(GateBody::from).collect();
    Ok(Json(json!({ "gates": gates })))
}

async fn preview(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<DraftBody>,
) -> Result<Json<Value>, Failure> {
    let merchants = &site.state.merchants;
    let shown = merchants
        .preview(&manager, &body.draft()?, body.replaces)
        .await?;
    Ok(Json(preview_body(&shown)))
}

fn preview_body(preview: &Preview) -> Value {
    let named = |all: &[Named]| -> Vec<Value> {
        let one = |change: &Named| json!({ "user_id": change.user, "name": change.name, "role_id": change.role });
        all.iter().map(one).collect()
    };
    json!({
        "grants": named(&preview.grants),
        "revokes": named(&preview.revokes),
        "held_already": preview.held_already,
        "uncounted": preview.uncounted,
        "holders": {
            "paying": preview.holders.paying,
            "lapsed": preview.holders.lapsed,
            "not_linked": preview.holders.not_linked,
        },
    })
}

async fn create(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<DraftBody>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let merchants = &site.state.merchants;
    let id = merchants
        .put_gate(&manager, body.draft()?, None, body.confirm)
        .await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

async fn change(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    GatePath(gate): GatePath,
    Posted(body): Posted<DraftBody>,
) -> Result<Json<Value>, Failure> {
    let merchants = &site.state.merchants;
    let id = merchants
        .put_gate(&manager, body.draft()?, Some(gate), body.confirm)
        .await?;
    Ok(Json(json!({ "id": id })))
}

async fn remove(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    GatePath(gate): GatePath,
) -> Result<Json<Value>, Failure> {
    site.state.merchants.delete_gate(&manager, gate).await?;
    Ok(Json(json!({ "id": gate })))
}

async fn undo(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
) -> Result<Json<Value>, Failure> {
    site.state.merchants.undo(&manager).await?;
    let gates = site.state.merchants.gates(manager.guild).await?;
    let gates: Vec<_> = gates.iter().map(GateBody::from).collect();
    Ok(Json(json!({ "gates": gates })))
}

#[derive(Deserialize)]
struct Test {
    gate_id: GateId,
}

async fn test(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<Test>,
) -> Result<Json<Value>, Failure> {
    let outcome = site.state.merchants.test(&manager, body.gate_id).await?;
    Ok(Json(outcome_body(&outcome)))
}

fn outcome_body(outcome: &TestOutcome) -> Value {
    let roles = outcome.roles.iter().map(|tested| {
        let taken = tested.taken.as_ref();
        let refusal = tested
            .given
            .as_ref()
            .err()
            .or(taken.and_then(|taken| taken.as_ref().err()));
        json!({
            "role_id": tested.role,
            "name": tested.name,
            "given": tested.given.is_ok(),
            // Null where the role was left with the caller, or not given.
            "taken": taken.map(Result::is_ok),
            "message": refusal,
        })
    });
    json!({ "ok": outcome.is_fine(), "roles": roles.collect::<Vec<_>>() })
}
