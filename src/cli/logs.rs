//! Logs on standard error.

use std::error::Error as _;
use std::io::IsTerminal as _;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, filter::filter_fn};

use crate::discord;

/// Logs to standard error: `RUST_LOG` chooses what (default: info of this program), `--log-json` how.
pub(super) fn start(as_json: bool, is_quiet: bool) {
    let default = if is_quiet {
        "warn"
    } else {
        "warn,amser_roles=info"
    };
    let (filter, refused) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (filter, None),
        // A variable that is not set is no mistake.
        Err(error) => {
            let refused = error.source().is_some_and(|cause| cause.is::<ParseError>());
            (EnvFilter::new(default), refused.then_some(error))
        }
    };
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
        .with(without_transports(filter))
        .init();
    if let Some(error) = refused {
        tracing::warn!(%error, "RUST_LOG is not understood, so it is ignored");
    }
}

/// What alloy says of a lost connection, in three lines, the follower says in one, with the node and what to do. Whoever names
/// alloy in `RUST_LOG` reads both.
fn without_transports(filter: EnvFilter) -> EnvFilter {
    if filter.to_string().contains("alloy") {
        return filter;
    }
    let quiet = ["alloy_pubsub=off", "alloy_transport_ws=off"];
    quiet.into_iter().fold(filter, |filter, directive| {
        filter.add_directive(
            directive
                .parse()
                .expect("a target and a level are a directive"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_said_by_us_alone_unless_alloy_is_asked_for() {
        let filter = |text: &str| without_transports(EnvFilter::new(text)).to_string();
        for text in ["info", "warn,amser_roles=debug", ""] {
            assert!(filter(text).contains("alloy_pubsub=off"), "{text}");
        }
        assert!(!filter("warn,alloy=debug").contains("off"));
    }
}
