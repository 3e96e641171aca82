//! One message: sent, and noted when Discord acknowledged it.

use std::time::Duration;

use alloy::primitives::{hex, keccak256};
use tokio::sync::Mutex;
use tokio::time::Interval;
use tracing::{debug, info, warn};

use super::{Inputs, Sending};
use crate::domain::{
    AlertPhase, AlertRow, ChannelId, GuildId, Message, ModuleAddress, SubscriptionId, Timestamp,
    Unsent, UserId,
};
use crate::store::{Notice, Store, Stream, Told};
use crate::text;

/// How long direct messages count as closed after Discord said so, in seconds.
const CLOSED_SECONDS: u64 = 86_400;
/// A message to a member that Discord refused so often, for a reason that is not known, is left out.
const MOST_REFUSALS: u32 = 5;
/// How long a request may take, however long Discord's limits hold it up.
const LONGEST_SENDING: Duration = Duration::from_secs(60);
/// After Discord refused to open a direct channel because too many were opened, so many are not opened.
const OPENS_LEFT_OUT: u32 = 60;
/// Discord's "Unknown Channel".
const UNKNOWN_CHANNEL: u32 = 10_003;

/// What must stay in order: one message at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// A channel of a server.
    Channel(GuildId, ChannelId),
    /// A server's journal as it is told to members.
    Members(GuildId),
    /// A member's own affairs, which concern no single server.
    Member(UserId),
}

/// A message to send.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) lane: Lane,
    /// The member; `None`: into the channel of the lane.
    pub(super) to: Option<UserId>,
    pub(super) message: Message,
    pub(super) what: What,
}

/// What it tells, and so what is noted when it was said.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A part of a server's journal.
    Journal(GuildId, Stream, Told),
    /// The start or the end of an alert, whose row this is.
    Alert((GuildId, String), AlertRow),
    /// The week that began then.
    Digest(GuildId, Timestamp),
    /// A wallet moved to another member.
    Moved(Notice),
    /// A charge that will fail or failed.
    Renewal {
        user: UserId,
        module: ModuleAddress,
        subscription: SubscriptionId,
        due: (Timestamp, bool),
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Said, or not to be said any more; noted.
    Said,
    /// To be tried again.
    Later,
    /// The channel takes no messages; one sentence on what to do.
    Refused(String),
}

impl What {
    /// Whether it is still to be said.
    fn stands(&self, store: &Store) -> anyhow::Result<bool> {
        Ok(match self {
            Self::Journal(guild, stream, told) => {
                let left = store.journal_from(*guild, told.before, 1)?;
                store.told(*guild, *stream)? == Some(*told)
                    && left
                        .first()
                        .is_some_and(|(number, _)| *number < told.sending)
            }
            Self::Moved(notice) => store.notice_stands(notice)?,
            Self::Renewal { user, .. } => !store.wallets_of(*user)?.is_empty(),
            Self::Alert(..) | Self::Digest(..) => true,
        })
    }

    /// Notes that it was said.
    fn note(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::Journal(guild, stream, told) => {
                store.set_told(*guild, *stream, Told::up_to(told.sending))
            }
            Self::Alert(key, row) => {
                let after = (row.phase == AlertPhase::Starting).then(|| AlertRow {
                    phase: AlertPhase::Standing,
                    ..row.clone()
                });
                store.set_alerts(&[(key.clone(), after)].into())
            }
            Self::Digest(guild, monday) => store.set_digest(*guild, *monday),
            Self::Moved(notice) => store.remove_notice(notice),
            Self::Renewal {
                user,
                module,
                subscription,
                due,
            } => store.set_warned(*user, *module, *subscription, *due),
        }
    }
}

/// The same for the same parts. At most 25 characters:
/// <https://discord.com/developers/docs/resources/message#create-message>
pub(super) fn nonce(parts: &[&[u8]]) -> String {
    let mut what = Vec::new();
    for part in parts {
        what.extend(part.len().to_be_bytes());
        what.extend(*part);
    }
    hex::encode(&keccak256(what)[..12])
}

