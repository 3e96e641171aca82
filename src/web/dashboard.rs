//! The merchant's pages: servers, and for each server its status, mapping, members, renewals, journal and settings.
//!
//! Every page works without script: plain forms, answered by a redirect. The script only keeps the status live and talks to
//! the merchant's wallet.

pub(super) mod cause;
mod context;
mod forecast;
mod format;
mod gates;
mod home;
mod journal;
mod mapping;
mod members;
mod plots;
mod policies;
mod preview;
mod settings;
mod shell;
mod status;
mod wallet;

use std::sync::Arc;

use axum::Router;

use super::Site;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .merge(home::router())
        .merge(wallet::router())
        .merge(status::router())
        .merge(gates::router())
        .merge(mapping::router())
        .merge(preview::router())
        .merge(members::router())
        .merge(forecast::router())
        .merge(journal::router())
        .merge(settings::router())
}
