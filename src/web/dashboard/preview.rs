//! What a mapping changes, by name, before it is saved; and the saving.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::Failure;
use super::super::params::{AskedList, Filled};
use super::super::session::Managing;
use super::context::{Context, Plans, Roles};
use super::format::{counted, number};
use super::gates::plan_names;
use super::mapping::Fields;
use super::policies::{self, OnLapseFields};
use super::shell::{self, Tab};
use crate::domain::{
    Gate, GateDraft, GateId, GateOrigin, GuildId, ManualRoles, Named, Policy, Preview, RoleId,
    ServerSettings,
};
use crate::merchants::{Manager, Refusal};
use crate::text;

/// Names that are shown before the list has to be opened.
const NAMES_SHOWN: usize = 12;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}/gates/preview", get(preview))
        .route("/dashboard/{guild_id}/gates/save", post(save))
}

async fn preview(
    State(site): State<Arc<Site>>,
    managing: Managing,
    AskedList(fields): AskedList<Fields>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, fields).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing, fields: Fields) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let back = format!("{}?{}", context.path("gates/map"), fields.query());
    let replaces = fields.replaces()?;
    let draft = match fields.draft() {
        Ok(draft) => draft,
        Err(refusal) => return Ok(shell::refused(&context.site, &refusal.into(), &back)),
    };
    let (roles, plans) = tokio::join!(context.roles(), context.plans());
    let shown = match context
        .merchants()
        .preview(&context.manager, &draft, replaces)
        .await
    {
        Ok(shown) => Ok(shown),
        // Nobody can be counted yet, and nobody loses a role before everything is read: the mapping can be saved.
        Err(Refusal::NotRead(why)) => Err(why),
        Err(refusal) => return Ok(shell::refused(&context.site, &refusal.into(), &back)),
    };
    let (set, fixed) = context
        .merchants()
        .settings_and_fixed(context.guild())
        .await?;
    let default = context.merchants().default_policy();
    let inner = html! {
        section.panel {
            p.sentence { (sentence(&draft, &roles, &plans)) }
            @match &shown {
                Ok(shown) => (changes(shown, &roles)),
                Err(why) => p { (why) " You can save the mapping now; members get their roles as soon as everything is read." },
            }
        }
        form method="post" action=(context.path("gates/save")) {
            @for (name, value) in fields.pairs() { input type="hidden" name=(name) value=(value); }
            @if let Ok(shown) = &shown { (adoption(shown, &set, &fixed, &default)) }
            section.panel aria-labelledby="rules-title" {
                h2 #rules-title { "When a member stops paying" }
                p { (text::on_lapse(&set.policy(&default))) " This holds for the whole server." }
                details {
                    summary { "Change that" }
                    (policies::on_lapse(&set, &fixed, &default))
                }
            }
            div.row {
                button.button.main type="submit" { "Save" }
                a.button.quiet href=(back) { "Change something" }
                a.button.quiet href=(Tab::Gates.path(context.guild())) { "Cancel" }
            }
        }
    };
    Ok(shell::page(&context, Tab::Gates, "Preview", &inner))
}

fn sentence(draft: &GateDraft, roles: &Roles, plans: &Plans) -> Markup {
    let gate = Gate {
        id: GateId(0),
        guild: GuildId(0),
        module: draft.module,
        plans: draft.plans.clone(),
        matching: draft.matching,
        roles: draft.roles.clone(),
        origin: GateOrigin::Dashboard,
    };
    html! {
        strong { (plan_names(&gate, plans)) } " gives "
        (roles.labels(&draft.roles))
    }
}

/// "Gives Gold to 12 members", with their names.
fn changes(preview: &Preview, roles: &Roles) -> Markup {
    html! {
        @if preview.grants.is_empty() && preview.revokes.is_empty() {
            p { "Nobody's roles change now. Members get the role from their next payment or when they link their wallet." }
        }
        (by_role(&preview.grants, roles, "Gives", "to"))
        (by_role(&preview.revokes, roles, "Takes", "from"))
    }
}

fn by_role(changes: &[Named], roles: &Roles, verb: &str, preposition: &str) -> Markup {
    let mut of_role = BTreeMap::<RoleId, Vec<&str>>::new();
    for change in changes {
        of_role.entry(change.role).or_default().push(&change.name);
    }
    html! {
        @for (role, names) in &of_role {
            p { (verb) " " (roles.label(*role)) " " (preposition) " " strong { (counted(names.len() as u64, "member")) } ":" }
            @let (shown, rest) = names.split_at(names.len().min(NAMES_SHOWN));
            ul.names { @for name in shown { li { (name) } } }
            @if !rest.is_empty() {
                details {
                    summary { "and " (number(rest.len() as u64)) " more" }
                    ul.names { @for name in rest { li { (name) } } }
                }
            }
        }
    }
}

