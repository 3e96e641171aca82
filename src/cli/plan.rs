//! What `plan` prints.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::domain::{PlannedChanges, RoleAction};
use crate::terminal::print_line;
use crate::text;

/// Prints the plan.
///
/// # Errors
/// When something keeps a server or a gate from being looked at, or changes from being made: then no changes does not mean
/// that all is well.
pub(super) fn print(planned: &PlannedChanges, json: bool) -> anyhow::Result<()> {
    match json {
        true => print_line(as_json(planned)?)?,
        false => print_lines(planned)?,
    }
    let servers = planned.trouble.values();
    let troubles = servers.map(|sentences| sentences.len()).sum::<usize>();
    let troubles = troubles + planned.general_trouble.len();
    anyhow::ensure!(
        troubles == 0,
        "{} of trouble: what they name keeps roles from being given, whatever the plan says",
        text::counted(troubles as u64, "line")
    );
    Ok(())
}

fn print_lines(planned: &PlannedChanges) -> anyhow::Result<()> {
    for change in &planned.changes {
        let action = match change.action {
            RoleAction::Grant => "grant ",
            RoleAction::Revoke => "revoke",
        };
        let (guild, user, role) = (change.guild, change.user, change.role);
        let reason = text::audit_reason(&change.cause);
        print_line(format!(
            "{action}  server {guild}  member {user}  role {role}  {reason}"
        ))?;
    }
    for sentence in &planned.general_trouble {
        print_line(format!("trouble  {sentence}"))?;
    }
    for (guild, sentence) in planned
        .trouble
        .iter()
        .flat_map(|(guild, sentences)| sentences.iter().map(move |sentence| (guild, sentence)))
    {
        print_line(format!("trouble server {guild}  {sentence}"))?;
    }
    let changes = text::counted(planned.changes.len() as u64, "change");
    Ok(print_line(format!(
        "{changes} at block {}",
        planned.at_block
    ))?)
}

/// The plan for other programs: every cause is an object that names its `kind`, whether more is known of it or not.
fn as_json(planned: &PlannedChanges) -> anyhow::Result<Value> {
    let mut plan = serde_json::to_value(planned)?;
    let changes = plan.get_mut("changes").and_then(Value::as_array_mut);
    for change in changes.into_iter().flatten() {
        let cause = change["cause"].take();
        change["cause"] = match cause {
            Value::Object(cause) => {
                let (kind, facts) = cause.into_iter().next().context("a cause has a kind")?;
                let mut facts = facts;
                facts["kind"] = kind.into();
                facts
            }
            kind => json!({ "kind": kind }),
        };
    }
    Ok(plan)
}
