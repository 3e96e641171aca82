//! `/api/v1`: what the dashboard shows and does, as JSON for scripts. The same sessions and the same checks.

mod csv;
mod events;
pub(super) mod failure;
mod forecast;
pub(super) mod gates;
pub(super) mod guild;
pub(super) mod journal;
mod me;
pub(super) mod members;
pub(super) mod status;
pub(super) mod wallet;

use std::sync::Arc;

use axum::Router;

use super::Site;

pub(super) use failure::{Failure, told};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .merge(me::router())
        .merge(wallet::router())
        .merge(guild::router())
        .merge(gates::router())
        .merge(members::router())
        .merge(forecast::router())
        .merge(journal::router())
        .merge(events::router())
}
