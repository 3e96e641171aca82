//! Why a request to Discord did not do what it should, told apart by what must happen next.

use serde::Deserialize;

use crate::unreachable::cause_of;

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 429. The limits know when to go on; this is nobody's failure.
    #[error("Discord's rate limit was met")]
    RateLimited,
    /// No answer, an answer that cannot be read, or a failure on Discord's side: worth another try soon.
    #[error("{0}")]
    Transient(String),
    /// Discord understood and said no: another try alone changes nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Discord's no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Discord refused with {status}, code {code}: {message}")]
pub struct Refusal {
    /// What it means for us.
    pub reason: Reason,
    /// The HTTP status.
    pub status: u16,
    /// Discord's error code, 0 where there was none.
    pub code: u32,
    /// Discord's message.
    pub message: String,
}

/// What a refusal means for us.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// 401: the bot token is not valid (any more).
    Token,
    /// 10004 Unknown Guild, 50001 Missing Access: the bot is not in the server.
    Guild,
    /// 60003: the server asks for two-factor authentication, which the bot's owner has not switched on.
    TwoFactor,
    /// 50013 Missing Permissions: a permission is missing or the role stands too high.
    Permissions,
    /// 10011 Unknown Role, 50028 Invalid Role: the role is gone or cannot be given.
    Role,
    /// 10007 Unknown Member, 10013 Unknown User: the member has left.
    Member,
    /// Anything else.
    Other,
}

/// The code under which Cloudflare's trouble comes in Discord's form: "internal network error".
const NETWORK_ERROR: u32 = 40333;

/// Discord's error body; OAuth's has a code in words instead.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    code: u32,
    #[serde(default, alias = "error")]
    message: String,
}

impl Failure {
    /// Reads an answer that is not a success.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        match status {
            429 => Self::RateLimited,
            // 408 and 425 ask for another try; 3xx come from something that stands before Discord.
            408 | 425 | 500.. | ..400 => {
                Self::Transient(format!("Discord answered with status {status}"))
            }
            _ => match serde_json::from_slice::<Body>(body) {
                Ok(body) if body.code != NETWORK_ERROR => {
                    Self::Refused(Refusal::read(status, body))
                }
                // A page of Cloudflare's or of a proxy: Discord itself answers in JSON.
                _ => Self::Transient(format!(
                    "something in front of Discord answered with status {status}"
                )),
            },
        }
    }

    /// A success whose body is not what it should be.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        Self::Transient(format!("Discord's answer cannot be read: {error}"))
    }

    /// The refusal's reason, if it is one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => Some(refusal.reason),
            Self::RateLimited | Self::Transient(_) => None,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let cause = cause_of(error);
        Self::Transient(format!("Discord cannot be reached: {cause}"))
    }
}

impl Refusal {
    fn read(status: u16, Body { code, message }: Body) -> Self {
        let reason = match code {
            _ if status == 401 => Reason::Token,
            10004 | 50001 => Reason::Guild,
            60003 => Reason::TwoFactor,
            50013 => Reason::Permissions,
            10011 | 50028 => Reason::Role,
            10007 | 10013 => Reason::Member,
            _ => Reason::Other,
        };
        Self {
            reason,
            status,
            code,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(status: u16, code: u32) -> Option<Reason> {
        let body = format!(r#"{{"message":"m","code":{code}}}"#);
        Failure::read(status, body.as_bytes()).reason()
    }

    #[test]
    fn refusals_are_recognised_by_their_code() {
        assert_eq!(reason(401, 0), Some(Reason::Token));
        assert_eq!(reason(404, 10004), Some(Reason::Guild));
        assert_eq!(reason(403, 50001), Some(Reason::Guild));
        assert_eq!(reason(403, 50013), Some(Reason::Permissions));
        assert_eq!(reason(404, 10011), Some(Reason::Role));
        assert_eq!(reason(404, 10007), Some(Reason::Member));
        assert_eq!(reason(403, 60003), Some(Reason::TwoFactor));
        assert_eq!(reason(400, 50035), Some(Reason::Other));
    }

    #[test]
    fn the_error_code_of_oauth_is_told() {
        let body =
            br#"{"error":"invalid_grant","error_description":"Invalid \"code\" in request."}"#;
        let told = Failure::read(400, body).to_string();
        assert!(told.ends_with("invalid_grant"), "{told}");
    }

    #[test]
    fn what_comes_from_something_in_front_of_discord_passes() {
        // As Cloudflare sends it (case a17).
        let a17 = br#"{"message":"internal network error","code":40333}"#;
        for (status, body) in [
            (403, a17.as_slice()),
            (
                403,
                b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>",
            ),
            (401, b"<html>"),
            (404, b"<html>"),
            (502, b"<html>"),
            (301, b""),
        ] {
            let failure = Failure::read(status, body);
            assert!(matches!(failure, Failure::Transient(_)), "{failure:?}");
        }
        assert_eq!(Failure::read(429, b"<html>"), Failure::RateLimited);
    }
}
