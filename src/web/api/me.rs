//! `GET /api/v1/me`: the signed-in merchant.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::super::Site;
use super::super::session::SignedIn;
use super::Failure;
use crate::domain::{GuildId, ModuleAddress, UserId, Wallet};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/me", get(me))
}

#[derive(Serialize)]
struct Me {
    user_id: UserId,
    guilds: Vec<Guild>,
    wallet: Option<String>,
    modules: Vec<String>,
}

#[derive(Serialize)]
struct Guild {
    guild_id: GuildId,
    name: String,
    connected: bool,
}

async fn me(
    State(site): State<Arc<Site>>,
    SignedIn(session): SignedIn,
) -> Result<Json<Me>, Failure> {
    let merchants = &site.state.merchants;
    let servers = merchants
        .servers_and_others(session.user, &session.servers)
        .await?;
    let wallet: Option<Wallet> = merchants.wallet(session.user).await?;
    let modules: Vec<ModuleAddress> = merchants.modules(session.user).await?;
    Ok(Json(Me {
        user_id: session.user,
        guilds: servers
            .into_iter()
            .map(|server| Guild {
                guild_id: server.guild,
                name: server.name,
                connected: server.connected,
            })
            .collect(),
        wallet: wallet.map(|wallet| wallet.to_string()),
        modules: modules.iter().map(ToString::to_string).collect(),
    }))
}
