//! What `/api/status` and the metrics tell of the checks against second sources.

use serde_json::{Value, json};

use super::Site;
use crate::domain::{DriftStatus, SourceStatus, Timestamp};

/// `drift` of `/api/status`.
pub(super) fn status(site: &Site) -> Value {
    let drift = site.state.drift.borrow();
    let contradicted = site.state.chain.borrow().disagreements;
    json!({
        "mode": drift.mode.name(),
        "oldest_check_seconds": drift.oldest_check.map(|at| age(at, site.now())),
        "disagreements": drift.disagreements + contradicted,
    })
}

/// Sets the gauges and counters.
pub(super) fn measure(site: &Site) {
    let drift = site.state.drift.borrow().clone();
    let contradicted = site.state.chain.borrow().disagreements;
    let DriftStatus {
        mode,
        disagreements,
        questions,
        api,
        contracts,
        ..
    } = drift;
    set(
        "amser_roles_drift_fallback",
        u64::from(mode.name() == "fallback"),
        "1 while the chain cannot be followed and answers of amser's API may grant roles, else 0.",
        None,
    );
    set(
        "amser_roles_drift_questions",
        questions,
        "Pairs of a linked wallet and a plan that are checked.",
        None,
    );
    for (source, status, disagreements) in [
        ("api", api, disagreements),
        ("contracts", contracts, contradicted),
    ] {
        measure_source(source, status, disagreements, site.now());
    }
}

fn measure_source(source: &'static str, status: SourceStatus, disagreements: u64, now: Timestamp) {
    count(
        "amser_roles_drift_checks_total",
        status.checks,
        "Answers of a second source (amser's API, the contracts) since the start.",
        source,
    );
    count(
        "amser_roles_drift_unknown_total",
        status.unknown,
        "Questions that a second source did not answer, since the start.",
        source,
    );
    count(
        "amser_roles_drift_disagreements_total",
        disagreements,
        "How often amser's API contradicted the chain, or a contract the followed events, since the start.",
        source,
    );
    if let Some(oldest) = status.oldest {
        set(
            "amser_roles_drift_oldest_check_seconds",
            age(oldest, now),
            "Age of the oldest of each question's newest check by a source, in seconds.",
            Some(source),
        );
    }
}

fn age(at: Timestamp, now: Timestamp) -> u64 {
    now.0.saturating_sub(at.0)
}

/// What only grows until the process ends.
fn count(name: &'static str, value: u64, help: &'static str, source: &'static str) {
    metrics::describe_counter!(name, help);
    metrics::counter!(name, "source" => source).absolute(value);
}

fn set(name: &'static str, value: u64, help: &'static str, source: Option<&'static str>) {
    metrics::describe_gauge!(name, help);
    let gauge = match source {
        Some(source) => metrics::gauge!(name, "source" => source),
        None => metrics::gauge!(name),
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows floating point numbers alone"
    )]
    gauge.set(value as f64);
}
