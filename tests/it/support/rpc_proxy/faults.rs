//! The faults that can be switched on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use serde_json::{Value, json};

/// A provider's way to refuse a call for logs.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Most blocks, or most logs, of one call.
    pub(crate) most: u64,
    pub(crate) code: i64,
    /// Its words; `{from}` and `{to}` stand for the largest range that would be allowed.
    pub(crate) message: String,
    /// What comes in place of the error.
    pub(crate) instead: Option<Instead>,
}

/// A refusal that is no error of JSON-RPC.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instead {
    /// This HTTP status, without a word.
    Status(u16),
    /// `null` as the result.
    Null,
    /// The connection is closed; a websocket with this code.
    Close(u16),
}

/// What a node makes of the block `pending` in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pending {
    /// It has none.
    Refused,
    /// It answers as of so many blocks ago.
    Behind(u64),
}

/// What the node does wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Nothing works: every request is a 502, and so is connecting.
    pub(crate) dead: bool,
    /// Every call is answered with this HTTP status; over a websocket never.
    pub(crate) status: Option<u16>,
    /// Calls of this method are never answered, so many times.
    pub(crate) never: Option<(&'static str, u64)>,
    /// Calls of this method are answered after so long.
    pub(crate) slow: Option<(&'static str, Duration)>,
    /// What becomes of calls at the block `pending`.
    pub(crate) pending: Option<Pending>,
    /// So many calls of contracts are answered as of so many blocks ago (`(blocks, times)`), as by a node that lags behind
    /// the others of its URL.
    pub(crate) stale_calls: (u64, u64),
    /// Calls of contracts fail with this code and sentence.
    pub(crate) call_error: Option<(i64, &'static str)>,
    /// `eth_chainId` answers this.
    pub(crate) chain_id: Option<u64>,
    /// Calls for logs over wider ranges are refused.
    pub(crate) range_limit: Option<Refusal>,
    /// Calls for logs with more of them are refused.
    pub(crate) result_limit: Option<Refusal>,
    /// So many times a call is refused with 429 and `Retry-After` of so many seconds, and so is every other one in that time.
    pub(crate) too_many: u64,
    /// Only calls of this method are.
    pub(crate) too_many_of: Option<&'static str>,
    /// Most calls in a second, and the sentence by which the others are refused.
    pub(crate) per_second: Option<(u64, &'static str)>,
    /// When the second began that is counted, and the calls in it.
    pub(crate) second: Option<(Instant, u64)>,
    pub(crate) retry_after: u64,
    /// Until when the last refused caller was told to wait, and how many calls came before.
    pub(crate) quiet_until: Option<Instant>,
    pub(crate) impatient_calls: u64,
    /// So many calls of this method fail with an error that says nothing, and how many have.
    pub(crate) broken: Option<(&'static str, u64)>,
    pub(crate) broke: u64,
    /// Calls that name this address fail so.
    pub(crate) broken_about: Option<Address>,
    /// So many calls of a contract's view are answered with nothing, as by a node that does not have it yet.
    pub(crate) empty_views: u64,
    /// So many calls of this method are answered with `null`.
    pub(crate) nulls: Option<(&'static str, u64)>,
    /// The newest block's logs are missing from so many answers.
    pub(crate) without_logs: u64,
    /// Logs of these blocks, the first to the last, are left out of every answer, and how many were.
    pub(crate) hidden: Option<(u64, u64)>,
    pub(crate) hid: u64,
    /// Logs are not served by a block's hash.
    pub(crate) no_block_hash: bool,
    /// Every log names a time of zero.
    pub(crate) no_times: bool,
    /// Every log comes twice, in different transactions.
    pub(crate) twins: bool,
    /// Logs of so many of the newest blocks are, while their headers are served: by a node behind the same URL that is
    /// further.
    pub(crate) logs_lag: u64,
    /// Calls for logs of a range so far.
    pub(crate) ranges: u64,
    /// Old state as of now, and code from these blocks on: an archive, without keeping one in anvil. Empty: anvil's own.
    pub(crate) code_since: BTreeMap<Address, u64>,
    /// Code at older blocks than this is answered with `0x`.
    pub(crate) no_code_below: u64,
    /// So many calls for code at a block fail with `header not found`.
    pub(crate) header_not_found: u64,
    /// The newest finalized block, or none; and how often it was asked for.
    pub(crate) finalized: Option<u64>,
    pub(crate) finalized_asked: u64,
    /// The node is so many blocks behind the chain.
    pub(crate) lag: u64,
    /// Half of the requests are answered by a backend of the same URL that is so many blocks behind.
    pub(crate) apart: u64,
    /// How often the follower was shown such an old head.
    pub(crate) lagged: u64,
    /// Calls for old state fail: the node is not an archive.
    pub(crate) no_old_state: bool,
    /// Every so many-th call fails with a 502.
    pub(crate) flaky: u64,
    /// Blooms are full, as on a busy chain: they exclude nothing.
    pub(crate) full_blooms: bool,
    /// Heads are not pushed any more, while calls are answered.
    pub(crate) silent: bool,
    /// Calls over the websocket are not answered either.
    pub(crate) deaf: bool,
    /// `eth_subscribe` is not served.
    pub(crate) no_subscriptions: bool,
    /// Most websockets at the same time; more are refused, and how many were.
    pub(crate) most_websockets: Option<usize>,
    pub(crate) websockets_refused: u64,
}

impl Faults {
    /// The sentence that refuses this call for its rate, if the rate is limited.
    pub(super) fn refuse_rate(&mut self) -> Option<&'static str> {
        let (most, words) = self.per_second?;
        let now = Instant::now();
        let is_current = |(since, _): &(Instant, u64)| now - *since < Duration::from_secs(1);
        let (since, calls) = self.second.filter(is_current).unwrap_or((now, 0));
        self.second = Some((since, calls + 1));
        (calls >= most).then_some(words)
    }

    /// Whether this call fails without a reason.
    pub(super) fn is_broken(&mut self, method: &str, request: &Value) -> bool {
        if let Some(address) = self.broken_about {
            let named = format!("{address:#x}");
            return request["params"]
                .to_string()
                .to_lowercase()
                .contains(&named);
        }
        match &mut self.broken {
            Some((broken, times)) if *broken == method && *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

impl Refusal {
    pub(crate) fn new(most: u64, code: i64, message: &str) -> Self {
        Self {
            most,
            code,
            message: message.to_owned(),
            instead: None,
        }
    }

    /// Of wider ranges, without an error of JSON-RPC.
    pub(crate) fn wordless(most: u64, instead: Instead) -> Self {
        Self {
            instead: Some(instead),
            ..Self::new(most, 0, "")
        }
    }

    pub(super) fn error(&self, from: u64) -> Value {
        let to = (from + self.most).saturating_sub(1);
        let message = self
            .message
            .replace("{from}", &format!("{from:#x}"))
            .replace("{to}", &format!("{to:#x}"));
        json!({ "code": self.code, "message": message })
    }
}
