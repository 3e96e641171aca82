//! `/amser setup`: a form with plans and roles, what the gate would change, and the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::all::{
    ActionRowComponent, CreateInteractionResponse, CreateInteractionResponseMessage,
    ModalInteraction,
};

use super::answer::Answer;
use super::choice::{Choice, ChosenPlan, MOST_ROLES};
use super::grants::said;
use super::ids::{self, SETUP_FORM};
use super::running::{Asked, Commands, Context, Costly, Data, ephemeral, manages, refuse};
use crate::domain::{
    Gate, GateDraft, GateId, GateMatch, GateOrigin, PlanRow, Preview, PreviewQuestion, Question,
    RoleId,
};
use crate::merchants::{Manager, Refusal};
use crate::text::{self, Target};

/// Discord waits three seconds for a form, and a form cannot come later than that.
const FORM_WITHIN: Duration = Duration::from_secs(2);
/// Discord's most options of a select, and characters of an option's label and description.
const MOST_OPTIONS: usize = 25;
const LONGEST_OPTION: usize = 100;

/// Plans that one choice may have: their ids stand in the id of a button.
const MOST_PLANS: usize = 8;

/// The selects of the form, and the choices of the second.
const PLANS: &str = "plans";
const MATCH: &str = "match";
const ROLES: &str = "roles";
const ANY: &str = "any";
const ALL: &str = "all";

/// The role of a preview that does not exist yet: nobody holds it.
const NOT_MADE_YET: RoleId = RoleId(u64::MAX);

/// Shows the form.
pub(super) async fn open(context: Context<'_>) -> anyhow::Result<()> {
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is a slash command");
    };
    let interaction = application.interaction;
    let member = interaction.member.as_deref();
    if !manages(member) {
        return refuse(context, text::managers_only()).await;
    }
    let asked = Asked::new(interaction.user.id, interaction.guild_id, member);
    let Some(asked) = asked.in_server() else {
        return refuse(context, text::only_in_servers()).await;
    };
    let commands = Arc::clone(context.data());
    if let Err(wait) = commands.allowance(asked.user) {
        return refuse(context, text::too_fast(wait)).await;
    }
    // What was read when it takes too long is known already when the manager tries again.
    let mut reading = tokio::spawn(form(commands, asked));
    let form = match tokio::time::timeout(FORM_WITHIN, &mut reading).await {
        Ok(read) => read?,
        Err(_elapsed) => return refuse(context, text::setup_slow()).await,
    };
    match form {
        Ok(form) => {
            // Of labels and of selects in forms serenity 0.12.5 knows nothing.
            let http = &context.serenity_context().http;
            http.create_interaction_response(interaction.id, &interaction.token, &form, vec![])
                .await?;
            Ok(())
        }
        Err(Refusal::Internal(error)) => {
            tracing::error!(error = format!("{error:#}"), "a command failed");
            refuse(context, text::internal_failure()).await
        }
        Err(Refusal::Invalid(sentence)) => refuse(context, sentence).await,
        Err(refusal) => refuse(context, refusal.to_string()).await,
    }
}

/// The form; or why there is none.
async fn form(commands: Data, asked: Asked) -> Result<Value, Refusal> {
    let merchants = &commands.services.merchants;
    merchants.manager(asked.guild, asked.user).await?;
    let dashboard = commands.dashboard(asked.guild);
    if merchants.wallet(asked.user).await?.is_none() {
        return Err(Refusal::Invalid(text::setup_needs_wallet(&dashboard)));
    }
    let modules = merchants.modules(asked.user).await?;
    if modules.is_empty() {
        return Err(Refusal::Invalid(text::setup_no_module(&dashboard)));
    }
    let mut plans = merchants.plans(&modules).await?;
    plans.retain(|row| row.active);
    if plans.is_empty() {
        return Err(Refusal::Invalid(text::setup_no_plan()));
    }
    Ok(form_of(&plans))
}