/// Who holds the roles already, and what shall become of that.
fn adoption(
    preview: &Preview,
    set: &ServerSettings,
    fixed: &ServerSettings,
    default: &Policy,
) -> Markup {
    let now = set.manual_roles.unwrap_or(default.manual_roles);
    let is_fixed = fixed.manual_roles.is_some();
    let holders = preview.holders;
    let choice = |value: &'static str, is: ManualRoles, text: Markup| {
        html! {
            li { label {
                input type="radio" name="manual_roles" value=(value) checked[now == is];
                span { (text) }
            } }
        }
    };
    html! {
        @if preview.held_already > 0 {
            fieldset.panel disabled[is_fixed] {
                legend { (counted(preview.held_already, "member")) " hold this role already" }
                p {
                    (number(holders.paying)) " paying, "
                    (number(holders.lapsed)) " with a linked wallet and not paying, "
                    (number(holders.not_linked)) " without a linked wallet."
                }
                @if let Some(why) = &preview.uncounted { p.fine { (why) } }
                p { "What happens to roles that were given by hand? The answer holds for the whole server." }
                @if is_fixed { p.fine { "Set by the operator of the bot; it cannot be changed here." } }
                ul.choices {
                    (choice("adopt", ManualRoles::Adopt, html! { strong { "Adopt" } ": who pays keeps it, and loses it when the subscription ends. Others keep it." }))
                    (choice("leave", ManualRoles::Leave, html! { strong { "Leave" } ": a role given by hand is never taken." }))
                    (choice("claim", ManualRoles::Claim, html! {
                        strong { "Claim" } ": only who pays may hold it. "
                        @match holders.lapsed + holders.not_linked {
                            0 if preview.uncounted.is_none() => "Nobody loses it now.",
                            others => { "It is taken from the " (counted(others, "member")) " who do not pay." },
                        }
                    }))
                }
            }
        }
    }
}

#[derive(Clone, Deserialize)]
struct Save {
    #[serde(default)]
    gate: String,
    module: String,
    #[serde(default)]
    plan: Vec<String>,
    #[serde(default, rename = "match")]
    matching: String,
    #[serde(default)]
    role: Vec<String>,
    manual_roles: Option<ManualRoles>,
    #[serde(flatten)]
    on_lapse: OnLapseFields,
    /// Roles with dangerous permissions are meant: asked on a page of its own.
    confirm: Option<String>,
}

async fn save(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Filled(form): Filled<Save>,
) -> Response {
    let manager = managing.0.clone();
    let here = Tab::Gates.path(manager.guild);
    let fields = Fields::new(form.gate, form.module, form.plan, form.matching, form.role);
    let answers = Answers {
        manual_roles: form.manual_roles,
        on_lapse: form.on_lapse,
    };
    let saved = put(&site, &manager, &fields, &answers, form.confirm.is_some()).await;
    match saved {
        Ok(gate) => shell::done(&format!("{here}?done=saved#gate-{gate}")),
        Err(refusal @ Refusal::Dangerous { .. }) => {
            match Context::load(Arc::clone(&site), managing).await {
                Ok(context) => ask_again(&context, &fields, &answers, &refusal),
                Err(failure) => shell::refused(&site, &failure, &here),
            }
        }
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

/// The answers to the questions of the page.
struct Answers {
    manual_roles: Option<ManualRoles>,
    on_lapse: OnLapseFields,
}

impl Answers {
    /// What is set from now on. What is not changed still follows the operator.
    fn settings(&self, before: ServerSettings, default: &Policy) -> ServerSettings {
        let chosen = ServerSettings {
            manual_roles: self.manual_roles,
            ..ServerSettings::default()
        };
        self.on_lapse.settings(before.with_rules(&chosen, default))
    }
}

async fn put(
    site: &Site,
    manager: &Manager,
    fields: &Fields,
    answers: &Answers,
    confirm: bool,
) -> Result<GateId, Refusal> {
    let merchants = &site.state.merchants;
    let (draft, replaces) = (fields.draft()?, fields.replaces()?);
    let (before, fixed) = merchants.settings_and_fixed(manager.guild).await?;
    let settings = fixed.over(answers.settings(before, &merchants.default_policy()));
    merchants
        .put_gate_with_settings(manager, draft, replaces, confirm, settings)
        .await
}

fn ask_again(context: &Context, fields: &Fields, answers: &Answers, refusal: &Refusal) -> Response {
    let manual_roles = match answers.manual_roles {
        None => None,
        Some(ManualRoles::Adopt) => Some("adopt"),
        Some(ManualRoles::Leave) => Some("leave"),
        Some(ManualRoles::Claim) => Some("claim"),
    };
    let inner = html! {
        section.panel.warn role="alert" { p { (refusal) } }
        form method="post" action=(context.path("gates/save")) {
            @for (name, value) in fields.pairs() { input type="hidden" name=(name) value=(value); }
            @if let Some(choice) = manual_roles { input type="hidden" name="manual_roles" value=(choice); }
            @for (name, value) in answers.on_lapse.pairs() { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="confirm" value="1";
            div.row {
                button.button.danger type="submit" { "Yes, give every subscriber these permissions" }
                a.button.main href={ (context.path("gates/map")) "?" (fields.query()) } { "Choose another role" }
            }
        }
    };
    let mut response = shell::page(context, Tab::Gates, "This role is powerful", &inner);
    *response.status_mut() = axum::http::StatusCode::CONFLICT;
    response
}
