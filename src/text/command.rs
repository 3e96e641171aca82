//! The short answers of commands. Discord's Markdown; moments as `<t:…>`, which each reader sees in their own time zone.

use std::time::Duration;

use crate::domain::{ChainStatus, Link, RoleId, Timestamp, Wallet};

/// Text of others inside of ours, with nothing that Discord would take for formatting or a mention.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

/// A moment with its distance from the reader's present.
pub(crate) fn moment(at: Timestamp) -> String {
    // The year 9999; Discord shows nothing beyond.
    if at.0 > 253_402_300_799 {
        return at.to_string();
    }
    format!("<t:{0}:f> (<t:{0}:R>)", at.0)
}

/// A role as Discord shows it: by its name of today.
pub(crate) fn mention(role: RoleId) -> String {
    format!("<@&{role}>")
}

/// The server has no gates.
pub(crate) fn no_gates() -> String {
    "No role of this server needs a subscription yet.".to_owned()
}

/// Enough of an address to know it by.
pub(crate) fn short_wallet(wallet: Wallet) -> String {
    let text = wallet.to_string();
    match (text.get(..6), text.get(text.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) => format!("{start}…{end}"),
        _ => text,
    }
}

/// Above the link of `/verify`.
pub(crate) fn verify() -> String {
    "Open the page and sign a message with your wallet: signing is free and moves no funds. The link is yours alone and \
     works once. Open it within 10 minutes. **Do not share it.**"
        .to_owned()
}

/// On the button that leads to the page.
pub(crate) fn verify_button() -> String {
    "Link a wallet".to_owned()
}

/// The message that stays in a channel.
pub(crate) fn permanent_message() -> String {
    "**Subscribed? Get your role here.**\nPress the button, open your personal link and sign a message with the wallet \
     that pays. Signing is free. Only you see the reply."
        .to_owned()
}

/// On its button.
pub(crate) fn permanent_button() -> String {
    "Verify".to_owned()
}

/// Nothing is linked.
pub(crate) fn no_wallet() -> String {
    "You have linked no wallet. Run `/verify` to link one.".to_owned()
}

/// `/wallets`.
pub(crate) fn wallets(links: &[Link]) -> String {
    if links.is_empty() {
        return no_wallet();
    }
    let mut lines = vec!["Your wallets:".to_owned()];
    lines.extend(links.iter().map(|link| {
        let at = link.linked_at;
        format!("• `{}`, linked {}", link.wallet, moment(at))
    }));
    lines.push("`/verify` links another one, `/unlink` unlinks.".to_owned());
    lines.join("\n")
}

/// Above the buttons of `/unlink`.
pub(crate) fn unlink_question() -> String {
    "Which wallet do you want to unlink? You lose the roles it paid for; the subscription itself continues."
        .to_owned()
}

/// On the button for every wallet.
pub(crate) fn unlink_all_button() -> String {
    "All wallets".to_owned()
}

/// After `/unlink`.
pub(crate) fn unlinked(wallets: &[Wallet]) -> String {
    match wallets {
        [] => no_wallet(),
        [wallet] => format!(
            "`{wallet}` is unlinked. You lose the roles it paid for. Its subscription is still charged until you cancel it \
             where you subscribed."
        ),
        many => format!(
            "{} wallets are unlinked. You lose the roles they paid for. Their subscriptions are still charged until you cancel \
             them where you subscribed.",
            many.len()
        ),
    }
}

/// The option is no address.
pub(crate) fn not_a_wallet() -> String {
    "That is not a wallet address. Give one that `/wallets` shows, or `all`.".to_owned()
}

/// The wallet is not linked, or linked to someone else; the text does not say which.
pub(crate) fn not_your_wallet(wallet: Wallet) -> String {
    format!("`{wallet}` is not linked to your account. `/wallets` shows which are.")
}

/// The direct message to the former owner of a wallet.
pub(crate) fn wallet_moved(wallet: Wallet, moved_at: Timestamp) -> String {
    format!(
        "Your wallet `{wallet}` was linked to another Discord account <t:{}:R>: someone signed with it. It is no \
         longer linked to yours, and you lose the roles it paid for. If that was not you, someone else can sign with this \
         wallet: move its funds to a new one. To link it again, run `/verify` in the server.",
        moved_at.0
    )
}

/// Beside the attached export.
pub(crate) fn export() -> String {
    "Everything that is stored about you is in this file.".to_owned()
}

/// Before everything is deleted.
pub(crate) fn forget_question() -> String {
    "This deletes your wallets, signatures and history here, for every server. You lose the roles from your subscriptions. \
     The subscriptions themselves are still charged until you cancel them where you subscribed."
        .to_owned()
}

