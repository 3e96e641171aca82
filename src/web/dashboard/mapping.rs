//! The form of one mapping: which plans, which roles; and the role that is made for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::super::Site;
use super::super::api::Failure;
use super::super::params::{AskedList, Filled};
use super::super::session::Managing;
use super::super::terms::terms;
use super::context::{Context, Plans, Roles, label};
use super::shell::{self, Tab};
use crate::domain::{Gate, GateDraft, GateId, GateMatch, ModuleAddress, PlanId, RoleId};
use crate::merchants::{Refusal, RoleRow, dangerous};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}/gates/map", get(form))
        .route("/dashboard/{guild_id}/gates/role", post(create_role))
}

/// A mapping as forms and addresses carry it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fields {
    /// The mapping that is changed.
    #[serde(default)]
    gate: String,
    #[serde(default)]
    module: String,
    #[serde(default)]
    plan: Vec<String>,
    #[serde(default, rename = "match")]
    matching: String,
    #[serde(default)]
    role: Vec<String>,
}

impl Fields {
    pub(super) fn new(
        gate: String,
        module: String,
        plan: Vec<String>,
        matching: String,
        role: Vec<String>,
    ) -> Self {
        Self {
            gate,
            module,
            plan,
            matching,
            role,
        }
    }

    /// The gate that is replaced, if any.
    pub(super) fn replaces(&self) -> Result<Option<GateId>, Refusal> {
        match self.gate.as_str() {
            "" => Ok(None),
            gate => gate.parse().map(Some).map_err(|_| Refusal::NotFound),
        }
    }

    /// What was chosen.
    pub(super) fn draft(&self) -> Result<GateDraft, Refusal> {
        let say = |text: &str| Refusal::Invalid(text.to_owned());
        let plans: Result<BTreeSet<_>, _> = self.plan.iter().map(|plan| plan_id(plan)).collect();
        let roles: Result<BTreeSet<RoleId>, _> =
            self.role.iter().map(|role| role.parse()).collect();
        let draft = GateDraft {
            module: self
                .module
                .trim()
                .parse()
                .map_err(|_| Refusal::NotAnAddress)?,
            plans: plans?,
            matching: if self.matching == "all" {
                GateMatch::All
            } else {
                GateMatch::Any
            },
            roles: roles.map_err(|_| say("One of these roles does not exist."))?,
        };
        if draft.plans.is_empty() {
            return Err(say("Choose at least one plan."));
        }
        if draft.roles.is_empty() {
            return Err(say("Choose at least one role, or create one."));
        }
        Ok(draft)
    }

    /// A gate of the server, as the form begins with it.
    fn of(gate: &Gate) -> Self {
        Self {
            gate: gate.id.to_string(),
            module: gate.module.to_string(),
            plan: gate.plans.iter().map(ToString::to_string).collect(),
            matching: match gate.matching {
                GateMatch::Any => "any".to_owned(),
                GateMatch::All => "all".to_owned(),
            },
            role: gate.roles.iter().map(ToString::to_string).collect(),
        }
    }

    /// Name and value of every field.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs = vec![
            ("gate", self.gate.as_str()),
            ("module", self.module.as_str()),
            ("match", self.matching.as_str()),
        ];
        pairs.extend(self.plan.iter().map(|plan| ("plan", plan.as_str())));
        pairs.extend(self.role.iter().map(|role| ("role", role.as_str())));
        pairs.retain(|(_, value)| !value.is_empty());
        pairs
    }

    /// As a query.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.pairs()).finish()
    }
}

fn plan_id(text: &str) -> Result<PlanId, Refusal> {
    let parsed = text.parse().map(PlanId);
    parsed.map_err(|_| Refusal::Invalid("One of these plans does not exist.".to_owned()))
}

async fn form(
    State(site): State<Arc<Site>>,
    managing: Managing,
    AskedList(fields): AskedList<Fields>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, fields).await;
    shell::or_refusal(&site, shown)
}

async fn show(
    site: Arc<Site>,
    managing: Managing,
    mut fields: Fields,
) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    if let Some(gate) = fields.replaces()? {
        let gate = context.gates.iter().find(|one| one.id == gate);
        fields = Fields::of(gate.ok_or(Refusal::NotFound)?);
    }
    let here = Tab::Gates.path(context.guild());
    let Ok(module) = fields.module.trim().parse::<ModuleAddress>() else {
        return Ok(shell::refused(
            &context.site,
            &Refusal::NotAnAddress.into(),
            &here,
        ));
    };
    let (roles, plans) = tokio::join!(context.roles(), context.plans());
    let plans = with_module(&context, plans, module).await?;
    let is_change = !fields.gate.is_empty();
    let title = if is_change {
        "Change a mapping"
    } else {
        "Choose a role"
    };
    let inner = html! {
        @for trouble in [&roles.trouble, &plans.trouble].into_iter().flatten() {
            p.panel.problem { (trouble) }
        }
        form method="get" action=(context.path("gates/preview")) {
            input type="hidden" name="module" value=(module);
            @if is_change { input type="hidden" name="gate" value=(fields.gate); }
            (choose_plans(&fields, &plans, module))
            (choose_roles(&fields, &roles))
            div.row {
                button.button.main type="submit" { "Preview" }
                a.button.quiet href=(here) { "Cancel" }
            }
        }
    };
    Ok(shell::page(&context, Tab::Gates, title, &inner))
}

