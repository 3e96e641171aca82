//! A server's settings: who is told of what, its policies, the bot's permissions, the end.

mod notices;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::Failure;
use super::super::params::{Asked, Filled};
use super::super::session::Managing;
use super::context::Context;
use super::policies;
use super::shell::{self, Done, Tab};
use crate::domain::{ManualRoles, Policy, ServerSettings};
use crate::merchants::Refusal;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}/settings", get(page).post(save))
        .route("/dashboard/{guild_id}/disconnect", post(disconnect))
}

async fn page(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Asked(Done { done }): Asked<Done>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, done.as_deref()).await;
    shell::or_refusal(&site, shown)
}

async fn show(
    site: Arc<Site>,
    managing: Managing,
    done: Option<&str>,
) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let (set, fixed) = context
        .merchants()
        .settings_and_fixed(context.guild())
        .await?;
    // Without the channels the rest of the page works all the same.
    let channels = context.merchants().text_channels(context.guild()).await;
    let inner = html! {
        (shell::note(done))
        form method="post" action=(context.path("settings")) {
            (notices::questions(&set, &fixed, &channels))
            (questions(&set, &fixed, &context.merchants().default_policy()))
            button.button.main type="submit" { "Save the settings" }
        }
        section.panel aria-labelledby="repair-title" {
            h2 #repair-title { "The bot's permissions" }
            p { "If the bot lost its permission to manage roles, or left the server, Discord gives it back on its own page." }
            p { a.button href={ "/connect?guild_id=" (context.guild()) } { "Give the bot its permissions again" } }
        }
        (the_end(&context))
    };
    Ok(shell::page(&context, Tab::Settings, "Settings", &inner))
}

fn questions(set: &ServerSettings, fixed: &ServerSettings, default: &Policy) -> Markup {
    html! {
        (policies::on_lapse(set, fixed, default))
        (policies::manual_roles(set, fixed, default))
        fieldset.panel disabled[fixed.expiry_leeway.is_some()] {
            legend { "How long is a role kept beyond the end of grace?" }
            label {
                "Seconds. Leave it empty to follow the operator of the bot (" (default.expiry_leeway) " now)."
                input type="number" name="expiry_leeway" min="0" max="31536000" value=[set.expiry_leeway];
            }
            p.fine { "For payments that are collected late." }
        }
    }
}

fn the_end(context: &Context) -> Markup {
    html! {
        section.panel aria-labelledby="end-title" {
            h2 #end-title { "Disconnect this server" }
            p { "Every mapping of this page is removed, and the server is no longer shown here. The bot stays in the server until you remove it there." }
            form.stack method="post" action=(context.path("disconnect")) {
                ul.choices {
                    li { label { input type="radio" name="remove_roles" value="no" checked; span { "Leave the roles with the members who have them" } } }
                    li { label { input type="radio" name="remove_roles" value="yes"; span { "Take every role that this bot gave" } } }
                }
                label.check { input type="checkbox" name="sure" value="yes" required; span { "I want to disconnect " (context.name) } }
                button.button.danger type="submit" { "Disconnect" }
            }
        }
    }
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    manual_roles: String,
    #[serde(default)]
    expiry_leeway: String,
    #[serde(flatten)]
    on_lapse: policies::OnLapseFields,
    #[serde(flatten)]
    notices: notices::Fields,
}

impl Fields {
    /// What is set from now on; what the page could not ask for stays.
    fn settings(&self, before: ServerSettings) -> Result<ServerSettings, Refusal> {
        let before = self.on_lapse.settings(self.notices.settings(before)?);
        Ok(ServerSettings {
            manual_roles: match self.manual_roles.as_str() {
                "adopt" => Some(ManualRoles::Adopt),
                "leave" => Some(ManualRoles::Leave),
                "claim" => Some(ManualRoles::Claim),
                _ => None,
            },
            expiry_leeway: match self.expiry_leeway.trim() {
                "" => None,
                seconds => Some(seconds.parse().map_err(|_| {
                    Refusal::Invalid("The leeway is a whole number of seconds.".to_owned())
                })?),
            },
            ..before
        })
    }
}

async fn save(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Filled(fields): Filled<Fields>,
) -> Response {
    let here = Tab::Settings.path(manager.guild);
    let merchants = &site.state.merchants;
    let saved = async {
        // A browser leaves fields out that the page shows as fixed.
        let (before, fixed) = merchants.settings_and_fixed(manager.guild).await?;
        let settings = fixed.over(fields.settings(before)?);
        merchants.set_settings(&manager, settings).await
    };
    match saved.await {
        Ok(()) => shell::done(&format!("{here}?done=settings")),
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

#[derive(Deserialize)]
struct Disconnect {
    remove_roles: String,
    sure: String,
}

async fn disconnect(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Filled(Disconnect { remove_roles, sure }): Filled<Disconnect>,
) -> Response {
    let here = Tab::Settings.path(manager.guild);
    if sure != "yes" {
        return shell::done(&here);
    }
    match site
        .state
        .merchants
        .disconnect(&manager, remove_roles == "yes")
        .await
    {
        Ok(()) => shell::done("/dashboard?done=disconnected"),
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}
