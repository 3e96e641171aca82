//! One server: what it has, and the orders that concern it as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Site;
use super::super::post::Posted;
use super::super::session::Managing;
use super::gates::GateBody;
use super::status::Status;
use super::{Failure, status};
use crate::domain::{Gate, GuildId, ModuleAddress, RoleId, ServerEntry, ServerSettings, UserId};
use crate::merchants::{PlanRow, Refusal, RoleRow};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/guilds/{guild_id}", get(guild).delete(disconnect))
        .route("/api/v1/guilds/{guild_id}/roles", post(create_role))
        .route("/api/v1/guilds/{guild_id}/approve", post(approve))
        .route(
            "/api/v1/guilds/{guild_id}/settings",
            put(set_settings).get(settings),
        )
}

#[derive(Serialize)]
struct Guild {
    name: String,
    roles: Vec<Role>,
    gates: Vec<GateBody>,
    plans: Vec<Plan>,
    status: Status,
}

#[derive(Serialize)]
struct Role {
    role_id: RoleId,
    name: String,
    color: u32,
    position: i64,
    manageable: bool,
    why_not: Option<String>,
}

#[derive(Serialize)]
struct Plan {
    module: String,
    plan_id: String,
    name: String,
    /// In the token's smallest unit.
    price: String,
    token: String,
    symbol: Option<String>,
    decimals: Option<u8>,
    /// Seconds.
    interval: u64,
    active: bool,
}

impl From<RoleRow> for Role {
    fn from(row: RoleRow) -> Self {
        Self {
            role_id: row.role,
            name: row.name,
            color: row.color,
            position: row.position,
            manageable: row.manageable,
            why_not: row.why_not,
        }
    }
}

impl From<PlanRow> for Plan {
    fn from(row: PlanRow) -> Self {
        Self {
            module: row.module.to_string(),
            plan_id: row.plan.to_string(),
            name: row.name,
            price: row.price.to_string(),
            token: row.token.to_string(),
            symbol: row.symbol,
            decimals: row.decimals,
            interval: row.interval,
            active: row.active,
        }
    }
}

async fn guild(
    State(site): State<Arc<Site>>,
    Managing(manager, session): Managing,
) -> Result<Json<Guild>, Failure> {
    let merchants = &site.state.merchants;
    let gates = merchants.gates(manager.guild).await?;
    let modules = modules(&site, session.user, &gates).await?;
    let (name, roles, plans) = tokio::join!(
        merchants.server_name(&manager),
        merchants.roles(manager.guild),
        merchants.plans(&modules)
    );
    Ok(Json(Guild {
        name: name?,
        roles: roles?.into_iter().map(Role::from).collect(),
        plans: plans?.into_iter().map(Plan::from).collect(),
        status: status::of(&site, manager.guild, &gates).await?,
        gates: gates.iter().map(GateBody::from).collect(),
    }))
}

/// The modules that a manager may see in a server: those of the gates, and their own. Without a node their own are unknown;
/// the gates' are shown all the same.
pub(in crate::web) async fn modules(
    site: &Site,
    user: UserId,
    gates: &[Gate],
) -> Result<Vec<ModuleAddress>, Failure> {
    let own = match site.state.merchants.modules(user).await {
        Ok(own) => own,
        Err(Refusal::NodeUnavailable | Refusal::NoWallet) => Vec::new(),
        Err(refusal) => return Err(refusal.into()),
    };
    let all: BTreeSet<_> = own
        .into_iter()
        .chain(gates.iter().map(|gate| gate.module))
        .collect();
    Ok(all.into_iter().collect())
}

#[derive(Deserialize)]
struct NewRole {
    name: String,
}

async fn create_role(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<NewRole>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let role = site
        .state
        .merchants
        .create_role(&manager, &body.name)
        .await?;
    Ok((StatusCode::CREATED, Json(json!({ "role_id": role }))))
}

#[derive(Deserialize)]
struct Approve {
    role_id: RoleId,
}

async fn approve(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<Approve>,
) -> Result<Json<Value>, Failure> {
    let merchants = &site.state.merchants;
    let removals = merchants.approve(&manager, body.role_id, None).await?;
    Ok(Json(json!({ "removals": removals })))
}

#[derive(Deserialize)]
struct Disconnect {
    remove_roles: bool,
}

async fn disconnect(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(body): Posted<Disconnect>,
) -> Result<Json<Value>, Failure> {
    let merchants = &site.state.merchants;
    merchants.disconnect(&manager, body.remove_roles).await?;
    Ok(Json(json!({ "connected": false })))
}

async fn settings(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
) -> Result<Json<ServerSettings>, Failure> {
    Ok(Json(site.state.merchants.settings(manager.guild).await?))
}

async fn set_settings(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Posted(entry): Posted<ServerEntry<Option<GuildId>>>,
) -> Result<Json<ServerSettings>, Failure> {
    if entry.guild_id.is_some_and(|guild| guild != manager.guild) {
        let message = "The settings are those of another server than the address names.";
        return Err(Refusal::Invalid(message.to_owned()).into());
    }
    let merchants = &site.state.merchants;
    merchants.set_settings(&manager, entry.settings()).await?;
    Ok(Json(merchants.settings(manager.guild).await?))
}
