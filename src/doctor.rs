//! `doctor`: gathers facts about everything that the service depends on, judges them by pure functions, and says one line about
//! each: what is, and what to do.

mod checks;
mod facts;
mod gather;

use serde_json::json;

use crate::config::{Config, Secrets};
use crate::discord::Discord;
use crate::domain::{ChainStatus, DiscordStatus, DriftStatus, Finding, Level};
use crate::store::{Pages, Store};
use crate::terminal::{Unprinted, print_line};

/// What is looked at.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The secrets.
    pub secrets: &'a Secrets,
    /// The store, which is never made here.
    pub store: Access,
    /// The running service, if this is it.
    pub live: Option<Live>,
}

/// How the store can be read.
#[derive(Debug)]
pub enum Access {
    /// There is none yet.
    Absent,
    /// For this reason not at all.
    Unusable(String),
    /// Like this; with what redb's check of the pages came to, where no service was running.
    Open(Store, Option<Pages>),
}

/// The running service.
#[derive(Debug)]
pub struct Live {
    /// Its view of the chain.
    pub chain: ChainStatus,
    /// Its view of Discord.
    pub discord_status: DiscordStatus,
    /// Its checks against second sources.
    pub drift: DriftStatus,
    /// Its way to Discord, within whose limits this stays.
    pub discord: Discord,
}

/// Looks at everything, which takes less than two minutes, and changes nothing.
pub async fn examine(inputs: Inputs<'_>) -> Vec<Finding> {
    let facts = Box::pin(gather::facts(inputs)).await;
    checks::all(&facts)
}

/// Prints the findings, one line each; as JSON, one line for all.
///
/// # Errors
/// When standard output is closed or full.
pub fn print(findings: &[Finding], as_json: bool) -> Result<(), Unprinted> {
    if as_json {
        let is_well = failures(findings) == 0;
        return print_line(json!({ "ok": is_well, "findings": findings }));
    }
    for finding in findings {
        print_line(line(finding))?;
    }
    Ok(())
}

/// How many failures are among the findings.
pub fn failures(findings: &[Finding]) -> usize {
    let is_failure = |finding: &&Finding| finding.level == Level::Failure;
    findings.iter().filter(is_failure).count()
}

/// A finding for a person.
fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Failure => "failure",
    };
    let Finding { name, sentence, .. } = finding;
    // A line of a log may be quoted in it.
    let sentence = sentence.replace('\n', " ");
    let what_to_do = finding.what_to_do.as_deref();
    let what_to_do = what_to_do.map_or_else(String::new, |to_do| format!(" -> {to_do}"));
    format!("{level:<8} {name:<20} {sentence}{what_to_do}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_ends_with_what_to_do() {
        let finding = Finding::failure("node.head", "it is\nold", "wait");
        let expected = "failure  node.head            it is old -> wait";
        assert_eq!(line(&finding), expected);
        let finding = Finding::ok("clock", "it is right");
        assert_eq!(line(&finding), "ok       clock                it is right");
        assert_eq!(failures(&[finding]), 0);
    }
}
