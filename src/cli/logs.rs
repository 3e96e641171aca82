//! Logs on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, filter::filter_fn};

use crate::discord;

/// Logs to standard error: `RUST_LOG` chooses what (default: info of this program), `--log-json` how.
pub(super) fn start(as_json: bool, is_quiet: bool) {
    // What alloy says of a lost connection, in three lines, the follower says in one, with the node and what to do.
    let default = if is_quiet {
        "warn,alloy_pubsub=off"
    } else {
        "warn,alloy_pubsub=off,amser_roles=info"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // On a terminal it looks at NO_COLOR by itself. What cannot be written, because the log's disk is full, is lost: to say so
    // on standard error would panic.
    let mut lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if !std::io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    let lines = if as_json {
        lines.json().boxed()
    } else {
        lines.boxed()
    };
    // Some libraries log whole payloads, tokens among them, at levels that RUST_LOG could ask for.
    tracing_subscriber::registry()
        .with(lines.with_filter(filter_fn(discord::may_log)))
        .with(filter)
        .init();
}
