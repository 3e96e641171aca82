//! Links on their way from one service to another: JSON lines, each with the text that the wallet signed, so that nobody who
//! takes them in has to believe whoever wrote them.

use std::io::Write;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::SignatureCheck;
use super::proof::proves;
use super::verify::LONGEST_SIGNATURE;
use crate::domain::{GuildId, Link, SignatureVerdict, Timestamp, UserId, Wallet};
use crate::store::{Imported, Store};

/// Lines that are checked and stored together.
pub const LINES_AT_ONCE: usize = 256;
/// Signatures that are checked at the same time; those of contract wallets each ask a node.
const CHECKS_AT_ONCE: usize = 16;

/// One link, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLine {
    /// The member.
    pub user_id: UserId,
    /// The wallet.
    pub wallet: Wallet,
    /// When it was linked, Unix seconds.
    pub linked_at: Timestamp,
    /// The signed ERC-4361 text; null for a link of the sandbox, which proves nothing.
    pub message: Option<String>,
    /// Its signature, 0x and hexadecimal digits.
    pub signature: Option<String>,
    /// Servers in which the member was seen.
    #[serde(default)]
    pub servers: Vec<GuildId>,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Links that are new here.
    pub imported: u64,
    /// Links that were here already.
    pub known: u64,
    /// Lines that were not taken, each with why.
    pub refused: Vec<Refused>,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The first line is 1.
    pub line: u64,
    /// One sentence.
    pub reason: String,
}

/// Writes every link of the store, one a line.
///
/// # Errors
/// When the store cannot be read, or `out` not be written.
pub fn export_links(store: &Store, out: &mut impl Write) -> anyhow::Result<u64> {
    let mut count = 0;
    store.for_each_proof(|link, servers| {
        let (message, signature) = link.proof.unzip();
        let line = LinkLine {
            user_id: link.user,
            wallet: link.wallet,
            linked_at: link.linked_at,
            message,
            signature: signature.map(|signature| format!("0x{}", hex::encode(signature))),
            servers,
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
        count += 1;
        Ok(())
    })?;
    out.flush()?;
    Ok(count)
}

/// Takes lines in, some at a time.
pub struct Import {
    store: Store,
    check: SignatureCheck,
    limit: usize,
    line: u64,
    report: ImportReport,
}

impl Import {
    /// Into this store. `check` is asked of every signature; `limit` is the most wallets that a member may hold.
    pub fn new(store: Store, check: SignatureCheck, limit: usize) -> Self {
        Self {
            store,
            check,
            limit,
            line: 0,
            report: ImportReport::default(),
        }
    }

    /// Checks the next lines and stores those that prove a link.
    ///
    /// # Errors
    /// When the store cannot be written; what was taken before stays.
    pub async fn take(&mut self, lines: Vec<Vec<u8>>) -> anyhow::Result<()> {
        let first = self.line + 1;
        self.line += lines.len() as u64;
        let check = &self.check;
        let checked = stream::iter((first..).zip(lines))
            .filter(|(_, line)| std::future::ready(!line.trim_ascii().is_empty()))
            .map(|(number, line)| async move { (number, checked(check, &line).await) })
            .buffered(CHECKS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let (mut numbers, mut links) = (Vec::new(), Vec::new());
        for (number, link) in checked {
            match link {
                Ok(link) => {
                    numbers.push(number);
                    links.push(link);
                }
                Err(reason) => self.refuse(number, reason),
            }
        }
        let (store, limit) = (self.store.clone(), self.limit);
        let stored = tokio::task::spawn_blocking(move || store.import_links(&links, limit));
        for (number, outcome) in numbers.into_iter().zip(stored.await??) {
            match outcome {
                Imported::Linked => self.report.imported += 1,
                Imported::Known => self.report.known += 1,
                Imported::OfAnotherMember => self.refuse(
                    number,
                    "the wallet is linked to another member here, and stays there; its owner can move it by running /verify".to_owned(),
                ),
                Imported::TooMany => self.refuse(
                    number,
                    format!("the member has {limit} wallets here, which is the limit (web.links_per_member)"),
                ),
            }
        }
        Ok(())
    }

    /// What came of all lines, in their order.
    pub fn finish(mut self) -> ImportReport {
        self.report.refused.sort_by_key(|refused| refused.line);
        self.report
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.report.refused.push(Refused { line, reason });
    }
}

/// The link that a line proves, or why it does not.
async fn checked(check: &SignatureCheck, line: &[u8]) -> Result<(Link, Vec<GuildId>), String> {
    let line: LinkLine = serde_json::from_slice(line)
        .map_err(|error| format!("it is not the line of a link: {error}"))?;
    let (Some(message), Some(signature)) = (line.message, line.signature) else {
        return Err("it has no signed message, so nothing proves the link".to_owned());
    };
    proves(&message, line.wallet, line.user_id).map_err(|why| why.to_string())?;
    let digits = signature.strip_prefix("0x").unwrap_or(&signature);
    if digits.len() > 2 * LONGEST_SIGNATURE {
        return Err("its signature is longer than any wallet's".to_owned());
    }
    let signature =
        hex::decode(digits).map_err(|_| "its signature is not hexadecimal".to_owned())?;
    holds(check(line.wallet, message.clone(), signature.clone()).await)?;
    let link = Link {
        user: line.user_id,
        wallet: line.wallet,
        linked_at: line.linked_at,
        proof: Some((message, signature)),
    };
    Ok((link, line.servers))
}

fn holds(verdict: SignatureVerdict) -> Result<(), String> {
    let reason = match verdict {
        SignatureVerdict::Valid => return Ok(()),
        SignatureVerdict::OtherKey => "the signature is of another key",
        SignatureVerdict::Malformed => "the signature is none that a wallet makes",
        SignatureVerdict::NotDeployed => "there is no smart wallet at this address on this chain",
        SignatureVerdict::RefusedByContract => {
            "the smart wallet does not confirm the signature (any more)"
        }
        SignatureVerdict::OutOfGas => "the smart wallet uses more gas than a check may use",
        SignatureVerdict::CannotCheck => {
            "this chain cannot run the check of a smart wallet's signature"
        }
        SignatureVerdict::Unavailable => {
            "no node could be asked about the smart wallet; import the file again later"
        }
    };
    Err(reason.to_owned())
}

#[cfg(test)]
mod tests;
