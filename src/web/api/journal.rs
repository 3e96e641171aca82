//! What happened in a server, entry by entry and day by day.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Site;
use super::super::dashboard::cause::{act_sentence, sentence, transaction};
use super::super::params::Asked;
use super::super::session::Managing;
use super::Failure;
use crate::domain::{Happened, Outcome};
use crate::merchants::{Day, JournalRow};

/// Days that are counted where nothing is asked for.
pub(in crate::web) const USUAL_DAYS: u16 = 30;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/v1/guilds/{guild_id}/journal", get(journal))
        .route("/api/v1/guilds/{guild_id}/series", get(series))
}

#[derive(Deserialize)]
pub(in crate::web) struct After {
    after: Option<String>,
}

impl After {
    /// The sequence number. What is none begins with the newest entry.
    pub(in crate::web) fn sequence(&self) -> Option<u64> {
        self.after.as_deref().and_then(|after| after.parse().ok())
    }
}

async fn journal(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Asked(after): Asked<After>,
) -> Result<Json<Value>, Failure> {
    let page = site
        .state
        .merchants
        .journal(&manager, after.sequence())
        .await?;
    let entries: Vec<_> = page.rows.iter().map(entry).collect();
    let next = page.next.map(|next| next.to_string());
    Ok(Json(json!({ "entries": entries, "next": next })))
}

fn entry(row: &JournalRow) -> Value {
    let (sequence, at) = (row.sequence.to_string(), row.at);
    match &row.happened {
        Happened::Role(entry) => json!({
            "sequence": sequence,
            "at": at,
            "kind": "role",
            "action": entry.change.action,
            "user_id": entry.change.user,
            "name": row.name,
            "role_id": entry.change.role,
            "cause": sentence(&entry.change.cause),
            "transaction": transaction(&entry.change.cause),
            "block": entry.block,
            "error": match &entry.outcome {
                Outcome::Done => None,
                Outcome::Failed { message, .. } => Some(message),
            },
        }),
        Happened::Act(entry) => json!({
            "sequence": sequence,
            "at": at,
            "kind": "act",
            "user_id": entry.by,
            "name": row.name,
            "act": act_sentence(&entry.act, &|role| role.to_string()),
        }),
    }
}

#[derive(Deserialize)]
struct Days {
    days: Option<u16>,
}

async fn series(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Asked(Days { days }): Asked<Days>,
) -> Result<Json<Value>, Failure> {
    let days = days.unwrap_or(USUAL_DAYS).clamp(1, 366);
    let series = site.state.merchants.series(&manager, days).await?;
    let days: Vec<_> = series.days.iter().map(day).collect();
    Ok(Json(json!({ "days": days })))
}

fn day(day: &Day) -> Value {
    let active = day.active.iter().map(|((module, plan), members)| {
        json!({ "module": module.to_string(), "plan_id": plan.to_string(), "members": members })
    });
    json!({
        "day": day_name(day),
        "active": active.collect::<Vec<_>>(),
        "grants": day.grants,
        "revokes": day.revokes,
        "block_to_role_seconds": day
            .block_to_role
            .map(|latency| json!({ "median": latency.median, "slowest": latency.slowest })),
    })
}

/// `2026-11-26`.
pub(in crate::web) fn day_name(day: &Day) -> String {
    let start = day.start.to_string();
    start.get(..10).unwrap_or(&start).to_owned()
}
