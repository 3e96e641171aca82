//! Alerts for those who manage a server: each says what is wrong, what follows from it, and what to do.

use super::command::plain;
use super::count::number;
use super::manager::stopped;
use crate::domain::{ChannelId, HeldBack, ModuleAddress, REVIEWED_FROM, RoleId};

/// The message of an alert's start.
pub(crate) fn alert_begins(text: &str) -> String {
    format!("⚠️ {text}")
}

/// The message of its end: what was wrong, without what followed from it and what was to be done.
pub(crate) fn alert_ends(text: &str) -> String {
    // A name is escaped, so what ends in it has a backslash before.
    let is_end = |(at, _): &(usize, &str)| !text[..*at].ends_with('\\');
    let ends = [": ", ". "].map(|end| text.match_indices(end).find(is_end));
    let end = ends.into_iter().flatten().map(|(at, _)| at).min();
    let what = &text[..end.unwrap_or(text.len())];
    format!("✅ Over: {}.", what.trim_end_matches('.'))
}

/// The chain is not followed, or stands still.
pub(crate) fn chain_behind() -> String {
    "I'm behind the chain: new payments give no role, and no role is taken, until I have caught up. I retry automatically; if \
     this lasts, the operator of the bot should look at its nodes."
        .to_owned()
}

/// The roles follow the API.
pub(crate) fn fallback() -> String {
    "I can't follow the chain, so I use amser's API meanwhile: it can give roles, and no role is taken unless the chain agreed \
     before."
        .to_owned()
}

/// The privileged intent is refused.
pub(crate) fn members_intent() -> String {
    "Discord refuses me the privileged intent \"Server Members\", so I look members up one by one: who joins can wait about two \
     minutes for a role. The operator of the bot can change that in Discord's Developer Portal."
        .to_owned()
}

/// The privileged intent was not reviewed, and will be withdrawn.
pub(crate) fn intent_review() -> String {
    format!(
        "Discord has not reviewed my privileged intent \"Server Members\", and my servers have {} members or more: an application that \
         reaches so many users must apply for it within 90 days, and again every year, or loses it. The operator of the bot can \
         do that in Discord's Developer Portal.",
        number(REVIEWED_FROM)
    )
}

/// Roles cannot be changed; `sentence` says why and, after its last colon, what to do.
pub(crate) fn failing(sentence: &str) -> String {
    // Names stand in quotes, and may have colons of their own.
    let is_outside =
        |(at, _): &(usize, &str)| sentence[..*at].matches('"').count().is_multiple_of(2);
    match sentence.rmatch_indices(": ").find(is_outside) {
        // The colon stays as it is: the message of the end stops there.
        Some((at, colon)) => {
            let (why, what_to_do) = (&sentence[..at], &sentence[at + colon.len()..]);
            format!("{}{colon}{}", plain(why), plain(what_to_do))
        }
        None => plain(sentence),
    }
}

/// The members cannot be read.
pub(crate) fn members_unread(why: &str) -> String {
    format!(
        "I can't read this server's members, so some roles may be wrong. I retry automatically. Discord said: {}",
        plain(why)
    )
}

/// A module cannot be read.
pub(crate) fn module_unread(module: ModuleAddress, why: &str) -> String {
    format!(
        "I can't read the module `{module}` of this server's mappings, so its payments don't count: {}",
        plain(why)
    )
}

/// A module logs what is not understood.
pub(crate) fn unknown_logs(module: ModuleAddress) -> String {
    format!(
        "The module `{module}` logs events that I don't understand, so a payment may be missed. The operator of the bot should \
         add the contract's ABI to `chain.abi` of its configuration."
    )
}

/// Removals wait for an approval.
pub(crate) fn removals_stopped(role: RoleId, held: HeldBack) -> String {
    format!(
        "{} Check the mappings, then let them through with `/amser approve` if they are right.",
        stopped(role, held)
    )
}

/// The bot cannot write in a channel that it was given.
pub(crate) fn channel_refused(channel: ChannelId, code: u32) -> String {
    format!("I can't write in <#{channel}>. {}", channel_lacks(code))
}

/// What to do about a channel in which Discord refuses messages with this error code.
pub(crate) fn channel_lacks(code: u32) -> String {
    match code {
        10_003 => "It does not exist any more: choose another one in the dashboard's settings.",
        50_001 => "Allow the bot's role \"View Channel\" and \"Send Messages\" there.",
        50_013 => "Allow the bot's role \"Send Messages\" there.",
        _ => {
            "Check the bot's permissions there, or choose another one in the dashboard's settings."
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_is_over_says_no_more_what_to_do() {
        assert_eq!(
            alert_ends(&chain_behind()),
            "✅ Over: I'm behind the chain."
        );
        let named = failing("In \"a: b\" the bot lacks it");
        assert_eq!(alert_ends(&named), format!("✅ Over: {named}."));
        let failing =
            failing("\"Gold: Elite\" does not stand below Bot: move the bot's role above it");
        let over = "✅ Over: \\\"Gold\\: Elite\\\" does not stand below Bot.";
        assert_eq!(alert_ends(&failing), over);
        let removals = alert_ends("12 removals wait. Check the mappings.");
        assert_eq!(removals, "✅ Over: 12 removals wait.");
    }
}
