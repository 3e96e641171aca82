//! What Prometheus is told: the recorder, and what each counter and histogram means. Gauges are set and described where they
//! are read (`web::health`).

use metrics::{Unit, counter, describe_counter, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// From the block of a chain event to Discord's acknowledgement of the role change, in seconds, by `action`.
pub(crate) const EVENT_TO_ROLE: &str = "amser_roles_event_to_role_seconds";
/// Upper bounds of its buckets, in seconds: from a block's time to an hour.
const EVENT_TO_ROLE_BUCKETS: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0,
];
/// Role changes that Discord acknowledged, by `action`.
pub(crate) const ROLE_CHANGES: &str = "amser_roles_role_changes_total";
/// Role changes that Discord refused or did not answer, by `action`.
pub(crate) const ROLE_CHANGE_FAILURES: &str = "amser_roles_role_change_failures_total";
/// Reorganisations that changed stored blocks.
pub(crate) const REORGS: &str = "amser_roles_chain_reorgs_total";

/// Makes this process's recorder. Where several services share a process (tests), the first one's numbers are counted.
pub(crate) fn record() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let matcher = Matcher::Full(EVENT_TO_ROLE.to_owned());
    let builder = builder
        .set_buckets_for_metric(matcher, &EVENT_TO_ROLE_BUCKETS)
        .expect("there are buckets");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // Only a second service in the same process finds the place taken.
    let _taken = metrics::set_global_recorder(recorder);
    describe();
    handle
}

/// Says what counters and histograms mean, and begins the counters: one that appears with its first event hides that event
/// from `increase()`.
fn describe() {
    describe_histogram!(
        EVENT_TO_ROLE,
        Unit::Seconds,
        "Time from a chain event's block to Discord's acknowledgement of the role change."
    );
    describe_counter!(ROLE_CHANGES, "Role changes that Discord acknowledged.");
    describe_counter!(
        ROLE_CHANGE_FAILURES,
        "Role changes that Discord refused, or that were not answered; each is tried again."
    );
    for name in [ROLE_CHANGES, ROLE_CHANGE_FAILURES] {
        for action in ["grant", "revoke"] {
            counter!(name, "action" => action).increment(0);
        }
    }
    let linked = "amser_roles_wallets_linked_total";
    describe_counter!(linked, "Wallets that members linked, since the start.");
    counter!(linked).increment(0);
    describe_counter!(
        REORGS,
        "Reorganisations that changed stored blocks, since the start."
    );
    describe_counter!(
        "amser_roles_http_requests_total",
        "Requests, by route and status."
    );
    describe_histogram!(
        "amser_roles_http_request_seconds",
        Unit::Seconds,
        "Time until the answer of a request begins, by route."
    );
    let version = env!("CARGO_PKG_VERSION");
    let build = "amser_roles_build_info";
    metrics::describe_gauge!(build, "Always 1; the label says which version runs.");
    metrics::gauge!(build, "version" => version).set(1.0);
}
