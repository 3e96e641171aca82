//! What a call for logs asks for.

use serde_json::Value;

/// A quantity, as `0x1a`.
pub(super) fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// One or several values of a filter's position; none for null.
pub(super) fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    match value {
        Value::Array(values) => values.iter().flat_map(list).collect(),
        value => serde_json::from_value(value.clone()).into_iter().collect(),
    }
}

/// Whether the request is for the logs of more blocks than `most`.
pub(super) fn asks_for_more_than(body: &[u8], most: u64) -> bool {
    let call: Value = serde_json::from_slice(body).unwrap_or_default();
    let filter = match &call[0] {
        Value::Null => &call["params"][0],
        first => &first["params"][0],
    };
    let range = number(&filter["fromBlock"]).zip(number(&filter["toBlock"]));
    range.is_some_and(|(from, to)| to + 1 - from > most)
}
