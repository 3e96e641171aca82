//! What a server's log channel says: one line per role change, and the weekly digest.

use alloy::primitives::B256;

use super::cause::cause_with;
use super::command::{count, mention, plain};
use crate::domain::{Act, ActEntry, Cause, Happened, JournalEntry, Mark, Outcome, RoleAction};

/// The line of what happened: a role change, with its member named and not pinged, or what a second source corrected. `None`
/// for what managers did themselves, and for what Discord refused, which is an alert.
pub(crate) fn log_line(happened: &Happened, chain_id: u64) -> Option<String> {
    match happened {
        Happened::Role(entry) if entry.outcome == Outcome::Done => Some(role_line(entry, chain_id)),
        Happened::Act(ActEntry {
            at,
            act: Act::Drift(drift),
            ..
        }) => Some(format!("🔎 <t:{}:t> {}", at.0, plain(&drift.to_string()))),
        Happened::Role(_) | Happened::Act(_) => None,
    }
}

fn role_line(entry: &JournalEntry, chain_id: u64) -> String {
    let change = &entry.change;
    let (sign, verb) = match change.action {
        RoleAction::Grant => ("🟢", "got"),
        RoleAction::Revoke => ("🔴", "lost"),
    };
    let receipt = |mark: &Mark| transaction(mark.transaction, chain_id);
    format!(
        "{sign} <t:{}:t> <@{}> {verb} {}: {}.",
        entry.at.0,
        change.user,
        mention(change.role),
        cause_with(&change.cause, "the", &receipt)
    )
}

/// A transaction as a link where a block explorer of the chain is known, else its hash. In angle brackets Discord shows no
/// preview of the page.
fn transaction(hash: B256, chain_id: u64) -> String {
    let text = hash.to_string();
    match explorer(chain_id) {
        Some(base) => {
            let (start, end) = (&text[..8], &text[text.len() - 6..]);
            format!("[{start}…{end}](<{base}/tx/{text}>)")
        }
        None => format!("transaction `{text}`"),
    }
}

/// The block explorer that is usual on a chain.
pub(crate) fn explorer(chain_id: u64) -> Option<&'static str> {
    Some(match chain_id {
        1 => "https://etherscan.io",
        10 => "https://optimistic.etherscan.io",
        56 => "https://bscscan.com",
        100 => "https://gnosisscan.io",
        137 => "https://polygonscan.com",
        8_453 => "https://basescan.org",
        42_161 => "https://arbiscan.io",
        43_114 => "https://snowtrace.io",
        84_532 => "https://sepolia.basescan.org",
        11_155_111 => "https://sepolia.etherscan.io",
        _ => return None,
    })
}

/// A server's numbers of a week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Members who got a role that they had not when the week began.
    pub(crate) new: usize,
    /// Members who lost a role because of their subscription.
    pub(crate) lapsed: usize,
    /// Why, with how many members each, the most frequent first.
    pub(crate) reasons: Vec<(&'static str, usize)>,
    /// Renewals of the next week that look unlikely; `None` where that could not be read.
    pub(crate) at_risk: Option<usize>,
}

/// The weekly digest.
pub(crate) fn digest(digest: &Digest) -> String {
    let mut lines = vec![
        "📊 **The last seven days**".to_owned(),
        format!("• {} got a role.", count(digest.new, "member", "members")),
    ];
    let lapsed = count(digest.lapsed, "member", "members");
    if digest.reasons.is_empty() {
        lines.push(format!("• {lapsed} lost a role."));
    } else {
        let reasons: Vec<_> = digest
            .reasons
            .iter()
            .map(|(reason, number)| format!("{reason} ({number})"))
            .collect();
        lines.push(format!("• {lapsed} lost a role: {}.", reasons.join(", ")));
    }
    lines.push(match digest.at_risk {
        Some(0) => "• No renewal of the next seven days looks unlikely.".to_owned(),
        Some(number) => format!(
            "• {} of the next seven days {}.",
            count(number, "renewal", "renewals"),
            match number {
                1 => "looks unlikely; `/amser forecast` lists it",
                _ => "look unlikely; `/amser forecast` lists them",
            },
        ),
        None => "• I couldn't read which renewals look unlikely; `/amser forecast` tries again."
            .to_owned(),
    });
    lines.join("\n")
}

