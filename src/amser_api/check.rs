//! `GET auth_check`: whether a wallet has access by a plan. What is no clear answer is unknown, with the reason.

use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use serde_json::Value;

use super::limits::{Limits, limits};
use super::{AmserApi, body};
use crate::domain::{ActiveQuestion, ApiAnswer};

/// The longest `ETag` that is kept, in bytes.
const LONGEST_TAG: usize = 64;

/// Asks by the configured path, and reads the answer by the configured pointer.
#[derive(Clone, Debug)]
pub struct AccessCheck {
    api: AmserApi,
    template: String,
    pointer: String,
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What it says.
    pub answer: ApiAnswer,
    /// Of what kind it is.
    pub kind: ReplyKind,
    /// What it says of when to ask again.
    pub limits: Limits,
    /// The answer's tag: sent along the next time, it makes the answer short.
    pub tag: Option<Box<str>>,
    /// How long it took.
    pub took: Duration,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// With an answer.
    Answered,
    /// It was one too many: 429.
    TooMany,
    /// With a refusal of this question: 4xx.
    Refused,
    /// With nothing of use: 5xx, a redirect, another shape, no connection, silence.
    Failed,
}

impl AccessCheck {
    /// `template`: a path with `{address}`, `{module}`, `{plan_id}` and `{chain_id}`; `pointer`: the JSON pointer of the answer.
    pub fn new(api: AmserApi, template: &str, pointer: &str) -> Self {
        Self {
            api,
            template: template.to_owned(),
            pointer: pointer.to_owned(),
        }
    }

    /// The API's host.
    pub fn host(&self) -> &str {
        self.api.shared.base.host_str().unwrap_or("amser's API")
    }

    /// The path of a question.
    fn path(&self, question: &ActiveQuestion) -> String {
        self.template
            .replace("{address}", &question.wallet.to_string())
            .replace("{module}", &question.module.to_string())
            .replace("{plan_id}", &question.plan.to_string())
            .replace("{chain_id}", &self.api.shared.chain_id.to_string())
    }

    /// Asks. `known`: the tag of the last answer, and what that was.
    pub async fn ask(&self, question: &ActiveQuestion, known: Option<(&str, bool)>) -> Reply {
        let started = Instant::now();
        let asked = self.exchange(question, known).await;
        let took = started.elapsed();
        asked.map_or_else(
            |why| Reply {
                answer: ApiAnswer::Unknown(format!("{} does not answer: {why}", self.host())),
                kind: ReplyKind::Failed,
                limits: Limits::default(),
                tag: None,
                took,
            },
            |reply| Reply { took, ..reply },
        )
    }

    async fn exchange(
        &self,
        question: &ActiveQuestion,
        known: Option<(&str, bool)>,
    ) -> Result<Reply, String> {
        let mut request = self
            .api
            .get_public(&self.path(question))
            .map_err(|error| format!("{error:#}"))?;
        if let Some((tag, _)) = known {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let response = request.send().await.map_err(in_short)?;
        let status = response.status();
        let headers = response.headers().clone();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let limits = limits(header, SystemTime::now());
        let body = match status.is_success() {
            true => body(response).await.map_err(|error| format!("{error:#}"))?,
            false => Vec::new(),
        };
        let known = known.map(|(_, active)| active);
        let (kind, answer) = read(status, &body, &self.pointer, known, self.host());
        Ok(Reply {
            answer,
            kind,
            limits,
            tag: tag(&headers),
            took: Duration::ZERO,
        })
    }
}

/// Without the URL, which names a wallet.
fn in_short(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        "it took too long".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        error.to_string()
    }
}

fn tag(headers: &HeaderMap) -> Option<Box<str>> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (tag.len() <= LONGEST_TAG).then(|| tag.into())
}

