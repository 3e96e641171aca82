//! Discord's JSON errors: a status, a numeric code, a message, and for malformed bodies the path of each fault.
use std::borrow::Cow;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// One refused request, as Discord words it.
///
/// Codes: <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: u32,
    pub(crate) message: Cow<'static, str>,
    pub(crate) errors: Option<Value>,
    /// An error of OAuth's form (RFC 6749, 5.2) instead of Discord's.
    pub(crate) oauth: Option<&'static str>,
    /// The client sent something that no correct client sends; it is recorded as a violation.
    pub(crate) malformed: bool,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: u32,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            errors: None,
            oauth: None,
            malformed: false,
        }
    }

    fn not_found(code: u32, message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 0, "401: Unauthorized")
    }

    pub(crate) fn unknown_channel() -> Self {
        Self::not_found(10003, "Unknown Channel")
    }

    pub(crate) fn unknown_guild() -> Self {
        Self::not_found(10004, "Unknown Guild")
    }

    pub(crate) fn unknown_member() -> Self {
        Self::not_found(10007, "Unknown Member")
    }

    pub(crate) fn unknown_message() -> Self {
        Self::not_found(10008, "Unknown Message")
    }

    pub(crate) fn unknown_role() -> Self {
        Self::not_found(10011, "Unknown Role")
    }

    pub(crate) fn unknown_user() -> Self {
        Self::not_found(10013, "Unknown User")
    }

    pub(crate) fn unknown_webhook() -> Self {
        Self::not_found(10015, "Unknown Webhook")
    }

    pub(crate) fn unknown_interaction() -> Self {
        Self::not_found(10062, "Unknown interaction")
    }

    pub(crate) fn unknown_command() -> Self {
        Self::not_found(10063, "Unknown application command")
    }

    pub(crate) fn unknown_invite() -> Self {
        Self::not_found(10006, "Unknown Invite")
    }

    pub(crate) fn too_many_roles() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            30005,
            "Maximum number of server roles reached (250)",
        )
    }

    pub(crate) fn needs_boosts() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            50101,
            "This server needs more boosts to perform this action",
        )
    }

    pub(crate) fn already_acknowledged() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            40060,
            "Interaction has already been acknowledged.",
        )
    }

    pub(crate) fn missing_access() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50001, "Missing Access")
    }

    pub(crate) fn empty_message() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            50006,
            "Cannot send an empty message",
        )
    }

    pub(crate) fn cannot_message_user() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            50007,
            "Cannot send messages to this user",
        )
    }

    pub(crate) fn missing_permissions() -> Self {
        Self::new(StatusCode::FORBIDDEN, 50013, "Missing Permissions")
    }

    pub(crate) fn two_factor_required() -> Self {
        let message = "Two factor is required for this operation";
        Self::new(StatusCode::FORBIDDEN, 60003, message)
    }

    pub(crate) fn expired_webhook_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 50027, "Invalid Webhook Token")
    }

    pub(crate) fn invalid_role() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 50028, "Invalid Role")
    }

    /// An OAuth error: its code and a description.
    pub(crate) fn oauth(code: &'static str, description: &'static str) -> Self {
        Self {
            oauth: Some(code),
            ..Self::new(StatusCode::BAD_REQUEST, 0, description)
        }
    }

    /// 50035 with one fault at `path` (dot-separated, as `options.0.name`); the client's mistake.
    pub(crate) fn invalid_form(path: &str, code: &str, message: impl Into<String>) -> Self {
        let mut errors = json!({ "_errors": [{ "code": code, "message": message.into() }] });
        for key in path.rsplit('.').filter(|key| !key.is_empty()) {
            let mut outer = Map::new();
            outer.insert(key.to_owned(), errors);
            errors = Value::Object(outer);
        }
        Self {
            status: StatusCode::BAD_REQUEST,
            code: 50035,
            message: "Invalid Form Body".into(),
            errors: Some(errors),
            oauth: None,
            malformed: true,
        }
    }

    /// 50109: the body is not the JSON this route takes.
    pub(crate) fn invalid_json(why: impl std::fmt::Display) -> Self {
        Self {
            malformed: true,
            ..Self::new(
                StatusCode::BAD_REQUEST,
                50109,
                format!("The request body contains invalid JSON. ({why})"),
            )
        }
    }

    /// The body Discord sends with it.
    pub(crate) fn body(&self) -> Value {
        if let Some(code) = self.oauth {
            return json!({ "error": code, "error_description": self.message });
        }
        match &self.errors {
            Some(errors) => json!({ "message": self.message, "code": self.code, "errors": errors }),
            None => json!({ "message": self.message, "code": self.code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_error_nests_its_path() {
        let body = ApiError::invalid_form("options.0.name", "STRING_TYPE_REGEX", "no").body();
        assert_eq!(body["code"], 50035);
        assert_eq!(
            body["errors"]["options"]["0"]["name"]["_errors"][0]["code"],
            "STRING_TYPE_REGEX"
        );
    }
}
