//! The form of `/amser setup`: as it is shown, and what was chosen in it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serenity::all::{ActionRowComponent, ModalInteraction};

use crate::commands::choice::{Choice, ChosenPlan, MOST_ROLES};
use crate::commands::ids::SETUP_FORM;
use crate::commands::rules;
use crate::domain::{GateMatch, PlanRow, Policy, RoleId, ServerSettings};
use crate::text;

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

/// The form: at most five labels.
/// <https://discord.com/developers/docs/components/reference#label>
pub(super) fn shown(plans: &[PlanRow], policy: &Policy, fixed: &ServerSettings) -> Value {
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
    labels.extend(rules::labels(policy, fixed));
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

/// What the form says; or a sentence on why it cannot be one gate.
pub(super) fn chosen(form: &ModalInteraction) -> Result<Choice, String> {
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
        rules: rules::chosen(
            answer(form, rules::KEEP).map(str::lines),
            answer(form, rules::BY_HAND),
        ),
    })
}

/// What was chosen in a select: none where the form did not have it.
fn values_of<'a>(form: &'a ModalInteraction, id: &str) -> impl Iterator<Item = &'a str> {
    answer(form, id).unwrap_or_default().lines()
}

/// `gateway::modal` hands a select over as the text of an input, one value a line.
fn answer<'a>(form: &'a ModalInteraction, id: &str) -> Option<&'a str> {
    let rows = form.data.components.iter();
    let mut inputs = rows.flat_map(|row| &row.components);
    inputs.find_map(|component| match component {
        ActionRowComponent::InputText(input) if input.custom_id == id => input.value.as_deref(),
        _ => None,
    })
}