/// On the button that does it.
pub(crate) fn forget_button() -> String {
    "Delete everything".to_owned()
}

/// After everything was deleted.
pub(crate) fn forgotten(wallets: usize) -> String {
    let wallets = match wallets {
        0 => "No wallet was linked.".to_owned(),
        1 => "One wallet was unlinked.".to_owned(),
        many => format!("{many} wallets were unlinked."),
    };
    format!(
        "Deleted. {wallets} Your roles from subscriptions are being removed; until then I keep only which roles those are."
    )
}

/// What an answer about subscriptions cannot know yet.
pub(crate) fn chain_note(chain: &ChainStatus) -> Option<String> {
    if chain.trouble.is_some() {
        Some(
            "I can't read the chain at the moment, so the newest payments may be missing here."
                .to_owned(),
        )
    } else if !chain.at_tip {
        Some("I'm still reading the chain, so the newest payments may be missing here.".to_owned())
    } else {
        None
    }
}

/// A command in a direct message.
pub(crate) fn only_in_servers() -> String {
    "This command works only in a server.".to_owned()
}

/// Something that belongs to an older version of the program.
pub(crate) fn outdated_command() -> String {
    "This command was updated. Reload Discord (Ctrl+R, or close and open the app) and try again."
        .to_owned()
}

/// An option that does not fit.
pub(crate) fn wrong_option() -> String {
    "I can't read that option: choose one that Discord offers.".to_owned()
}

/// Why the answer leaves a server out in which the member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Its members were not read yet.
    NotYet,
    /// They could not be read, for this reason; it is tried again.
    Failed(String),
    /// Nor were those of some other server, which the member may share with the bot.
    Elsewhere,
}

impl Unread {
    /// What is told instead.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NotYet => {
                "I haven't read this server's members yet. Try again in a minute.".to_owned()
            }
            Self::Failed(why) => unreadable_because(why),
            Self::Elsewhere => {
                "I haven't read the members of all my servers yet. Try again in a minute."
                    .to_owned()
            }
        }
    }
}

/// A server's members could not be read.
pub(crate) fn unreadable() -> String {
    "I couldn't read this server's members; I'll retry automatically.".to_owned()
}

/// The same, and why.
pub(super) fn unreadable_because(why: &str) -> String {
    format!("{} Discord said: {}", unreadable(), plain(why))
}

/// A role's removals are stopped, told to a member who would lose it.
pub(crate) fn kept_until_approved() -> String {
    "It is not removed until someone who manages this server approves that.".to_owned()
}

/// A shorter wait is over before it is read.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A time to wait, roughly.
pub(crate) fn about(wait: Duration) -> String {
    let minutes = wait.as_secs().div_ceil(60);
    match minutes {
        0 | 1 => "about a minute".to_owned(),
        2..=90 => format!("about {minutes} minutes"),
        _ => format!("about {} hours", minutes.div_ceil(60)),
    }
}

/// `one` or `many`, with its number before it.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Anything that went wrong on our side.
pub(crate) fn internal_failure() -> String {
    "Something went wrong on our side. Please try again in a minute.".to_owned()
}

/// A member or a server uses commands faster than the limit.
pub(crate) fn too_fast(wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!("Slow down: try again in {seconds} s.")
}

/// No answer in time.
pub(crate) fn busy() -> String {
    "This is taking too long. Please try again in a minute.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_cannot_format_or_mention() {
        assert_eq!(plain("a b"), "a b");
        assert_eq!(plain("**x** @everyone"), "\\*\\*x\\*\\* \\@everyone");
        assert_eq!(plain("<@&1> `"), "\\<\\@\\&1\\> \\`");
        assert_eq!(plain("Förderer"), "Förderer");
    }

    #[test]
    fn a_wait_is_told_in_minutes_or_hours() {
        let told = |seconds| about(Duration::from_secs(seconds));
        assert_eq!(told(0), "about a minute");
        assert_eq!(told(60), "about a minute");
        assert_eq!(told(61), "about 2 minutes");
        assert_eq!(told(12 * 60), "about 12 minutes");
        assert_eq!(told(91 * 60), "about 2 hours");
        assert_eq!(told(55 * 3_600), "about 55 hours");
    }

    #[test]
    fn who_is_too_fast_reads_how_long_to_wait() {
        assert_eq!(
            too_fast(Duration::from_millis(3_100)),
            "Slow down: try again in 4 s."
        );
    }

    #[test]
    fn addresses_are_shortened_in_the_middle() {
        let wallet: Wallet = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
            .parse()
            .unwrap();
        assert_eq!(short_wallet(wallet), "0xd8dA…6045");
    }
}