/// What an answer says. `known`: what the answer was whose tag was sent along.
fn read(
    status: StatusCode,
    body: &[u8],
    pointer: &str,
    known: Option<bool>,
    host: &str,
) -> (ReplyKind, ApiAnswer) {
    let said = |active| match active {
        true => (ReplyKind::Answered, ApiAnswer::Active),
        false => (ReplyKind::Answered, ApiAnswer::Inactive),
    };
    let unknown = |kind, what: String| (kind, ApiAnswer::Unknown(format!("{host} answers {what}")));
    match status {
        StatusCode::NOT_MODIFIED => match known {
            Some(active) => said(active),
            None => unknown(
                ReplyKind::Failed,
                "304 to a question without a tag".to_owned(),
            ),
        },
        StatusCode::TOO_MANY_REQUESTS => unknown(
            ReplyKind::TooMany,
            "429: it is asked too often, or a quota is used up".to_owned(),
        ),
        status if status == StatusCode::OK => {
            let answer: Option<Value> = serde_json::from_slice(body).ok();
            let active = answer.as_ref().and_then(|answer| answer.pointer(pointer));
            match active.and_then(Value::as_bool) {
                Some(active) => said(active),
                None => unknown(
                    ReplyKind::Failed,
                    format!("in another shape: no true or false at amser.active_pointer {pointer}"),
                ),
            }
        }
        // Whom it does not let in at all it refuses nothing in particular.
        status
            if status.is_client_error()
                && status != StatusCode::UNAUTHORIZED
                && status != StatusCode::FORBIDDEN =>
        {
            unknown(ReplyKind::Refused, status.as_u16().to_string())
        }
        status => unknown(ReplyKind::Failed, status.as_u16().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(status: u16, body: &str) -> (ReplyKind, Option<bool>) {
        let status = StatusCode::from_u16(status).unwrap();
        let (kind, answer) = read(status, body.as_bytes(), "/active", None, "api.example");
        (kind, active(&answer))
    }

    fn active(answer: &ApiAnswer) -> Option<bool> {
        match answer {
            ApiAnswer::Active => Some(true),
            ApiAnswer::Inactive => Some(false),
            ApiAnswer::Unknown(why) => {
                assert!(why.starts_with("api.example "), "{why}");
                None
            }
        }
    }

    #[test]
    fn only_true_and_false_at_the_pointer_of_a_200_are_answers() {
        use ReplyKind::{Answered, Failed, Refused, TooMany};
        for (status, body, kind, expected) in [
            (200, r#"{"active":true}"#, Answered, Some(true)),
            (200, r#"{"active":false,"more":[1]}"#, Answered, Some(false)),
            (200, r#"{"active":"true"}"#, Failed, None),
            (200, r#"{"active":1}"#, Failed, None),
            (200, r#"{"data":{"active":true}}"#, Failed, None),
            (200, "", Failed, None),
            (200, "<html>", Failed, None),
            (201, r#"{"active":true}"#, Failed, None),
            (204, "", Failed, None),
            (304, "", Failed, None),
            (302, r#"{"active":true}"#, Failed, None),
            (400, r#"{"active":false}"#, Refused, None),
            (404, r#"{"active":false}"#, Refused, None),
            (401, r#"{"active":false}"#, Failed, None),
            (403, r#"{"active":false}"#, Failed, None),
            (402, r#"{"active":false}"#, Refused, None),
            (429, r#"{"active":false}"#, TooMany, None),
            (500, r#"{"active":false}"#, Failed, None),
            (503, r#"{"active":true}"#, Failed, None),
        ] {
            assert_eq!(seen(status, body), (kind, expected), "{status} {body}");
        }
    }

    #[test]
    fn what_has_not_changed_is_what_it_was() {
        for was in [true, false] {
            let unchanged = read(StatusCode::NOT_MODIFIED, b"", "/active", Some(was), "x");
            assert_eq!(unchanged.0, ReplyKind::Answered);
            assert_eq!(unchanged.1 == ApiAnswer::Active, was);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_body_holds_nothing_but_a_boolean_at_the_pointer_is_an_answer(
            body in "[\\[\\]{}:,\"a-z0-9 ]{0,60}",
            pointer in "(/[a-z0-9~]{0,4}){1,3}",
            status in 100_u16..600,
        ) {
            let code = StatusCode::from_u16(status).unwrap();
            let (kind, answer) = read(code, body.as_bytes(), &pointer, None, "api.example");
            let is_said = active(&answer).is_some();
            prop_assert_eq!(is_said, kind == ReplyKind::Answered);
            prop_assert!(!is_said || status == 200);
        }
    }
}