/// Sends a message and notes that, unless it need not be sent. `failures`: how often it failed before.
pub(super) async fn deliver(
    inputs: &Inputs,
    opening: &Mutex<Interval>,
    job: Job,
    failures: u32,
) -> anyhow::Result<(Lane, Ended)> {
    let lane = job.lane;
    let sent = match (job.to, lane) {
        (Some(user), _) => to_member(inputs, opening, user, &job, failures).await?,
        (None, Lane::Channel(_, channel)) => {
            in_time((inputs.post)(channel, job.message.clone())).await
        }
        (None, _) => Ok(()),
    };
    let ended = match (sent, lane) {
        (Ok(()), _) => {
            with_store(inputs, move |store| job.what.note(store)).await?;
            Ended::Said
        }
        (Err(Unsent::Refused { code, message }), Lane::Channel(_, channel)) => {
            debug!(%channel, code, message, "a message was refused");
            Ended::Refused(text::channel_refused(channel, code))
        }
        (Err(unsent), _) => {
            debug!(?lane, ?unsent, "a message was not sent");
            Ended::Later
        }
    };
    Ok((lane, ended))
}

/// Sends a direct message. `Ok`: it was sent, or is not to be sent.
async fn to_member(
    inputs: &Inputs,
    opening: &Mutex<Interval>,
    user: UserId,
    job: &Job,
    failures: u32,
) -> anyhow::Result<Result<(), Unsent>> {
    let known = with_store(inputs, move |store| store.direct_messages(user)).await?;
    let now = (inputs.clock)();
    // Whether the wallets are theirs is no matter of taste, and worth a try where messages were refused before.
    let must_be_tried = matches!(job.what, What::Moved(_));
    if !must_be_tried && (known.opted_out || now < known.closed_until) {
        return Ok(Ok(()));
    }
    let opened = match known.channel {
        Some(channel) => Ok(channel),
        None => {
            opening.lock().await.tick().await;
            let opened = in_time((inputs.open_direct)(user)).await;
            if opened == Err(Unsent::TooFast) {
                // Whoever is next would be refused as well, and each refusal counts against the bot.
                let pause = inputs.timing.open * OPENS_LEFT_OUT;
                opening.lock().await.reset_after(pause);
            }
            opened
        }
    };
    // What happened while the channel was opened counts.
    let what = job.what.clone();
    if !with_store(inputs, move |store| what.stands(store)).await? {
        return Ok(Ok(()));
    }
    let (channel, sent) = match opened {
        Ok(channel) => (
            Some(channel),
            in_time((inputs.post)(channel, job.message.clone())).await,
        ),
        Err(unsent) => (None, Err(unsent)),
    };
    let note = move |channel, closed_until| {
        with_store(inputs, move |store| {
            store.note_direct_channel(user, channel, closed_until)
        })
    };
    match sent {
        Ok(()) => {
            info!(%user, "a member was told");
            if known.channel != channel {
                note(channel, Timestamp::default()).await?;
            }
            Ok(Ok(()))
        }
        Err(Unsent::Closed) => {
            info!(%user, "a member takes no direct messages");
            note(channel, now.plus(CLOSED_SECONDS)).await?;
            Ok(Ok(()))
        }
        Err(Unsent::Refused { code, message }) if failures >= MOST_REFUSALS => {
            warn!(%user, code, message, "a member cannot be told");
            Ok(Ok(()))
        }
        Err(unsent) => {
            if matches!(
                unsent,
                Unsent::Refused {
                    code: UNKNOWN_CHANNEL,
                    ..
                }
            ) {
                note(None, Timestamp::default()).await?;
            }
            Ok(Err(unsent))
        }
    }
}

/// A request that Discord's limits hold up for long is given up, for others to have its place.
async fn in_time<T>(sending: Sending<T>) -> Result<T, Unsent> {
    let late = |_elapsed| Unsent::Later("it took too long".to_owned());
    let sent = tokio::time::timeout(LONGEST_SENDING, sending).await;
    sent.map_err(late)?
}

async fn with_store<T: Send + 'static>(
    inputs: &Inputs,
    work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let store = inputs.store.clone();
    tokio::task::spawn_blocking(move || work(&store)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_fits_and_tells_its_parts_apart() {
        let all = [
            nonce(&[b"ab", b"c"]),
            nonce(&[b"a", b"bc"]),
            nonce(&[b"abc"]),
        ];
        assert!(all.iter().all(|nonce| nonce.len() <= 25));
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_eq!(nonce(&[b"abc"]), all[2]);
    }
}