/// The plans of a module that was pasted, too; only its merchant sees them.
async fn with_module(
    context: &Context,
    mut plans: Plans,
    module: ModuleAddress,
) -> Result<Plans, Failure> {
    if plans.rows.iter().all(|plan| plan.module != module) {
        context
            .merchants()
            .owns(context.session.user, module)
            .await?;
        plans
            .rows
            .extend(context.merchants().plans(&[module]).await?);
    }
    Ok(plans)
}

fn choose_plans(fields: &Fields, plans: &Plans, module: ModuleAddress) -> Markup {
    let rows: Vec<_> = plans
        .rows
        .iter()
        .filter(|plan| plan.module == module)
        .collect();
    html! {
        fieldset.panel {
            legend { "Which plans?" }
            ul.choices {
                @for plan in &rows {
                    @let id = plan.plan.to_string();
                    li { label {
                        input type="checkbox" name="plan" value=(id) checked[fields.plan.contains(&id) || rows.len() == 1];
                        span { (plan.name) " " span.fine { (terms(plan)) } }
                    } }
                }
            }
            @if rows.len() > 1 {
                p { "If you chose several:" }
                ul.choices {
                    li { label { input type="radio" name="match" value="any" checked[fields.matching != "all"]; span { "Any one of them is enough" } } }
                    li { label { input type="radio" name="match" value="all" checked[fields.matching == "all"]; span { "All of them are needed" } } }
                }
            }
        }
    }
}

fn choose_roles(fields: &Fields, roles: &Roles) -> Markup {
    let (possible, impossible): (Vec<_>, Vec<_>) =
        roles.rows.iter().partition(|role| role.manageable);
    html! {
        fieldset.panel {
            legend { "Which roles?" }
            p.fine { "In the order of your server, the highest first." }
            @if possible.is_empty() {
                p { "There is no role that the bot can give. Create one, or drag the bot's role above yours in Server Settings → Roles." }
            }
            ul.choices {
                @for role in &possible {
                    @let id = role.role.to_string();
                    li { label {
                        input type="checkbox" name="role" value=(id) checked[fields.role.contains(&id)];
                        span { (label(role.color, &role.name)) (warning(role)) }
                    } }
                }
            }
            @if !impossible.is_empty() {
                details {
                    summary { "Roles that the bot cannot give" }
                    ul.plain {
                        @for role in &impossible {
                            li { (label(role.color, &role.name)) " " span.fine { (role.why_not.as_deref().unwrap_or_default()) } }
                        }
                    }
                }
            }
        }
    }
}

/// What a role would let every subscriber do, where that is a lot.
fn warning(role: &RoleRow) -> Markup {
    let permissions = dangerous(role.permissions);
    html! {
        @if !permissions.is_empty() {
            " " span.bad { "Carries " (permissions.join(", ")) }
        }
    }
}

#[derive(Deserialize)]
struct NewRole {
    name: String,
    module: String,
    plan: String,
}

/// Makes the role and goes on to the preview: a role without members changes nobody.
async fn create_role(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Filled(NewRole { name, module, plan }): Filled<NewRole>,
) -> Response {
    let here = Tab::Gates.path(manager.guild);
    match site.state.merchants.create_role(&manager, &name).await {
        Ok(role) => {
            let fields = Fields {
                module,
                plan: vec![plan],
                role: vec![role.to_string()],
                ..Fields::default()
            };
            shell::done(&format!("{here}/preview?{}", fields.query()))
        }
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "0x1111111111111111111111111111111111111111";

    fn fields() -> Fields {
        Fields {
            module: MODULE.to_owned(),
            plan: vec!["2".to_owned(), "1".to_owned()],
            matching: "all".to_owned(),
            role: vec!["7".to_owned()],
            ..Fields::default()
        }
    }

    #[test]
    fn a_mapping_survives_the_way_through_an_address() {
        let query = fields().query();
        assert_eq!(
            query,
            format!("module={MODULE}&match=all&plan=2&plan=1&role=7")
        );
        let draft = fields().draft().unwrap();
        assert_eq!(draft.plans, [PlanId::from(1), PlanId::from(2)].into());
        assert_eq!(
            (draft.matching, draft.roles),
            (GateMatch::All, [RoleId(7)].into())
        );
    }

    #[test]
    fn an_incomplete_mapping_says_what_is_missing() {
        let said = |fields: Fields| fields.draft().unwrap_err().to_string();
        assert!(
            said(Fields {
                plan: Vec::new(),
                ..fields()
            })
            .contains("at least one plan")
        );
        assert!(
            said(Fields {
                role: Vec::new(),
                ..fields()
            })
            .contains("at least one role")
        );
        assert!(
            said(Fields {
                role: vec!["x".to_owned()],
                ..fields()
            })
            .contains("does not exist")
        );
        assert!(
            said(Fields {
                module: "0x1".to_owned(),
                ..fields()
            })
            .contains("not an address")
        );
        let odd = Fields {
            gate: "x".to_owned(),
            ..fields()
        };
        assert!(matches!(odd.replaces(), Err(Refusal::NotFound)));
    }
}
