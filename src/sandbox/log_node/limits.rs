//! The limits of providers, in their own words (each is in the table of `chain/rpc/error/tests.rs`).

use std::sync::Mutex;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// Whose words a refusal is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Infura: suggests a range where there are too many results.
    Infura,
    /// Alchemy: suggests a range for both limits.
    Alchemy,
    /// QuickNode: HTTP 413 for a wide range.
    QuickNode,
    /// geth.
    Geth,
    /// Erigon.
    Erigon,
    /// reth.
    Reth,
    /// Nethermind.
    Nethermind,
    /// Nobody's: words that no table holds.
    Nobody,
}

/// All of them.
pub const WORDINGS: [Wording; 8] = [
    Wording::Infura,
    Wording::Alchemy,
    Wording::QuickNode,
    Wording::Geth,
    Wording::Erigon,
    Wording::Reth,
    Wording::Nethermind,
    Wording::Nobody,
];

/// A refusal of a range wider than `max` blocks from `from` on.
pub(super) fn too_wide(wording: Wording, from: u64, asked: u64, max: u64) -> (StatusCode, Value) {
    let to = from + max - 1;
    let (code, message) = match wording {
        Wording::Infura => (-32602, format!("range {asked} exceeds limit of {max}")),
        Wording::Alchemy => (
            -32600,
            format!(
                "You can make eth_getLogs requests with up to a {max} block range. Based on your parameters, this \
                 block range should work: [{from:#x}, {to:#x}]"
            ),
        ),
        Wording::QuickNode => (-32614, format!("eth_getLogs is limited to a {max} range")),
        Wording::Geth => (-32602, format!("exceed maximum block range: {max}")),
        Wording::Erigon => (
            -32602,
            format!("query block range exceeds server limit, narrow your filter: {max}"),
        ),
        Wording::Reth => (-32602, format!("query exceeds max block range {max}")),
        Wording::Nethermind => (-32005, "block range is too wide".to_owned()),
        Wording::Nobody => (-32000, "that is a lot to ask".to_owned()),
    };
    let status = match wording {
        Wording::QuickNode => StatusCode::PAYLOAD_TOO_LARGE,
        Wording::Infura | Wording::Alchemy => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    (status, json!({"code": code, "message": message}))
}

/// A refusal of more than `max` results from `from` on, which up to `fitting` would be few enough.
pub(super) fn too_many(
    wording: Wording,
    from: u64,
    fitting: u64,
    max: usize,
) -> (StatusCode, Value) {
    let fitting = fitting.max(from);
    match wording {
        Wording::Infura => (
            StatusCode::OK,
            json!({
                "code": -32005,
                "message": format!("query returned more than {max} results. Try with this block range [{from:#x}, {fitting:#x}]."),
                "data": {"from": format!("{from:#x}"), "limit": max, "to": format!("{fitting:#x}")},
            }),
        ),
        Wording::Alchemy => (
            StatusCode::BAD_REQUEST,
            json!({
                "code": -32602,
                "message": format!(
                    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no \
                     limit on the response size, or you can request any block range with a cap of 10K logs in the \
                     response. Based on your parameters and the response size limit, this block range should work: \
                     [{from:#x}, {fitting:#x}]"
                ),
            }),
        ),
        Wording::Reth => (
            StatusCode::OK,
            json!({
                "code": -32602,
                "message": format!("query exceeds max results {max}, retry with the range {from}-{fitting}"),
            }),
        ),
        _ => {
            let message = match wording {
                Wording::Erigon => {
                    format!("query returns too many logs, narrow your filter: {max}")
                }
                Wording::Nethermind => {
                    format!("Too many logs requested. Max logs per response is {max}.")
                }
                Wording::Nobody => "that is a lot to answer".to_owned(),
                _ => format!("query returned more than {max} results"),
            };
            let code = if wording == Wording::Nobody {
                -32000
            } else {
                -32005
            };
            (StatusCode::OK, json!({"code": code, "message": message}))
        }
    }
}

/// Requests are counted by whole seconds, as most gateways do; a refused one counts for nothing.
#[derive(Debug)]
pub(super) struct Rate {
    most: Option<u64>,
    started: Instant,
    /// The second that is counted, and the requests in it.
    counted: Mutex<(u64, u64)>,
}

impl Rate {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self {
            most,
            started: Instant::now(),
            counted: Mutex::default(),
        }
    }

    /// Counts a request, unless it is one too many.
    pub(super) fn is_exceeded(&self) -> bool {
        let Some(most) = self.most else {
            return false;
        };
        let mut counted = self
            .counted
            .lock()
            .expect("never poisoned: no panic while held");
        let second = self.started.elapsed().as_secs();
        if counted.0 != second {
            *counted = (second, 0);
        }
        let is_exceeded = counted.1 >= most;
        counted.1 += u64::from(!is_exceeded);
        is_exceeded
    }
}

/// A refusal that names no time to wait.
pub(super) fn too_often() -> Response {
    StatusCode::TOO_MANY_REQUESTS.into_response()
}
