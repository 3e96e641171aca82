//! `/amser setup`: a form with a plan and a role, what the gate would change, and the gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serenity::all::{
    ActionRowComponent, CreateInteractionResponse, CreateInteractionResponseMessage,
    ModalInteraction,
};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::choice::{Choice, ChosenPlan};
use super::grants::said;
use super::ids::{self, SETUP_FORM};
use super::running::{Asked, Commands, Context, Costly, Data, ephemeral, manages, refuse};
use crate::domain::{
    Gate, GateDraft, GateId, GateMatch, GateOrigin, PlanRow, Preview, Question, RoleId, checkout,
};
use crate::merchants::{Manager, Refusal};
use crate::text::{self, Target};

/// Discord waits three seconds for a form, and a form cannot come later than that.
const FORM_WITHIN: Duration = Duration::from_secs(2);
/// Discord's most options of a select, and characters of an option's label and description.
const MOST_OPTIONS: usize = 25;
const LONGEST_OPTION: usize = 100;

/// The selects of the form.
const PLAN: &str = "plan";
const ROLE: &str = "role";

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
    let mut which_plan = json!({
        "type": 18,
        "label": text::setup_plan_label(),
        "component": { "type": 3, "custom_id": PLAN, "options": options.collect::<Vec<_>>() },
    });
    if plans.len() > MOST_OPTIONS {
        which_plan["description"] = json!(text::setup_more_plans());
    }
    let which_role = json!({
        "type": 18,
        "label": text::setup_role_label(),
        "description": text::setup_role_hint(),
        "component": {
            "type": 6,
            "custom_id": ROLE,
            "placeholder": text::setup_new_role(),
            "required": false,
            "min_values": 0,
            "max_values": 1,
        },
    });
    json!({
        "type": 9,
        "data": {
            "custom_id": SETUP_FORM,
            "title": text::setup_title(),
            "components": [which_plan, which_role],
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
    let plan = value_of(form, PLAN).and_then(ChosenPlan::read);
    let role = value_of(form, ROLE).and_then(|role| role.parse().ok());
    let work = async move {
        match plan {
            Some(plan) => {
                if let Err(too_often) = commands.count(asked.guild, Costly::Setup) {
                    return Ok(too_often);
                }
                let confirm = false;
                let choice = Choice {
                    plan,
                    role,
                    confirm,
                };
                let shown = shown(&commands, &asked, choice).await;
                shown.or_else(|refusal| said(refusal).map(Answer::text))
            }
            None => Ok(Answer::text(text::outdated_command())),
        }
    };
    framework.user_data.work(user, &form.token, work);
    Ok(())
}

/// What was chosen in a select: `gateway::modal` hands it over as the text of an input.
fn value_of<'a>(form: &'a ModalInteraction, id: &str) -> Option<&'a str> {
    let rows = form.data.components.iter();
    let mut inputs = rows.flat_map(|row| &row.components);
    inputs.find_map(|component| match component {
        ActionRowComponent::InputText(input) if input.custom_id == id => {
            input.value.as_deref().filter(|value| !value.is_empty())
        }
        _ => None,
    })
}

/// What the gate would change, with the button that makes it.
async fn shown(commands: &Data, asked: &Asked, choice: Choice) -> Result<Answer, Refusal> {
    let merchants = &commands.services.merchants;
    let manager = merchants.manager(asked.guild, asked.user).await?;
    let row = plan_row(commands, choice.plan).await?;
    let (target, preview) = match choice.role {
        Some(role) => {
            let draft = draft(choice.plan, role);
            let preview = merchants.preview(&manager, &draft, None).await?;
            (Target::Existing(role), preview)
        }
        None => {
            merchants.owns(asked.user, choice.plan.module).await?;
            let preview = commands.preview_of_new(&manager, choice.plan).await?;
            (Target::New(&row.name), preview)
        }
    };
    let id = ids::setup(choice);
    let button = ids::press(text::setup_button(), id, false);
    let told = text::setup_preview(&row, target, &preview);
    Ok(Answer::text(told).with([button]))
}

/// The button: makes the gate, and before it the role if that is to be a new one. A role with dangerous permissions is asked
/// about once more.
pub(super) async fn made(commands: Data, asked: Asked, choice: Choice) -> anyhow::Result<Answer> {
    // One at a time: who presses twice makes one role and one gate.
    let _alone = commands.setting_up.lock().await;
    match make(&commands, &asked, choice).await {
        Ok(told) => Ok(Answer::text(told)),
        Err(refusal @ Refusal::Dangerous { .. }) => {
            let confirm = true;
            let id = ids::setup(Choice { confirm, ..choice });
            let button = ids::press(text::setup_dangerous_button(), id, true);
            Ok(Answer::text(refusal.to_string()).with([button]))
        }
        Err(refusal) => said(refusal).map(Answer::text),
    }
}

async fn make(commands: &Data, asked: &Asked, choice: Choice) -> Result<String, Refusal> {
    let merchants = &commands.services.merchants;
    let manager = merchants.manager(asked.guild, asked.user).await?;
    let row = plan_row(commands, choice.plan).await?;
    let role = match choice.role {
        Some(role) => role,
        None => {
            let gates = merchants.gates(asked.guild).await?;
            let mut same = gates.iter().filter(|gate| {
                let plans = gate.plans.iter();
                gate.module == choice.plan.module && plans.eq([&choice.plan.plan])
            });
            if let Some(role) = same.find_map(|gate| gate.roles.first()) {
                return Ok(text::setup_already(&row, *role));
            }
            // Before a role is made that would be left without its gate.
            merchants.owns(asked.user, choice.plan.module).await?;
            merchants.create_role(&manager, &row.name).await?
        }
    };
    let draft = draft(choice.plan, role);
    merchants
        .put_gate(&manager, draft, None, choice.confirm)
        .await?;
    let template = &commands.services.checkout_url;
    let checkout = checkout(template, choice.plan.module, &choice.plan.plan, None);
    Ok(text::setup_done(&row, role, &checkout))
}

fn draft(plan: ChosenPlan, role: RoleId) -> GateDraft {
    GateDraft {
        module: plan.module,
        plans: [plan.plan].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
    }
}

async fn plan_row(commands: &Data, plan: ChosenPlan) -> Result<PlanRow, Refusal> {
    let rows = commands.services.merchants.plans(&[plan.module]).await?;
    let mut rows = rows.into_iter();
    rows.find(|row| row.plan == plan.plan)
        .ok_or_else(|| Refusal::Invalid(text::setup_no_plan()))
}

impl Commands {
    /// What a gate to a role would change that is made with it.
    async fn preview_of_new(
        &self,
        manager: &Manager,
        plan: ChosenPlan,
    ) -> Result<Preview, Refusal> {
        let guild = manager.guild;
        let mut gates = self.services.merchants.gates(guild).await?;
        let draft = GateId(u64::MAX);
        gates.push(Gate {
            id: draft,
            guild,
            module: plan.module,
            plans: [plan.plan].into(),
            matching: GateMatch::Any,
            roles: [NOT_MADE_YET].into(),
            origin: GateOrigin::Dashboard,
        });
        let question = |answer: oneshot::Sender<Result<Preview, String>>| Question::Preview {
            guild,
            gates,
            draft,
            holders: Some(BTreeMap::new()),
            answer,
        };
        let preview = self.ask(question).await.map_err(Refusal::Internal)?;
        preview.map_err(Refusal::NotRead)
    }
}