/// <https://discord.com/developers/docs/components/reference#label>
fn form_of(plans: &[PlanRow]) -> Value {
    let options = plans.iter().take(MOST_OPTIONS).map(|row| {
        let (module, plan) = (row.module, row.plan);
        json!({
            "label": short(&row.name),
            "description": short(&text::setup_plan_terms(row)),
            "value": ChosenPlan { module, plan }.text(),
        })
    });
    let most_plans = plans.len().min(MOST_PLANS);
    let mut which_plans = json!({
        "type": 18,
        "label": text::setup_plan_label(),
        "component": {
            "type": 3,
            "custom_id": PLANS,
            "options": options.collect::<Vec<_>>(),
            "min_values": 1,
            "max_values": most_plans,
        },
    });
    if plans.len() > MOST_OPTIONS {
        which_plans["description"] = json!(text::setup_more_plans());
    }
    let how_many = json!({
        "type": 18,
        "label": text::setup_match_label(),
        "component": {
            "type": 3,
            "custom_id": MATCH,
            "options": [
                { "label": text::setup_any(), "value": ANY, "default": true },
                { "label": text::setup_all(), "value": ALL },
            ],
            "required": false,
            "min_values": 0,
            "max_values": 1,
        },
    });
    let which_roles = json!({
        "type": 18,
        "label": text::setup_role_label(),
        "description": text::setup_role_hint(),
        "component": {
            "type": 6,
            "custom_id": ROLES,
            "placeholder": text::setup_new_role(),
            "required": false,
            "min_values": 0,
            "max_values": MOST_ROLES,
        },
    });
    // Who has one plan is not asked about several.
    let mut labels = vec![which_plans];
    labels.extend((most_plans > 1).then_some(how_many));
    labels.push(which_roles);
    json!({
        "type": 9,
        "data": {
            "custom_id": SETUP_FORM,
            "title": text::setup_title(),
            "components": labels,
        },
    })
}

