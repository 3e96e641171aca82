//! A server's own policies, as plain questions; who is told of what; the permissions; the end.

mod notices;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum_extra::extract::Form;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::Failure;
use super::super::params::Asked;
use super::super::session::Managing;
use super::context::Context;
use super::shell::{self, Done, Tab};
use crate::domain::{ManualRoles, OnLapse, Policy, ServerSettings};
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
            (policies(&set, &fixed, &context.merchants().default_policy()))
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

/// One question with its answers.
fn question(
    name: &str,
    asked: &str,
    help: &str,
    answers: &[(&str, &str)],
    chosen: &str,
    is_fixed: bool,
) -> Markup {
    html! {
        fieldset.panel disabled[is_fixed] {
            legend { (asked) }
            p.fine { (help) }
            @if is_fixed { p.fine { "Set by the operator of the bot; it cannot be changed here." } }
            ul.choices {
                @for (value, text) in answers {
                    li { label {
                        input type="radio" name=(name) value=(value) checked[*value == chosen];
                        span { (text) }
                    } }
                }
            }
        }
    }
}

/// A question that the operator's policy answers with `default` while the server does not.
fn policy(
    name: &str,
    (asked, help): (&str, &str),
    answers: &[(&str, &str)],
    default: &str,
    chosen: &str,
    is_fixed: bool,
) -> Markup {
    let of_default = answers.iter().find(|(value, _)| *value == default);
    let of_default = of_default.and_then(|(_, text)| text.split(':').next());
    let of_default = of_default.unwrap_or_default();
    let first = format!("As the operator of the bot has set it: “{of_default}”");
    let mut all = vec![("", first.as_str())];
    all.extend(answers);
    question(name, asked, help, &all, chosen, is_fixed)
}

fn lapse_name(setting: Option<OnLapse>) -> &'static str {
    match setting {
        None => "",
        Some(OnLapse::Revoke) => "revoke",
        Some(OnLapse::KeepUntilExpiry) => "keep_until_expiry",
    }
}

fn manual_name(setting: Option<ManualRoles>) -> &'static str {
    match setting {
        None => "",
        Some(ManualRoles::Adopt) => "adopt",
        Some(ManualRoles::Leave) => "leave",
        Some(ManualRoles::Claim) => "claim",
    }
}

fn policies(set: &ServerSettings, fixed: &ServerSettings, default: &Policy) -> Markup {
    const LAPSE: [(&str, &str); 2] = [
        ("revoke", "Take the role at once"),
        (
            "keep_until_expiry",
            "Keep the role until the paid time and its grace end",
        ),
    ];
    const MANUAL: [(&str, &str); 3] = [
        (
            "adopt",
            "Adopt: who pays keeps it, and loses it when the subscription ends; others keep it",
        ),
        ("leave", "Leave: never take a role that was given by hand"),
        (
            "claim",
            "Claim: only who pays may hold it; it is taken from everyone else",
        ),
    ];
    let lapse = |name, asked, default, set, fixed: Option<OnLapse>| {
        let (default, set) = (lapse_name(Some(default)), lapse_name(set));
        policy(name, asked, &LAPSE, default, set, fixed.is_some())
    };
    html! {
        (lapse(
            "cancelled",
            (
                "What happens when a member cancels?",
                "Most services keep a cancelled member until the end of what they paid for.",
            ),
            default.cancelled,
            set.cancelled,
            fixed.cancelled,
        ))
        (lapse(
            "payment_failed",
            (
                "What happens when a payment fails?",
                "A wallet that is empty for a day looks the same as a member who left. Services differ here: some take the role at once, others wait for the grace to end.",
            ),
            default.payment_failed,
            set.payment_failed,
            fixed.payment_failed,
        ))
        (lapse(
            "paused",
            (
                "What happens when a member pauses?",
                "A pause stops the next payment. What was paid before is paid.",
            ),
            default.paused,
            set.paused,
            fixed.paused,
        ))
        (policy(
            "manual_roles",
            (
                "What about members who were given the role by hand?",
                "Most servers let such a role go with the subscription once the member has paid, and leave everyone else alone.",
            ),
            &MANUAL,
            manual_name(Some(default.manual_roles)),
            manual_name(set.manual_roles),
            fixed.manual_roles.is_some(),
        ))
        fieldset.panel disabled[fixed.expiry_leeway.is_some()] {
            legend { "How long is a role kept beyond the end of grace?" }
            label {
                "Seconds; empty as the operator has set it, which is " (default.expiry_leeway) " now"
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
    cancelled: String,
    #[serde(default)]
    payment_failed: String,
    #[serde(default)]
    paused: String,
    #[serde(default)]
    manual_roles: String,
    #[serde(default)]
    expiry_leeway: String,
    #[serde(flatten)]
    notices: notices::Fields,
}

impl Fields {
    /// What is set from now on; what the page could not ask for stays.
    fn settings(&self, before: ServerSettings) -> Result<ServerSettings, Refusal> {
        let before = self.notices.settings(before)?;
        let lapse = |answer: &str| match answer {
            "revoke" => Some(OnLapse::Revoke),
            "keep_until_expiry" => Some(OnLapse::KeepUntilExpiry),
            _ => None,
        };
        Ok(ServerSettings {
            payment_failed: lapse(&self.payment_failed),
            paused: lapse(&self.paused),
            cancelled: lapse(&self.cancelled),
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
    Form(fields): Form<Fields>,
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
    Form(Disconnect { remove_roles, sure }): Form<Disconnect>,
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