/// Why a member lost a role, in a few words; `None` where it was not about the member's subscription.
pub(crate) fn loss(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::ExpiredAt { .. } => "no payment came",
        Cause::PaymentFailed { .. } => "a payment failed",
        Cause::Paused { .. } => "paused",
        Cause::Cancelled { .. } => "cancelled",
        Cause::Blocked { .. } => "blocked by the merchant",
        Cause::Reorganised { .. } => "the payment vanished from the chain",
        Cause::NoSubscription | Cause::Drift => "no subscription was found",
        Cause::Unlinked => "the wallet was unlinked",
        Cause::WalletMoved => "the wallet moved to another member",
        Cause::GrantEnded { .. } => "a manager's grant ended",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Drift, FailureReason, GuildId, ModuleAddress, PlanId, Position, RoleChange, RoleId,
        SubscriptionId, Timestamp, UserId,
    };

    fn entry(cause: Cause) -> JournalEntry {
        let action = match cause {
            Cause::Paid { .. } => RoleAction::Grant,
            _ => RoleAction::Revoke,
        };
        JournalEntry {
            at: Timestamp(1_700_000_000),
            block: 9,
            change: RoleChange {
                action,
                guild: GuildId(1),
                user: UserId(5),
                role: RoleId(6),
                cause,
            },
            outcome: Outcome::Done,
        }
    }

    fn mark() -> Mark {
        Mark {
            position: Position {
                block: 8,
                log_index: 0,
            },
            transaction: B256::repeat_byte(0xab),
        }
    }

    #[test]
    fn a_line_names_member_role_cause_and_transaction() {
        let paid = entry(Cause::Paid {
            module: ModuleAddress(alloy::primitives::Address::ZERO),
            subscription: SubscriptionId::from(77),
            plan: PlanId::from(1),
            mark: mark(),
            until: Timestamp(1_700_100_000),
        });
        let line = log_line(&Happened::Role(paid), 8_453).unwrap();
        assert!(
            line.starts_with("🟢 <t:1700000000:t> <@5> got <@&6>: plan 1 is paid"),
            "{line}"
        );
        let link = format!(
            "[0xababab…ababab](<https://basescan.org/tx/0x{}>)",
            "ab".repeat(32)
        );
        assert!(line.contains(&link), "{line}");
        assert!(
            !line.contains("77"),
            "the subscription names a wallet: {line}"
        );
        let failed = entry(Cause::PaymentFailed {
            module: ModuleAddress(alloy::primitives::Address::ZERO),
            subscription: SubscriptionId::from(77),
            mark: mark(),
            reason: FailureReason(8),
        });
        let line = log_line(&Happened::Role(failed.clone()), 31_337).unwrap();
        assert!(line.contains("<@5> lost <@&6>: a payment failed"), "{line}");
        assert!(
            line.contains(&format!("transaction `0x{}`", "ab".repeat(32))),
            "{line}"
        );
        let refused = JournalEntry {
            outcome: Outcome::Failed {
                code: 50_013,
                message: String::new(),
            },
            ..failed
        };
        assert_eq!(log_line(&Happened::Role(refused), 1), None);
    }

    #[test]
    fn what_a_second_source_corrected_is_told_and_what_managers_did_is_not() {
        let entry = |act| {
            Happened::Act(ActEntry {
                at: Timestamp(5),
                guild: GuildId(1),
                by: None,
                act,
            })
        };
        let drift = Drift {
            events: 2,
            wallets: 1,
            rpc: "node.example".to_owned(),
        };
        let line = log_line(&entry(Act::Drift(drift)), 1).unwrap();
        assert!(line.contains("had left out 2 events"), "{line}");
        assert_eq!(log_line(&entry(Act::Connected), 1), None);
    }

    #[test]
    fn the_digest_counts_and_gives_the_reasons() {
        let week = Digest {
            new: 1,
            lapsed: 3,
            reasons: vec![("a payment failed", 2), ("cancelled", 1)],
            at_risk: Some(4),
        };
        assert_eq!(
            digest(&week),
            "📊 **The last seven days**\n• 1 member got a role.\n• 3 members lost a role: a payment failed (2), cancelled (1).\n\
             • 4 renewals of the next seven days look unlikely; `/amser forecast` lists them."
        );
        let quiet = digest(&Digest::default());
        assert!(quiet.contains("0 members lost a role."), "{quiet}");
        assert!(quiet.contains("couldn't read"), "{quiet}");
    }
}
