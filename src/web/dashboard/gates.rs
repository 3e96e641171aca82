//! Which plan gives which role: what is mapped, what is not yet, and the orders about one mapping.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::Failure;
use super::super::api::gates::GatePath;
use super::super::params::Asked;
use super::super::session::Managing;
use super::super::terms::terms;
use super::context::{Context, Plans, Roles};
use super::format::{listed, short};
use super::shell::{self, Tab};
use super::wallet;
use crate::domain::{Gate, GateId, GateMatch, GateOrigin, ModuleAddress, PlanId};
use crate::merchants::{PlanRow, Refusal, TestOutcome};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}/gates", get(page))
        .route("/dashboard/{guild_id}/undo", post(undo))
        .route("/dashboard/{guild_id}/gates/{gate_id}/test", post(test))
        .route(
            "/dashboard/{guild_id}/gates/{gate_id}/delete",
            get(ask_to_delete).post(delete),
        )
}

#[derive(Deserialize)]
struct Query {
    done: Option<String>,
    /// A module that the merchant pasted.
    #[serde(default)]
    module: String,
}

async fn page(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Asked(query): Asked<Query>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, query).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing, query: Query) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let (roles, mut plans) = tokio::join!(context.roles(), context.plans());
    let owned = wallet::owned(&context.site, context.session.user).await?;
    let pasted = query.module.trim();
    let pasted_trouble = match pasted {
        "" => None,
        pasted => add_pasted(&context, &mut plans, pasted).await.err(),
    };
    let mapped: BTreeSet<(ModuleAddress, PlanId)> = context
        .gates
        .iter()
        .flat_map(|gate| gate.plans.iter().map(|plan| (gate.module, *plan)))
        .collect();
    let open: Vec<_> = plans
        .rows
        .iter()
        .filter(|plan| !mapped.contains(&(plan.module, plan.plan)))
        .collect();
    let can_undo = context.merchants().can_undo(context.guild()).await?;
    let here = Tab::Gates.path(context.guild());
    let inner = html! {
        (shell::note(query.done.as_deref()))
        @for trouble in [&roles.trouble, &plans.trouble].into_iter().flatten() {
            p.panel.problem { (trouble) }
        }
        @if !context.gates.is_empty() {
            section aria-labelledby="mapped-title" {
                h2 #mapped-title { "In force" }
                ul.cards {
                    @for gate in &context.gates { li { (card(&context, gate, &roles, &plans)) } }
                }
            }
        }
        // Also where the only mapping was removed.
        @if can_undo { (shell::button(&context.path("undo"), "small", "Undo the last change", &[])) }
        @if owned.has_wallet() {
            (unmapped(&context, &open))
            (more(&here, pasted, pasted_trouble.as_ref(), &open, &context))
        } @else {
            (wallet::panel(context.site.settings(), &owned, &here))
        }
        p {
            "What happens when a payment fails, or a member pauses or cancels? "
            a href=(Tab::Settings.path(context.guild())) { "Three questions in the settings" }
            " decide that for this server."
        }
    };
    Ok(shell::page(&context, Tab::Gates, "Plans and roles", &inner))
}

/// Adds the plans of a module that the merchant named, if it is theirs.
async fn add_pasted(context: &Context, plans: &mut Plans, pasted: &str) -> Result<(), Refusal> {
    let module: ModuleAddress = pasted.parse().map_err(|_| Refusal::NotAnAddress)?;
    context
        .merchants()
        .owns(context.session.user, module)
        .await?;
    if plans.rows.iter().all(|plan| plan.module != module) {
        plans
            .rows
            .extend(context.merchants().plans(&[module]).await?);
    }
    Ok(())
}

/// `Gold`, `Gold or Silver`, `Gold and Silver`.
pub(super) fn plan_names(gate: &Gate, plans: &Plans) -> String {
    let names: Vec<_> = gate
        .plans
        .iter()
        .map(|plan| plans.name(gate.module, *plan))
        .collect();
    match gate.matching {
        GateMatch::Any => names.join(" or "),
        GateMatch::All => listed(&names),
    }
}

fn card(context: &Context, gate: &Gate, roles: &Roles, plans: &Plans) -> Markup {
    let action = |what: &str| context.path(&format!("gates/{}/{what}", gate.id));
    // Told apart by who hears the page without seeing the card around the button.
    let of = html! { span.hidden { ": " (plan_names(gate, plans)) } };
    html! {
        article.panel.mapping id={ "gate-" (gate.id) } {
            p.sentence {
                strong { (plan_names(gate, plans)) }
                " gives "
                (roles.labels(&gate.roles))
            }
            @if gate.plans.len() > 1 {
                p.fine { @if gate.matching == GateMatch::All { "All of these plans are needed." } @else { "Any one of these plans is enough." } }
            }
            @if let (1, Some(plan)) = (gate.plans.len(), gate.plans.first().and_then(|plan| plans.get(gate.module, *plan))) {
                p.fine { (terms(plan)) }
            }
            @for row in gate.roles.iter().filter_map(|role| roles.get(*role)) {
                @if let Some(why_not) = &row.why_not { p.bad { (why_not) } }
            }
            p.fine { "Module " code title=(gate.module) { (short(gate.module)) } }
            div.row {
                (shell::button(&action("test"), "small", "Test on me", &[]))
                @match gate.origin {
                    GateOrigin::Config => span.fine { "Set in config.toml by the operator; it cannot be changed here." },
                    GateOrigin::Dashboard => {
                        a.button.small href={ (context.path("gates/map")) "?gate=" (gate.id) } { "Change" (of) }
                        a.button.small.quiet href=(action("delete")) { "Remove" (of) }
                    },
                }
            }
        }
    }
}

