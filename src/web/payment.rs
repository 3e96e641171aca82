//! The way of a payment on the wallet page: what the visitor who comes back from the checkout is told until it counts.
//!
//! The checkout names a transaction in the address of the page. That is a way, never a proof: it is looked up in the followed
//! chain, and decides nothing about roles.

use std::collections::BTreeSet;

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

use super::Site;
use super::error::WebError;
use crate::domain::{UserId, Wallet};
use crate::payments::{Confirmations, Payment, Step};
use crate::store::{LinkRequest, RequestState};

/// What the checkout adds to the address that it leads back to.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct FromCheckout {
    tx_hash: Option<String>,
}

/// What the page shows of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct PaymentNews {
    /// One sentence or two.
    pub(super) text: String,
    /// Something is still to come: it is worth asking again.
    pub(super) waits: bool,
    /// A wallet of the member's paid, so that nothing is to be linked.
    pub(super) linked: bool,
}

/// A transaction as the checkout names it: 32 bytes in hexadecimal.
pub(super) fn transaction(text: &str) -> Option<B256> {
    let digits = text.strip_prefix("0x")?;
    (digits.len() == 64).then(|| digits.parse().ok()).flatten()
}

impl FromCheckout {
    /// As it is passed on to our own pages: what names no transaction is passed on as such, and not word for word.
    pub(super) fn transaction_text(&self) -> Option<String> {
        let text = self.tx_hash.as_deref()?;
        Some(transaction(text).map_or_else(|| "unreadable".to_owned(), |hash| hash.to_string()))
    }
}

/// Where the payment stands that the visitor comes back with; `None` for one who brings none.
pub(super) async fn news(
    site: &Site,
    request: &LinkRequest,
    from: &FromCheckout,
) -> Result<Option<PaymentNews>, WebError> {
    let Some(text) = &from.tx_hash else {
        return Ok(None);
    };
    let Some(hash) = transaction(text) else {
        return Ok(Some(PaymentNews {
            text: "The address of this page names no transaction, so your payment cannot be followed here. Your role comes by itself once it is confirmed.".to_owned(),
            ..PaymentNews::default()
        }));
    };
    let (user, guild): (UserId, _) = (request.user, request.guild);
    let (gates, wallets) = site
        .with_store(move |store| Ok((store.gates()?, store.wallets_of(user)?)))
        .await?;
    let gates = gates.iter().filter(|gate| gate.guild == guild);
    let plans: BTreeSet<_> = gates
        .flat_map(|gate| gate.plans.iter().map(|plan| (gate.module, *plan)))
        .collect();
    let payment = site.state.payments.look(hash, &plans, &wallets).await?;
    let is_used = request.state == RequestState::Used;
    Ok(Some(told(payment, &wallets, is_used)))
}

/// What is said of a payment to a member with these wallets. `is_used`: the link of the page links no wallet any more.
fn told(payment: Payment, wallets: &[Wallet], is_used: bool) -> PaymentNews {
    let waiting = |text: &str| PaymentNews {
        text: text.to_owned(),
        waits: true,
        linked: false,
    };
    let over = |text: &str| PaymentNews {
        waits: false,
        ..waiting(text)
    };
    match payment {
        Payment::Unavailable => waiting(
            "The chain cannot be asked about your payment right now; this page tries again. Your role comes by itself.",
        ),
        Payment::NotMined => waiting(
            "Your payment is not in a block yet. That takes a few seconds, and longer if its fee is low; this page looks again by itself.",
        ),
        Payment::Reverted => over(
            "This transaction failed on the chain, so nothing was paid. Look in your wallet why, and subscribe again.",
        ),
        Payment::InBlock(confirmations) => waiting(&format!(
            "Your transaction was seen: {}.",
            so_far(confirmations)
        )),
        Payment::NotOurs => {
            over("This transaction pays for no plan of this server, so it changes nothing here.")
        }
        Payment::NotRead => waiting(
            "Your transaction is confirmed. This server's payments are still being read from the chain, which can take a while. If it is one of them, your role comes by itself.",
        ),
        Payment::Unreadable => over(
            "Your transaction is confirmed. Not all payments of this server can be read at the moment; if it is one of them, your role comes by itself.",
        ),
        Payment::LongAgo => over("This payment was confirmed a while ago."),
        Payment::Ours { wallet, step } => {
            let linked = wallets.contains(&wallet);
            PaymentNews {
                text: match linked {
                    true => own(step),
                    false => of_another(step, wallet, is_used),
                },
                waits: step != Step::Paid,
                linked,
            }
        }
    }
}

