//! Who is told of what: the log channel, the channel for alerts, and direct messages to members.

use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::told;
use super::super::policies::question;
use crate::domain::{ChannelId, ServerSettings, TextChannel};
use crate::merchants::Refusal;

pub(super) fn questions(
    set: &ServerSettings,
    fixed: &ServerSettings,
    channels: &Result<Vec<TextChannel>, Refusal>,
) -> Markup {
    html! {
        @match channels {
            Ok(channels) => {
                (channel(
                    &Asked {
                        name: "log_channel",
                        asked: "Where is each role change logged?",
                        help: "One line per change, with its cause and its transaction, which shows the member's wallet: choose a channel that only your team can read. Once a week the numbers come there too.",
                        none: "Nowhere",
                    },
                    set.log_channel,
                    fixed.log_channel.is_some(),
                    channels,
                ))
                (channel(
                    &Asked {
                        name: "alert_channel",
                        asked: "Where are you told when something is wrong?",
                        help: "When roles can't be changed, removals are stopped or the chain can't be followed: once when it begins, once when it is over.",
                        none: "In the channel of the log",
                    },
                    set.alert_channel,
                    fixed.alert_channel.is_some(),
                    channels,
                ))
            }
            Err(refusal) => {
                section.panel {
                    h2 { "Log and alerts" }
                    p { "The server's channels can't be read: " (told(refusal)) }
                }
            }
        }
        (question(
            "member_notices",
            "Does the bot send members direct messages?",
            "When they get or lose a role, when a payment fails, and three days before a renewal that looks unlikely. Each member can switch them off.",
            &[("", "No"), ("yes", "Yes")],
            if set.member_notices == Some(true) { "yes" } else { "" },
            fixed.member_notices.is_some(),
        ))
    }
}

/// A question that a channel answers.
struct Asked {
    name: &'static str,
    asked: &'static str,
    help: &'static str,
    /// What no channel means.
    none: &'static str,
}

fn channel(
    asked: &Asked,
    chosen: Option<ChannelId>,
    is_fixed: bool,
    channels: &[TextChannel],
) -> Markup {
    let is_known = |id: ChannelId| channels.iter().any(|channel| channel.id == id);
    let gone = chosen.filter(|id| !is_known(*id));
    let unusable: Vec<_> = channels
        .iter()
        .filter_map(|channel| Some((channel, channel.why_not.as_deref()?)))
        .collect();
    html! {
        fieldset.panel disabled[is_fixed] {
            legend { (asked.asked) }
            p.fine { (asked.help) }
            @if is_fixed { p.fine { "Set by the operator of the bot; it cannot be changed here." } }
            label {
                "Channel"
                select name=(asked.name) {
                    option value="" selected[chosen.is_none()] { (asked.none) }
                    @if let Some(id) = gone {
                        option value=(id) selected { "a channel that does not exist any more" }
                    }
                    @for channel in channels {
                        @let is_chosen = chosen == Some(channel.id);
                        // The one that is set stays chosen, else the next save would take it out.
                        option value=(channel.id) selected[is_chosen] disabled[channel.why_not.is_some() && !is_chosen] {
                            "#" (channel.name)
                        }
                    }
                }
            }
            @if !unusable.is_empty() {
                details {
                    summary { "Channels that can't be chosen" }
                    ul { @for (channel, why) in &unusable { li { "#" (channel.name) ": " (why) } } }
                }
            }
        }
    }
}

/// What the form says. What is missing was shown as fixed, or could not be shown, and stays.
#[derive(Deserialize)]
pub(super) struct Fields {
    log_channel: Option<String>,
    alert_channel: Option<String>,
    member_notices: Option<String>,
}

impl Fields {
    pub(super) fn settings(&self, before: ServerSettings) -> Result<ServerSettings, Refusal> {
        Ok(ServerSettings {
            log_channel: chosen(self.log_channel.as_deref(), before.log_channel)?,
            alert_channel: chosen(self.alert_channel.as_deref(), before.alert_channel)?,
            member_notices: match self.member_notices.as_deref() {
                None => before.member_notices,
                Some("yes") => Some(true),
                Some(_) => None,
            },
            ..before
        })
    }
}

fn chosen(answer: Option<&str>, before: Option<ChannelId>) -> Result<Option<ChannelId>, Refusal> {
    match answer {
        None => Ok(before),
        Some("") => Ok(None),
        Some(id) => {
            let invalid = |_| Refusal::Invalid("This server has no such text channel.".to_owned());
            id.parse().map(Some).map_err(invalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(log_channel: Option<&str>) -> Fields {
        Fields {
            log_channel: log_channel.map(str::to_owned),
            alert_channel: None,
            member_notices: Some("yes".to_owned()),
        }
    }

    #[test]
    fn what_a_form_leaves_out_stays_and_what_it_empties_goes() {
        let before = ServerSettings {
            log_channel: Some(ChannelId(8)),
            alert_channel: Some(ChannelId(9)),
            ..ServerSettings::default()
        };
        let set = |log| fields(log).settings(before);
        let kept = set(None).unwrap();
        assert_eq!(
            (kept.log_channel, kept.alert_channel, kept.member_notices),
            (Some(ChannelId(8)), Some(ChannelId(9)), Some(true))
        );
        assert_eq!(set(Some("")).unwrap().log_channel, None);
        assert_eq!(set(Some("7")).unwrap().log_channel, Some(ChannelId(7)));
        assert!(matches!(set(Some("x")), Err(Refusal::Invalid(_))));
    }
}
