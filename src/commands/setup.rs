//! `/amser setup`: a form with plans, roles and the server's rules, what the gate would change, and the gate.

mod form;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serenity::all::{
    CreateInteractionResponse, CreateInteractionResponseMessage, ModalInteraction,
};

use super::answer::Answer;
use super::choice::Choice;
use super::grants::said;
use super::ids::{self, SETUP_FORM};
use super::running::{Asked, Commands, Context, Costly, Data, ephemeral, manages, refuse};
use crate::domain::{
    Gate, GateDraft, GateId, GateOrigin, PlanRow, Preview, PreviewQuestion, Question, RoleId,
    ServerSettings,
};
use crate::merchants::{Manager, Merchants, Refusal};
use crate::text::{self, Target};

/// Discord waits three seconds for a form, and a form cannot come later than that.
const FORM_WITHIN: Duration = Duration::from_secs(2);
/// How long a new role is waited for: a server that made many may make no more for a day.
const ROLE_WITHIN: Duration = Duration::from_secs(15);
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
    let mut reading = tokio::spawn(read_form(commands, asked));
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
async fn read_form(commands: Data, asked: Asked) -> Result<Value, Refusal> {
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
    let (set, fixed) = merchants.settings_and_fixed(asked.guild).await?;
    Ok(form::shown(
        &plans,
        &set.policy(&merchants.default_policy()),
        &fixed,
    ))
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
    let chosen = form::chosen(form);
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
    let set = settings_with(merchants, &manager, &choice).await?;
    let policy = set.policy(&merchants.default_policy());
    let told = text::setup_preview(&rows, choice.matching, target, &preview, &policy);
    Ok(Answer::text(told).with([button]))
}

/// The button: makes the gate, and before it the role if that is to be a new one. A role with dangerous permissions is asked
/// about once more.
pub(super) async fn made(commands: Data, asked: Asked, choice: Choice) -> anyhow::Result<Answer> {
    // A task of its own: what was begun is not left half done when the answer takes too long.
    let chosen = choice.clone();
    let making = tokio::spawn(async move {
        // One at a time: who presses twice makes one role and one gate.
        let mine = commands.setting_up(asked.guild);
        let _alone = mine.lock().await;
        make(&commands, &asked, chosen).await
    });
    match making.await? {
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
        let name = name_of_role(&rows);
        let role = tokio::time::timeout(ROLE_WITHIN, merchants.create_role(&manager, &name));
        // A press that nobody waits for any more makes nothing hours later.
        let late = |_elapsed| Refusal::DiscordUnavailable(text::setup_no_new_role());
        choice.roles.insert(role.await.map_err(late)??);
    }
    let set = settings_with(merchants, &manager, &choice).await?;
    merchants
        .put_gate_with_settings(&manager, draft(&choice), None, choice.confirm, set)
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

/// What is set for the server once the choice is made.
async fn settings_with(
    merchants: &Merchants,
    manager: &Manager,
    choice: &Choice,
) -> Result<ServerSettings, Refusal> {
    let (before, fixed) = merchants.settings_and_fixed(manager.guild).await?;
    let default = merchants.default_policy();
    Ok(fixed.over(before.with_rules(&choice.rules, &default)))
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