fn own(step: Step) -> String {
    match step {
        Step::Seen(confirmations) => format!("Your payment was seen: {}.", so_far(confirmations)),
        Step::Unpaid => "You are subscribed. The first payment is made for you, usually within a few minutes; this page waits for it.".to_owned(),
        Step::Paid => "Your payment is confirmed.".to_owned(),
    }
}

fn of_another(step: Step, wallet: Wallet, is_used: bool) -> String {
    let text = wallet.to_string();
    let short = format!("{}…{}", &text[..6], &text[text.len() - 4..]);
    let state = match step {
        Step::Seen(confirmations) => format!("was seen: {}", so_far(confirmations)),
        Step::Unpaid => "is on its way".to_owned(),
        Step::Paid => "is confirmed".to_owned(),
    };
    let how = match is_used {
        true => "Run /verify again and link that wallet to get its role.",
        false => "Link that wallet here to get its role.",
    };
    format!(
        "The payment from {short} {state}. That wallet is not linked to your Discord account. {how}"
    )
}

fn so_far(Confirmations { seen, needed }: Confirmations) -> String {
    format!("{seen} of {needed} confirmations")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Wallet = Wallet(alloy::primitives::Address::repeat_byte(1));
    const OTHER: Wallet = Wallet(alloy::primitives::Address::repeat_byte(2));
    const TWO_OF_THREE: Confirmations = Confirmations { seen: 2, needed: 3 };

    fn ours(wallet: Wallet, step: Step) -> PaymentNews {
        told(Payment::Ours { wallet, step }, &[MINE], false)
    }

    #[test]
    fn a_transaction_is_32_bytes_in_hexadecimal_and_nothing_else() {
        let good = format!("0x{}", "aB".repeat(32));
        assert_eq!(transaction(&good), Some(B256::repeat_byte(0xab)));
        for odd in [
            "",
            "0x",
            "1",
            &good[2..],
            &good[..65],
            &format!("{good}00"),
            &good.replace('B', "g"),
        ] {
            assert_eq!(transaction(odd), None, "{odd}");
        }
        let passed_on = |text: &str| {
            FromCheckout {
                tx_hash: Some(text.to_owned()),
            }
            .transaction_text()
        };
        assert_eq!(passed_on(&good), Some(good.to_lowercase()));
        assert_eq!(passed_on("\"><script>").as_deref(), Some("unreadable"));
        assert_eq!(FromCheckout::default().transaction_text(), None);
    }

    #[test]
    fn confirmations_of_the_members_own_payment_are_counted_until_it_counts() {
        let seen = ours(MINE, Step::Seen(TWO_OF_THREE));
        assert_eq!(seen.text, "Your payment was seen: 2 of 3 confirmations.");
        assert!(seen.waits && seen.linked);
        let unpaid = ours(MINE, Step::Unpaid);
        assert!(
            unpaid.waits && unpaid.text.contains("first payment"),
            "{unpaid:?}"
        );
        let paid = ours(MINE, Step::Paid);
        assert!(!paid.waits && paid.linked, "{paid:?}");
    }

    #[test]
    fn a_payment_of_a_wallet_that_is_not_linked_says_which_and_what_to_do() {
        let paid = ours(OTHER, Step::Paid);
        assert!(!paid.waits && !paid.linked);
        assert!(
            paid.text.contains("from 0x0202…0202 is confirmed"),
            "{paid:?}"
        );
        assert!(
            paid.text
                .ends_with("Link that wallet here to get its role.")
        );
        let payment = Payment::Ours {
            wallet: OTHER,
            step: Step::Paid,
        };
        let late = told(payment, &[MINE], true);
        assert!(late.text.contains("Run /verify again"), "{late:?}");
    }

    #[test]
    fn what_comes_to_nothing_is_said_once_and_what_is_not_known_is_asked_again() {
        for (payment, waits, words) in [
            (Payment::NotMined, true, "not in a block"),
            (Payment::Unavailable, true, "cannot be asked"),
            (Payment::InBlock(TWO_OF_THREE), true, "2 of 3 confirmations"),
            (Payment::NotRead, true, "still being read"),
            (Payment::Unreadable, false, "can be read at the moment"),
            (Payment::Reverted, false, "failed on the chain"),
            (Payment::NotOurs, false, "no plan of this server"),
            (Payment::LongAgo, false, "a while ago"),
        ] {
            let news = told(payment, &[MINE], false);
            assert_eq!((news.waits, news.linked), (waits, false), "{payment:?}");
            assert!(news.text.contains(words), "{news:?}");
        }
    }
}