fn short(text: &str) -> String {
    match text.chars().count() > LONGEST_OPTION {
        true => text.chars().take(LONGEST_OPTION - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Takes the filled form.
pub(super) async fn submitted(
    framework: poise::FrameworkContext<'_, Data, anyhow::Error>,
    form: &ModalInteraction,
) -> anyhow::Result<()> {
    if form.data.custom_id != SETUP_FORM {
        return Ok(());
    }
    let context = framework.serenity_context;
    let member = form.member.as_ref();
    let asked = Asked::new(form.user.id, form.guild_id, member).in_server();
    let (Some(asked), true) = (asked, manages(member)) else {
        let refusal = ephemeral(text::managers_only());
        form.create_response(context, refusal).await?;
        return Ok(());
    };
    let thinking = CreateInteractionResponseMessage::new().ephemeral(true);
    form.create_response(context, CreateInteractionResponse::Defer(thinking))
        .await?;
    let commands = Arc::clone(framework.user_data);
    let user = asked.user;
    let chosen = chosen(form);
    let work = async move {
        let choice = match chosen {
            Ok(choice) => choice,
            Err(sentence) => return Ok(Answer::text(sentence)),
        };
        if let Err(too_often) = commands.count(asked.guild, Costly::Setup) {
            return Ok(too_often);
        }
        let shown = shown(&commands, &asked, choice).await;
        shown.or_else(|refusal| said(refusal).map(Answer::text))
    };
    framework.user_data.work(user, &form.token, work);
    Ok(())
}

/// What the form says; or a sentence on why it cannot be one gate.
fn chosen(form: &ModalInteraction) -> Result<Choice, String> {
    let plans: Option<Vec<_>> = values_of(form, PLANS).map(ChosenPlan::read).collect();
    let roles: Result<BTreeSet<RoleId>, _> = values_of(form, ROLES).map(str::parse).collect();
    let (Some(plans), Ok(roles)) = (plans, roles) else {
        return Err(text::outdated_command());
    };
    let first = plans.first().ok_or_else(text::outdated_command)?;
    if plans.iter().any(|plan| plan.module != first.module) {
        return Err(text::setup_one_module());
    }
    Ok(Choice {
        module: first.module,
        plans: plans.iter().map(|plan| plan.plan).collect(),
        matching: match values_of(form, MATCH).next() {
            Some(ALL) => GateMatch::All,
            _ => GateMatch::Any,
        },
        roles,
        confirm: false,
    })
}

/// What was chosen in a select: `gateway::modal` hands it over as the text of an input, one value a line.
fn values_of<'a>(form: &'a ModalInteraction, id: &str) -> impl Iterator<Item = &'a str> {
    let rows = form.data.components.iter();
    let mut inputs = rows.flat_map(|row| &row.components);
    let text = inputs.find_map(|component| match component {
        ActionRowComponent::InputText(input) if input.custom_id == id => input.value.as_deref(),
        _ => None,
    });
    text.unwrap_or_default().lines()
}

/// What the gate would change, with the button that makes it.
async fn shown(commands: &Data, asked: &Asked, choice: Choice) -> Result<Answer, Refusal> {
    let merchants = &commands.services.merchants;
    let manager = merchants.manager(asked.guild, asked.user).await?;
    let Some(id) = ids::setup(&choice) else {
        let dashboard = commands.dashboard(asked.guild);
        return Err(Refusal::Invalid(text::setup_too_much(&dashboard)));
    };
    let rows = plan_rows(commands, &choice).await?;
    let name = name_of_role(&rows);
    let (target, preview) = match choice.roles.is_empty() {
        false => {
            let preview = merchants.preview(&manager, &draft(&choice), None).await?;
            (Target::Existing(&choice.roles), preview)
        }
        true => {
            merchants.owns(asked.user, choice.module).await?;
            let preview = commands.preview_of_new(&manager, &choice).await?;
            (Target::New(&name), preview)
        }
    };
    let button = ids::press(text::setup_button(), id, false);
    let told = text::setup_preview(&rows, choice.matching, target, &preview);
    Ok(Answer::text(told).with([button]))
}

/// The button: makes the gate, and before it the role if that is to be a new one. A role with dangerous permissions is asked
/// about once more.
pub(super) async fn made(commands: Data, asked: Asked, choice: Choice) -> anyhow::Result<Answer> {
    // One at a time: who presses twice makes one role and one gate.
    let _alone = commands.setting_up.lock().await;
    match make(&commands, &asked, choice.clone()).await {
        Ok(told) => Ok(Answer::text(told)),
        Err(refusal @ Refusal::Dangerous { .. }) => {
            let confirmed = Choice {
                confirm: true,
                ..choice
            };
            let answer = Answer::text(refusal.to_string());
            // It fitted before, and takes no more room.
            let button = ids::setup(&confirmed)
                .map(|id| ids::press(text::setup_dangerous_button(), id, true));
            Ok(answer.with(button))
        }
        Err(refusal) => said(refusal).map(Answer::text),
    }
}

async fn make(commands: &Data, asked: &Asked, mut choice: Choice) -> Result<String, Refusal> {
    let merchants = &commands.services.merchants;
    let manager = merchants.manager(asked.guild, asked.user).await?;
    let rows = plan_rows(commands, &choice).await?;
    if choice.roles.is_empty() {
        let gates = merchants.gates(asked.guild).await?;
        let mut same = gates.iter().filter(|gate| {
            gate.module == choice.module
                && gate.plans == choice.plans
                && (gate.plans.len() == 1 || gate.matching == choice.matching)
        });
        if let Some(gate) = same.next() {
            return Ok(text::setup_already(&rows, &gate.roles));
        }
        // Before a role is made that would be left without its gate.
        merchants.owns(asked.user, choice.module).await?;
        let role = merchants
            .create_role(&manager, &name_of_role(&rows))
            .await?;
        choice.roles.insert(role);
    }
    merchants
        .put_gate(&manager, draft(&choice), None, choice.confirm)
        .await?;
    let checkout = commands.checkout(asked.guild);
    let checkout = rows
        .first()
        .map_or_else(String::new, |row| checkout.url(choice.module, &row.plan));
    Ok(text::setup_done(
        &rows,
        choice.matching,
        &choice.roles,
        &checkout,
    ))
}

fn draft(choice: &Choice) -> GateDraft {
    GateDraft {
        module: choice.module,
        plans: choice.plans.clone(),
        matching: choice.matching,
        roles: choice.roles.clone(),
    }
}

/// What a new role for these plans is called: as the first of them.
fn name_of_role(rows: &[PlanRow]) -> String {
    rows.first().map(|row| row.name.clone()).unwrap_or_default()
}

/// What was chosen, as it is today; at least one plan.
async fn plan_rows(commands: &Data, choice: &Choice) -> Result<Vec<PlanRow>, Refusal> {
    let mut rows = commands.services.merchants.plans(&[choice.module]).await?;
    rows.retain(|row| choice.plans.contains(&row.plan));
    match rows.len() == choice.plans.len() {
        true => Ok(rows),
        false => Err(Refusal::Invalid(text::setup_no_plan())),
    }
}

impl Commands {
    /// What a gate to a role would change that is made with it.
    async fn preview_of_new(&self, manager: &Manager, choice: &Choice) -> Result<Preview, Refusal> {
        let guild = manager.guild;
        let mut gates = self.services.merchants.gates(guild).await?;
        let draft = GateId(u64::MAX);
        gates.push(Gate {
            id: draft,
            guild,
            module: choice.module,
            plans: choice.plans.clone(),
            matching: choice.matching,
            roles: [NOT_MADE_YET].into(),
            origin: GateOrigin::Dashboard,
        });
        let question = |answer| {
            Question::Preview(PreviewQuestion {
                guild,
                gates,
                draft,
                holders: Some(BTreeMap::new()),
                answer,
            })
        };
        let preview = self.ask(question).await.map_err(Refusal::Internal)?;
        preview.map_err(Refusal::NotRead)
    }
}
