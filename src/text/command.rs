//! The short answers of commands. Discord's Markdown; moments as `<t:…>`, which each reader sees in their own time zone.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{ChainStatus, Link, SyncOutcome, Timestamp, UserId, Wallet};

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
    "Open the page and sign a message with your wallet: that costs nothing and moves nothing. The link is for you alone, \
     works once and for 10 minutes. **Do not give it to anyone.**"
        .to_owned()
}

/// On the button that leads to the page.
pub(crate) fn verify_button() -> String {
    "Link a wallet".to_owned()
}

/// The message that stays in a channel.
pub(crate) fn permanent_message() -> String {
    "**Subscribed? Get your role here.**\nPress the button, open your personal link and sign a message with the wallet \
     that pays. That costs nothing. Only you see the answer."
        .to_owned()
}

/// On its button.
pub(crate) fn permanent_button() -> String {
    "Verify".to_owned()
}

/// The permanent message stands.
pub(crate) fn posted() -> String {
    "Posted. The button works from now on, also after restarts; delete the message when you do not want it any more."
        .to_owned()
}

/// The permanent message could not be posted.
pub(crate) fn cannot_post() -> String {
    "The bot may not write in this channel: allow its role \"View Channel\" and \"Send Messages\" here, then try again."
        .to_owned()
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
    "Which wallet shall be unlinked? Roles that it paid for go; the subscription itself goes on."
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
            "`{wallet}` is unlinked. Roles that it paid for go. Its subscription goes on being charged until you cancel it \
             where you subscribed."
        ),
        many => format!(
            "{} wallets are unlinked. Roles that they paid for go. Their subscriptions go on being charged until you cancel \
             them where you subscribed.",
            many.len()
        ),
    }
}

/// The option is no address.
pub(crate) fn not_a_wallet() -> String {
    "That is not a wallet address. Give one that `/wallets` shows, or `all`.".to_owned()
}

/// The wallet is nobody's or someone else's; which of the two is not told.
pub(crate) fn not_your_wallet(wallet: Wallet) -> String {
    format!("`{wallet}` is not linked to your account. `/wallets` shows which are.")
}

/// The direct message to the former owner of a wallet.
pub(crate) fn wallet_moved(wallet: Wallet, moved_at: Timestamp) -> String {
    format!(
        "Your wallet `{wallet}` was linked to another Discord account <t:{}:R>: someone signed with it. It is not linked \
         to yours any more, and roles that it paid for go. If that was not you, somebody else can sign with this wallet: move \
         what it holds to a new one. To link it again, run `/verify` in the server.",
        moved_at.0
    )
}

/// Above the export.
pub(crate) fn export() -> String {
    "Everything that is stored about you:".to_owned()
}

/// Before everything is deleted.
pub(crate) fn forget_question() -> String {
    "This deletes your wallets, signatures and history here, in every server. Roles from subscriptions go. Subscriptions \
     themselves go on being charged until you cancel them where you subscribed."
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
        "Deleted. {wallets} Roles from subscriptions go now; what is known of them is deleted as soon as they are gone."
    )
}

/// `/amser whois`: the wallets that subscribe here, and how many others the member has linked.
pub(crate) fn whois(user: UserId, subscribing: &BTreeSet<Wallet>, others: usize) -> String {
    let rest = match others {
        0 => None,
        1 => Some("one wallet without a subscription to this server's plans".to_owned()),
        many => Some(format!(
            "{many} wallets without a subscription to this server's plans"
        )),
    };
    if subscribing.is_empty() {
        let linked = rest.as_deref().unwrap_or("no wallet");
        return format!("<@{user}> has linked {linked}.");
    }
    let mut lines = vec![format!("<@{user}> subscribes with:")];
    lines.extend(subscribing.iter().map(|wallet| format!("• `{wallet}`")));
    lines.extend(rest.map(|rest| format!("and has linked {rest}.")));
    lines.join("\n")
}