/// The plans without a role: one click makes a role, one chooses an existing one.
fn unmapped(context: &Context, open: &[&PlanRow]) -> Markup {
    html! {
        @if !open.is_empty() {
            section aria-labelledby="open-title" {
                h2 #open-title { "Plans without a role" }
                p { "Create a new role for a plan, or choose one that your server has. A new role always works: it stands below the bot's own." }
                ul.cards {
                    @for plan in open {
                        li { article.panel.mapping {
                            p.sentence {
                                strong { (plan.name) }
                                @if !plan.active { " " span.state { "Closed to new subscribers" } }
                            }
                            p.fine { (terms(plan)) }
                            div.row {
                                (shell::button(
                                    &context.path("gates/role"),
                                    "main",
                                    &format!("Create the role “{}”", plan.name),
                                    &[
                                        ("name", plan.name.as_str()),
                                        ("module", &plan.module.to_string()),
                                        ("plan", &plan.plan.to_string()),
                                    ],
                                ))
                                a.button href={ (context.path("gates/map")) "?module=" (plan.module) "&plan=" (plan.plan) } {
                                    "Choose a role"
                                    span.hidden { " for " (plan.name) }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// What is needed more rarely: several plans or roles at once, and a module that was not found.
fn more(
    here: &str,
    pasted: &str,
    trouble: Option<&Refusal>,
    open: &[&PlanRow],
    context: &Context,
) -> Markup {
    let modules: BTreeSet<_> = open.iter().map(|plan| plan.module).collect();
    html! {
        @if open.is_empty() && context.gates.is_empty() && trouble.is_none() {
            p.panel { "No plan of yours was found. Make one on amser first, or paste the address of your module." }
        }
        @for module in modules {
            p { a href={ (context.path("gates/map")) "?module=" (module) } {
                "Map several plans or several roles at once"
                @if open.iter().any(|plan| plan.module != module) { " (module " (short(module)) ")" }
            } }
        }
        details open[trouble.is_some() || !pasted.is_empty()] {
            summary { "My module is not listed" }
            form.stack method="get" action=(here) {
                @if let Some(trouble) = trouble { p.bad role="alert" { (trouble) } }
                label {
                    "Address of your amser module"
                    input name="module" value=(pasted) required autocomplete="off" spellcheck="false" placeholder="0x…";
                }
                button.button type="submit" { "Show its plans" }
            }
        }
    }
}

async fn undo(State(site): State<Arc<Site>>, Managing(manager, _): Managing) -> Response {
    let here = Tab::Gates.path(manager.guild);
    match site.state.merchants.undo(&manager).await {
        Ok(()) => shell::done(&format!("{here}?done=undone")),
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

async fn ask_to_delete(
    State(site): State<Arc<Site>>,
    managing: Managing,
    GatePath(gate): GatePath,
) -> Response {
    let shown = confirm_delete(Arc::clone(&site), managing, gate).await;
    shell::or_refusal(&site, shown)
}

async fn confirm_delete(
    site: Arc<Site>,
    managing: Managing,
    gate: GateId,
) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let gate = context.gates.iter().find(|one| one.id == gate);
    let gate = gate.ok_or(Refusal::NotFound)?;
    let (roles, plans) = tokio::join!(context.roles(), context.plans());
    let inner = html! {
        section.panel.warn {
            p.sentence {
                strong { (plan_names(gate, &plans)) } " will no longer give "
                (roles.labels(&gate.roles))
            }
            p { "Members who hold the role through this mapping lose it at once. You can undo this." }
            div.row {
                (shell::button(&context.path(&format!("gates/{}/delete", gate.id)), "danger", "Remove this mapping", &[]))
                a.button.quiet href=(Tab::Gates.path(context.guild())) { "Keep it" }
            }
        }
    };
    Ok(shell::page(
        &context,
        Tab::Gates,
        "Remove a mapping",
        &inner,
    ))
}

async fn delete(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    GatePath(gate): GatePath,
) -> Response {
    let here = Tab::Gates.path(manager.guild);
    match site.state.merchants.delete_gate(&manager, gate).await {
        Ok(()) => shell::done(&format!("{here}?done=deleted")),
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

/// The outcome is the answer itself: trying again by reloading is harmless.
async fn test(
    State(site): State<Arc<Site>>,
    managing: Managing,
    GatePath(gate): GatePath,
) -> Response {
    let shown = try_gate(Arc::clone(&site), managing, gate).await;
    shell::or_refusal(&site, shown)
}

async fn try_gate(site: Arc<Site>, managing: Managing, gate: GateId) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let here = Tab::Gates.path(context.guild());
    let inner = match context.merchants().test(&context.manager, gate).await {
        Ok(outcome) => tested(&outcome, &here),
        Err(refusal) => return Ok(shell::refused(&context.site, &refusal.into(), &here)),
    };
    Ok(shell::page(&context, Tab::Gates, "Test", &inner))
}

fn tested(outcome: &TestOutcome, here: &str) -> Markup {
    let class = if outcome.is_fine() {
        "panel good"
    } else {
        "panel problem"
    };
    html! {
        section class=(class) role="status" {
            p { strong {
                @if outcome.is_fine() { "It works." } @else { "It does not work yet." }
            } }
            ul {
                @for role in &outcome.roles {
                    li {
                        strong { (role.name) } ": "
                        @match (&role.given, &role.taken) {
                            (Err(why), _) => { "not given. " (why) },
                            (Ok(()), None) => "given; you keep it, because you held it before or are entitled to it.",
                            (Ok(()), Some(Ok(()))) => "given to you and taken again.",
                            (Ok(()), Some(Err(why))) => { "given, but not taken again. " (why) },
                        }
                    }
                }
            }
        }
        p { a.button.main href=(here) { "Back to plans and roles" } }
    }
}
