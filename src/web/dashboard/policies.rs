//! A server's own policies, as plain questions: in its settings, and where a mapping is saved.

use maud::{Markup, html};
use serde::Deserialize;

use crate::domain::{ManualRoles, OnLapse, Policy, ServerSettings};

/// One question with its answers.
pub(super) fn question(
    name: &str,
    asked: &str,
    help: &str,
    answers: &[(&str, &str)],
    chosen: &str,
    is_fixed: bool,
) -> Markup {
    html! {
        fieldset.panel disabled[is_fixed] {
            legend { (asked) }
            p.fine { (help) }
            @if is_fixed { p.fine { "Set by the operator of the bot; it cannot be changed here." } }
            ul.choices {
                @for (value, text) in answers {
                    li { label {
                        input type="radio" name=(name) value=(value) checked[*value == chosen];
                        span { (text) }
                    } }
                }
            }
        }
    }
}

/// A question that the operator's policy answers with `default` while the server does not.
fn policy(
    name: &str,
    (asked, help): (&str, &str),
    answers: &[(&str, &str)],
    default: &str,
    chosen: &str,
    is_fixed: bool,
) -> Markup {
    let of_default = answers.iter().find(|(value, _)| *value == default);
    let of_default = of_default.and_then(|(_, text)| text.split(':').next());
    let of_default = of_default.unwrap_or_default();
    let first = format!("As the operator of the bot has set it: “{of_default}”");
    let mut all = vec![("", first.as_str())];
    all.extend(answers);
    question(name, asked, help, &all, chosen, is_fixed)
}

fn lapse_name(setting: Option<OnLapse>) -> &'static str {
    match setting {
        None => "",
        Some(OnLapse::Revoke) => "revoke",
        Some(OnLapse::KeepUntilExpiry) => "keep_until_expiry",
    }
}

fn manual_name(setting: Option<ManualRoles>) -> &'static str {
    match setting {
        None => "",
        Some(ManualRoles::Adopt) => "adopt",
        Some(ManualRoles::Leave) => "leave",
        Some(ManualRoles::Claim) => "claim",
    }
}

/// What happens when a member stops paying in one way or another: three questions.
pub(super) fn on_lapse(set: &ServerSettings, fixed: &ServerSettings, default: &Policy) -> Markup {
    const LAPSE: [(&str, &str); 2] = [
        ("revoke", "Take the role at once"),
        (
            "keep_until_expiry",
            "Keep the role until the paid time and its grace end",
        ),
    ];
    let lapse = |name, asked, default, set, fixed: Option<OnLapse>| {
        let (default, set) = (lapse_name(Some(default)), lapse_name(set));
        policy(name, asked, &LAPSE, default, set, fixed.is_some())
    };
    html! {
        (lapse(
            "cancelled",
            (
                "What happens when a member cancels?",
                "Most services keep a cancelled member until the end of what they paid for.",
            ),
            default.cancelled,
            set.cancelled,
            fixed.cancelled,
        ))
        (lapse(
            "payment_failed",
            (
                "What happens when a payment fails?",
                "A wallet that is empty for a day looks the same as a member who left. Services differ here: some take the role at once, others wait for the grace to end.",
            ),
            default.payment_failed,
            set.payment_failed,
            fixed.payment_failed,
        ))
        (lapse(
            "paused",
            (
                "What happens when a member pauses?",
                "A pause stops the next payment. What was paid before is paid.",
            ),
            default.paused,
            set.paused,
            fixed.paused,
        ))
    }
}

/// What becomes of roles that were given by hand.
pub(super) fn manual_roles(
    set: &ServerSettings,
    fixed: &ServerSettings,
    default: &Policy,
) -> Markup {
    const MANUAL: [(&str, &str); 3] = [
        (
            "adopt",
            "Adopt: who pays keeps it, and loses it when the subscription ends; others keep it",
        ),
        ("leave", "Leave: never take a role that was given by hand"),
        (
            "claim",
            "Claim: only who pays may hold it; it is taken from everyone else",
        ),
    ];
    html! {
        (policy(
            "manual_roles",
            (
                "What about members who were given the role by hand?",
                "Most servers let such a role go with the subscription once the member has paid, and leave everyone else alone.",
            ),
            &MANUAL,
            manual_name(Some(default.manual_roles)),
            manual_name(set.manual_roles),
            fixed.manual_roles.is_some(),
        ))
    }
}

/// The answers to [`on_lapse`] as a form sends them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct OnLapseFields {
    cancelled: Option<String>,
    payment_failed: Option<String>,
    paused: Option<String>,
}

impl OnLapseFields {
    /// What is set from now on. What the form could not ask for stays.
    pub(super) fn settings(&self, before: ServerSettings) -> ServerSettings {
        let chosen = |answer: Option<&str>, before| match answer {
            None => before,
            Some("revoke") => Some(OnLapse::Revoke),
            Some("keep_until_expiry") => Some(OnLapse::KeepUntilExpiry),
            Some(_) => None,
        };
        ServerSettings {
            payment_failed: chosen(self.payment_failed.as_deref(), before.payment_failed),
            paused: chosen(self.paused.as_deref(), before.paused),
            cancelled: chosen(self.cancelled.as_deref(), before.cancelled),
            ..before
        }
    }

    /// Name and value of every answer.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let answers = [
            ("cancelled", &self.cancelled),
            ("payment_failed", &self.payment_failed),
            ("paused", &self.paused),
        ];
        answers
            .into_iter()
            .filter_map(|(name, answer)| Some((name, answer.as_deref()?)))
    }
}