/// `/amser check`.
pub(crate) fn check(gates: usize, trouble: &[String], chain: &ChainStatus) -> String {
    let mut lines = vec![match gates {
        0 => "No role of this server needs a subscription yet.".to_owned(),
        1 => "One gate gives roles in this server.".to_owned(),
        many => format!("{many} gates give roles in this server."),
    }];
    lines.extend(
        trouble
            .iter()
            .map(|sentence| format!("• {}", plain(sentence))),
    );
    if let Some(confirmed) = chain.confirmed {
        let when = moment(confirmed.timestamp);
        lines.push(format!(
            "The chain is read up to block {}, {when}.",
            confirmed.number
        ));
    }
    lines.extend(chain_note(chain));
    if trouble.is_empty() && chain.trouble.is_none() && chain.at_tip {
        lines.push("Nothing keeps roles from being given.".to_owned());
    }
    lines.join("\n")
}

/// What came of reading a server anew.
pub(crate) fn synced(synced: SyncOutcome) -> String {
    let SyncOutcome {
        members,
        grants,
        revokes,
        held_back,
        at_tip,
    } = synced;
    if members == 0 {
        return "No role of this server needs a subscription yet, so there is nothing to do."
            .to_owned();
    }
    let mut lines = vec![match (grants, revokes) {
        (0, 0) => format!("Checked {members} members: every role is in step."),
        _ => format!(
            "Checked {members} members: {grants} roles are on their way to members, {revokes} are being taken."
        ),
    }];
    if held_back > 0 {
        lines.push(format!(
            "{held_back} removals are stopped, because they would take an outsized share of a role's holders without an \
             on-chain reason for each. Whoever runs this bot sees more in its log."
        ));
    }
    if !at_tip {
        lines.push(
            "The chain is not read to its tip at the moment; no role is taken until it is."
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// Reading a server failed.
pub(crate) fn unreadable_server() -> String {
    "Discord did not let this server be read. It is tried again by itself; /amser check says what is wrong.".to_owned()
}

/// Reading a server takes longer than a manager waits.
pub(crate) fn still_reading() -> String {
    "This server is large and still being read; its roles follow by themselves.".to_owned()
}

/// What an answer about subscriptions cannot know yet.
pub(crate) fn chain_note(chain: &ChainStatus) -> Option<String> {
    if chain.trouble.is_some() {
        Some(
            "The chain cannot be read at the moment, so the newest payments may be missing here."
                .to_owned(),
        )
    } else if !chain.at_tip {
        Some(
            "The chain is still being read, so the newest payments may be missing here.".to_owned(),
        )
    } else {
        None
    }
}

/// A command in a direct message.
pub(crate) fn only_in_servers() -> String {
    "This works in a server, not in direct messages.".to_owned()
}

/// A manager's command from someone else.
pub(crate) fn managers_only() -> String {
    "Only members with the permission \"Manage Server\" may do this.".to_owned()
}

/// Something that belongs to an older version of the program.
pub(crate) fn outdated_command() -> String {
    "This has changed since your Discord last looked: reload it (Ctrl+R, or close and open the app) and run the command \
     again."
        .to_owned()
}

/// An option that does not fit.
pub(crate) fn wrong_option() -> String {
    "That option cannot be read: choose one that Discord offers.".to_owned()
}

/// Anything that went wrong on our side.
pub(crate) fn internal_failure() -> String {
    "Something went wrong on our side. Please try again in a minute.".to_owned()
}

/// One member asks faster than anybody needs to.
pub(crate) fn too_fast(wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!("You are asking very often. Wait {seconds} s and try again.")
}

/// No answer in time.
pub(crate) fn busy() -> String {
    "This takes longer than it should at the moment. Please try again in a minute.".to_owned()
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
    fn addresses_are_shortened_in_the_middle() {
        let wallet: Wallet = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
            .parse()
            .unwrap();
        assert_eq!(short_wallet(wallet), "0xd8dA…6045");
    }
}
