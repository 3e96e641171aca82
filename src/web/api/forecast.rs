//! Whose subscription will fail to renew, and what that is worth.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::super::Site;
use super::super::session::Managing;
use super::Failure;
use crate::domain::{Amount, ForecastRow, Risk};
use crate::text;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/guilds/{guild_id}/forecast", get(forecast))
}

async fn forecast(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
) -> Result<Json<Value>, Failure> {
    let forecast = site.state.merchants.forecast(manager.guild).await?;
    Ok(Json(json!({
        "now": forecast.now,
        "at_risk": forecast.rows.iter().map(row).collect::<Vec<_>>(),
        "worth": forecast.worth.iter().map(amount).collect::<Vec<_>>(),
        "unread": forecast.unread,
        "note": text::unread(&forecast),
    })))
}

fn row(row: &ForecastRow) -> Value {
    let one = &row.at_risk;
    let member = row.member.as_ref();
    json!({
        "user_id": member.map(|(user, _)| user),
        "name": member.map(|(_, name)| name),
        "module": one.module.to_string(),
        "plan_id": one.plan.to_string(),
        "subscription_id": one.subscription.to_string(),
        "due_at": one.due_at,
        "access_until": one.access_until,
        "price": amount(&row.price),
        "reason": one.risk.name(),
        "ends_at": match one.risk {
            Risk::AllowanceEnds(at) | Risk::ExpiryEnds(at) => Some(at),
            _ => None,
        },
        "message": text::risk(one.risk, |at| at.to_string()),
    })
}

fn amount(amount: &Amount) -> Value {
    json!({
        "token": amount.token.to_string(),
        "amount": amount.amount.to_string(),
        "decimals": amount.decimals,
        "symbol": amount.symbol,
    })
}
