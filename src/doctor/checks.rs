//! Judges the facts. Every check is a pure function; none of them looks at anything else.

mod api;
mod chain;
mod discord;
mod files;
mod modules;
mod servers;
mod service;
mod store;
mod web;

use super::facts::Facts;
use crate::domain::Finding;

/// The findings, in the order in which a person would look for what is wrong.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in [
        service::check,
        files::check,
        store::check,
        chain::check,
        modules::check,
        discord::check,
        servers::check,
        web::check,
        api::check,
    ] {
        findings.extend(check(facts));
    }
    findings
}

#[cfg(test)]
mod tests;
