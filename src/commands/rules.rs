//! PURE. The server's own rules in the form of `/amser setup`: the choices, what was chosen, and that in one byte.

use serde_json::{Value, json};

use crate::domain::{ManualRoles, OnLapse, Policy, ServerSettings};
use crate::text;

/// The selects.
pub(super) const KEEP: &str = "keep";
pub(super) const BY_HAND: &str = "by_hand";

/// The options of the first.
const CANCELLED: &str = "cancelled";
const PAUSED: &str = "paused";
const FAILED: &str = "failed";

/// The options of the second.
const MANUAL: [(&str, ManualRoles); 3] = [
    ("adopt", ManualRoles::Adopt),
    ("leave", ManualRoles::Leave),
    ("claim", ManualRoles::Claim),
];

/// The labels with the selects, which begin with what is in force. What the operator fixed is not asked.
pub(super) fn labels(policy: &Policy, fixed: &ServerSettings) -> Vec<Value> {
    let keeps = |rule: OnLapse| rule == OnLapse::KeepUntilExpiry;
    let options = [
        (
            CANCELLED,
            text::keep_cancelled(),
            policy.cancelled,
            fixed.cancelled,
        ),
        (PAUSED, text::keep_paused(), policy.paused, fixed.paused),
        (
            FAILED,
            text::keep_failed(),
            policy.payment_failed,
            fixed.payment_failed,
        ),
    ];
    let options: Vec<_> = options
        .into_iter()
        .filter(|(.., fixed)| fixed.is_none())
        .map(|(value, (label, description), now, _)| {
            json!({ "label": label, "description": description, "value": value, "default": keeps(now) })
        })
        .collect();
    let mut labels = Vec::new();
    if !options.is_empty() {
        labels.push(json!({
            "type": 18,
            "label": text::keep_label(),
            "description": text::keep_hint(),
            "component": {
                "type": 3,
                "custom_id": KEEP,
                "max_values": options.len(),
                "min_values": 0,
                "required": false,
                "options": options,
            },
        }));
    }
    if fixed.manual_roles.is_none() {
        let options = MANUAL.map(|(value, rule)| {
            json!({
                "label": text::by_hand_name(rule),
                "description": text::by_hand(rule),
                "value": value,
                "default": rule == policy.manual_roles,
            })
        });
        labels.push(json!({
            "type": 18,
            "label": text::by_hand_label(),
            "description": text::by_hand_hint(),
            "component": { "type": 3, "custom_id": BY_HAND, "options": options },
        }));
    }
    labels
}

/// What was chosen; `None`: not asked.
pub(super) fn chosen<'a>(
    keep: Option<impl Iterator<Item = &'a str>>,
    by_hand: Option<&str>,
) -> ServerSettings {
    let keep: Option<Vec<_>> = keep.map(Iterator::collect);
    let rule = |option: &str| match keep.as_ref()?.contains(&option) {
        true => Some(OnLapse::KeepUntilExpiry),
        false => Some(OnLapse::Revoke),
    };
    let by_hand = MANUAL.iter().find(|(value, _)| by_hand == Some(value));
    ServerSettings {
        cancelled: rule(CANCELLED),
        paused: rule(PAUSED),
        payment_failed: rule(FAILED),
        manual_roles: by_hand.map(|(_, rule)| *rule),
        ..ServerSettings::default()
    }
}

/// Four answers of two bits each.
pub(super) fn byte(rules: &ServerSettings) -> u8 {
    let lapse = |rule: Option<OnLapse>| match rule {
        None => 0,
        Some(OnLapse::Revoke) => 1,
        Some(OnLapse::KeepUntilExpiry) => 2,
    };
    let manual = match rules.manual_roles {
        None => 0,
        Some(ManualRoles::Adopt) => 1,
        Some(ManualRoles::Leave) => 2,
        Some(ManualRoles::Claim) => 3,
    };
    lapse(rules.cancelled)
        | lapse(rules.paused) << 2
        | lapse(rules.payment_failed) << 4
        | manual << 6
}

/// The answers of a byte. What no version wrote is read as no answer.
pub(super) fn read(byte: u8) -> ServerSettings {
    let lapse = |bits: u8| match bits & 3 {
        1 => Some(OnLapse::Revoke),
        2 => Some(OnLapse::KeepUntilExpiry),
        _ => None,
    };
    ServerSettings {
        cancelled: lapse(byte),
        paused: lapse(byte >> 2),
        payment_failed: lapse(byte >> 4),
        manual_roles: match byte >> 6 {
            1 => Some(ManualRoles::Adopt),
            2 => Some(ManualRoles::Leave),
            3 => Some(ManualRoles::Claim),
            _ => None,
        },
        ..ServerSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_fits_into_its_byte() {
        let lapses = [None, Some(OnLapse::Revoke), Some(OnLapse::KeepUntilExpiry)];
        let manual = [None].into_iter().chain(MANUAL.map(|(_, rule)| Some(rule)));
        for manual_roles in manual {
            for cancelled in lapses {
                for paused in lapses {
                    for payment_failed in lapses {
                        let rules = ServerSettings {
                            cancelled,
                            paused,
                            payment_failed,
                            manual_roles,
                            ..ServerSettings::default()
                        };
                        assert_eq!(read(byte(&rules)), rules);
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_operator_fixed_is_not_asked() {
        let policy = Policy {
            paused: OnLapse::KeepUntilExpiry,
            ..Policy::default()
        };
        let mut fixed = ServerSettings::default();
        let asked = labels(&policy, &fixed);
        assert_eq!(asked.len(), 2);
        let options = &asked[0]["component"]["options"];
        let begins: Vec<_> = (0..3).map(|at| options[at]["default"] == true).collect();
        assert_eq!(begins, [false, true, false]);
        fixed.cancelled = Some(OnLapse::Revoke);
        fixed.manual_roles = Some(ManualRoles::Claim);
        let asked = labels(&policy, &fixed);
        assert_eq!(asked.len(), 1);
        assert_eq!(
            asked[0]["component"]["options"].as_array().unwrap().len(),
            2
        );
        fixed.paused = Some(OnLapse::Revoke);
        fixed.payment_failed = Some(OnLapse::Revoke);
        assert_eq!(labels(&policy, &fixed), Vec::<Value>::new());
    }

    #[test]
    fn what_is_left_out_is_taken_at_once_and_what_was_not_asked_is_no_answer() {
        let rules = chosen(Some([PAUSED].into_iter()), Some("leave"));
        assert_eq!(rules.paused, Some(OnLapse::KeepUntilExpiry));
        assert_eq!(rules.cancelled, Some(OnLapse::Revoke));
        assert_eq!(rules.manual_roles, Some(ManualRoles::Leave));
        let none = chosen(None::<std::iter::Empty<&str>>, None);
        assert_eq!(none, ServerSettings::default());
    }
}
