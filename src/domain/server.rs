//! What is set per server: the channels, the notices and the policy of this server alone.

use serde::{Deserialize, Serialize};

use super::{ChannelId, ManualRoles, OnLapse, Policy};

/// The settings of one server. What is `None` follows `[policy]`, and for channels means that there is none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ServerSettings {
    /// Where each role change is told, with its transaction.
    pub log_channel: Option<ChannelId>,
    /// Where standing errors and stopped removals are told; default: `log_channel`.
    pub alert_channel: Option<ChannelId>,
    /// Whether members get direct messages.
    pub member_notices: Option<bool>,
    /// On a failed payment.
    pub payment_failed: Option<OnLapse>,
    /// On a pause.
    pub paused: Option<OnLapse>,
    /// On a cancellation.
    pub cancelled: Option<OnLapse>,
    /// Roles given by hand.
    pub manual_roles: Option<ManualRoles>,
    /// Seconds that a role is kept beyond the end of grace.
    pub expiry_leeway: Option<u64>,
}

/// The keys of one entry of `[[servers]]`, as files and scripts write them: the settings, and the server in the form that the
/// reader needs. They are not nested, because serde then knows neither the line of a value nor a misspelt key, which would reset
/// what it is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, [[servers]]")]
#[expect(missing_docs, reason = "the fields are those of ServerSettings")]
pub struct ServerEntry<G> {
    pub guild_id: G,
    pub log_channel: Option<ChannelId>,
    pub alert_channel: Option<ChannelId>,
    pub member_notices: Option<bool>,
    pub payment_failed: Option<OnLapse>,
    pub paused: Option<OnLapse>,
    pub cancelled: Option<OnLapse>,
    pub manual_roles: Option<ManualRoles>,
    pub expiry_leeway: Option<u64>,
}

impl<G> ServerEntry<G> {
    /// What is set.
    pub fn settings(&self) -> ServerSettings {
        ServerSettings {
            log_channel: self.log_channel,
            alert_channel: self.alert_channel,
            member_notices: self.member_notices,
            payment_failed: self.payment_failed,
            paused: self.paused,
            cancelled: self.cancelled,
            manual_roles: self.manual_roles,
            expiry_leeway: self.expiry_leeway,
        }
    }
}

impl ServerSettings {
    /// These settings, and those of `below` where they are silent.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            log_channel: self.log_channel.or(below.log_channel),
            alert_channel: self.alert_channel.or(below.alert_channel),
            member_notices: self.member_notices.or(below.member_notices),
            payment_failed: self.payment_failed.or(below.payment_failed),
            paused: self.paused.or(below.paused),
            cancelled: self.cancelled.or(below.cancelled),
            manual_roles: self.manual_roles.or(below.manual_roles),
            expiry_leeway: self.expiry_leeway.or(below.expiry_leeway),
        }
    }

    /// These settings without what `fixed` sets.
    #[must_use]
    pub fn without(self, fixed: &Self) -> Self {
        /// The setting, unless it is fixed.
        fn free<T>(own: Option<T>, fixed: &Option<T>) -> Option<T> {
            own.filter(|_| fixed.is_none())
        }
        Self {
            log_channel: free(self.log_channel, &fixed.log_channel),
            alert_channel: free(self.alert_channel, &fixed.alert_channel),
            member_notices: free(self.member_notices, &fixed.member_notices),
            payment_failed: free(self.payment_failed, &fixed.payment_failed),
            paused: free(self.paused, &fixed.paused),
            cancelled: free(self.cancelled, &fixed.cancelled),
            manual_roles: free(self.manual_roles, &fixed.manual_roles),
            expiry_leeway: free(self.expiry_leeway, &fixed.expiry_leeway),
        }
    }

    /// These settings with the rules of `chosen` that differ from what is in force. What is not changed still follows `default`.
    #[must_use]
    pub fn with_rules(self, chosen: &Self, default: &Policy) -> Self {
        /// The answer, unless it is the one in force.
        fn new<T: PartialEq>(set: Option<T>, chosen: Option<T>, in_force: &T) -> Option<T> {
            chosen.filter(|chosen| chosen != in_force).or(set)
        }
        let now = self.policy(default);
        Self {
            payment_failed: new(
                self.payment_failed,
                chosen.payment_failed,
                &now.payment_failed,
            ),
            paused: new(self.paused, chosen.paused, &now.paused),
            cancelled: new(self.cancelled, chosen.cancelled, &now.cancelled),
            manual_roles: new(self.manual_roles, chosen.manual_roles, &now.manual_roles),
            ..self
        }
    }

    /// The policy of the server.
    pub fn policy(&self, default: &Policy) -> Policy {
        Policy {
            payment_failed: self.payment_failed.unwrap_or(default.payment_failed),
            paused: self.paused.unwrap_or(default.paused),
            cancelled: self.cancelled.unwrap_or(default.cancelled),
            manual_roles: self.manual_roles.unwrap_or(default.manual_roles),
            expiry_leeway: self.expiry_leeway.unwrap_or(default.expiry_leeway),
            max_revoke_share: default.max_revoke_share,
            max_revoke_floor: default.max_revoke_floor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_follows_the_policy_where_it_sets_nothing() {
        let default = Policy {
            paused: OnLapse::KeepUntilExpiry,
            expiry_leeway: 5,
            ..Policy::default()
        };
        assert_eq!(ServerSettings::default().policy(&default), default);
        let own = ServerSettings {
            cancelled: Some(OnLapse::KeepUntilExpiry),
            paused: Some(OnLapse::Revoke),
            expiry_leeway: Some(0),
            manual_roles: Some(ManualRoles::Claim),
            ..ServerSettings::default()
        };
        let expected = Policy {
            cancelled: OnLapse::KeepUntilExpiry,
            manual_roles: ManualRoles::Claim,
            ..Policy::default()
        };
        assert_eq!(own.policy(&default), expected);
    }

    #[test]
    fn an_answer_that_is_in_force_already_still_follows_the_operator() {
        let default = Policy::default();
        let own = ServerSettings {
            cancelled: Some(OnLapse::KeepUntilExpiry),
            member_notices: Some(true),
            ..ServerSettings::default()
        };
        let chosen = ServerSettings {
            payment_failed: Some(OnLapse::Revoke),
            paused: Some(OnLapse::KeepUntilExpiry),
            cancelled: Some(OnLapse::Revoke),
            manual_roles: Some(default.manual_roles),
            ..ServerSettings::default()
        };
        let expected = ServerSettings {
            paused: Some(OnLapse::KeepUntilExpiry),
            cancelled: Some(OnLapse::Revoke),
            ..own
        };
        assert_eq!(own.with_rules(&chosen, &default), expected);
        assert_eq!(own.with_rules(&ServerSettings::default(), &default), own);
    }

    #[test]
    fn what_the_operator_sets_wins_and_is_not_stored_by_the_dashboard() {
        let fixed = ServerSettings {
            expiry_leeway: Some(60),
            ..ServerSettings::default()
        };
        let own = ServerSettings {
            expiry_leeway: Some(1),
            member_notices: Some(true),
            ..ServerSettings::default()
        };
        let effective = fixed.over(own);
        assert_eq!(
            (effective.expiry_leeway, effective.member_notices),
            (Some(60), Some(true))
        );
        let stored = own.without(&fixed);
        assert_eq!(
            (stored.expiry_leeway, stored.member_notices),
            (None, Some(true))
        );
    }
}
