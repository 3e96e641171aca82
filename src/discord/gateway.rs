//! The gateway: serenity's client on a thread of its own, its events as [`Observation`]s in Discord's order.
//!
//! serenity spawns a task per event. A single-threaded runtime starts tasks in the order in which they were spawned
//! (tokio documents its queues as first in, first out), and a handler that never waits is done at its first poll: so
//! "left" and "joined again" cannot change places, which on a multi-threaded runtime they do.

mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use secrecy::SecretString;
use serenity::all::{
    ClientBuilder, ConnectionStage, Context, Event, EventHandler, FullEvent, GatewayIntents,
    RawEventHandler, ShardId, ShardManager, ShardStageUpdateEvent,
};
use serenity::async_trait;
use serenity::cache;
use serenity::framework::Framework;
use serenity::gateway::GatewayError;
use serenity::model::gateway::BotGateway;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::Lane;
use super::shared::Shared;
use super::{Observation, Settings, rest};
use crate::domain::{GuildId, RoleId, UserId};
use crate::text;

/// How often the connections are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A connection whose heartbeats (every 41.25 s) are not acknowledged for so long is dead, whatever serenity says.
const SILENCE: Duration = Duration::from_secs(100);
/// How long the connection may take to say goodbye after the stop.
const GOODBYE: Duration = Duration::from_secs(3);

/// A framework that answers no commands.
#[derive(Clone, Copy, Debug)]
pub struct NoCommands;

#[async_trait]
impl Framework for NoCommands {
    async fn dispatch(&self, _: Context, _: FullEvent) {}
}

/// Connects and stays connected until `stop`.
pub(crate) async fn run<F: Framework + 'static>(
    shared: Arc<Shared>,
    settings: Settings,
    token: SecretString,
    commands: F,
    observations: mpsc::Sender<Observation>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(gateway) = find::find(&shared, &stop).await? else {
        return Ok(());
    };
    // The handlers must not wait for the receiver, or their order would be lost.
    let (seen, mut unheard) = mpsc::unbounded_channel();
    let events = Events {
        shared: Arc::clone(&shared),
        seen,
        session: Mutex::new(Session {
            shards: gateway.shards,
            ..Session::default()
        }),
    };
    let (ended, mut end) = oneshot::channel();
    let session_stop = stop.clone();
    std::thread::Builder::new()
        .name("discord-gateway".to_owned())
        .spawn(move || {
            let result = on_own_runtime(session(
                settings,
                token,
                commands,
                events,
                gateway,
                session_stop,
            ));
            // Whoever waited for it has given up.
            let _unheard = ended.send(result);
        })
        .context("cannot start the Discord gateway's thread")?;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut end => break result.unwrap_or_else(|_| Err(anyhow!("the Discord gateway's thread panicked"))),
            Some(observation) = unheard.recv() => {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    // When nobody listens any more, the program is about to stop.
                    _ = observations.send(observation) => {}
                }
            }
            () = async { stop.cancelled().await; tokio::time::sleep(GOODBYE).await } => break Ok(()),
        }
    };
    shared.connected(false);
    result
}

fn on_own_runtime(session: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the Discord gateway's runtime")?;
    let result = runtime.block_on(session);
    runtime.shutdown_background();
    result
}

/// Runs serenity's client.
async fn session<F: Framework + 'static>(
    settings: Settings,
    token: SecretString,
    commands: F,
    events: Events,
    gateway: BotGateway,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let http = rest::http(&settings, &token, rest::client(&settings)?);
    let events = Arc::new(events);
    // Nothing here reads serenity's cache, and 100,000 members would fill it.
    let mut nothing = cache::Settings::default();
    nothing.cache_guilds = false;
    nothing.cache_channels = false;
    nothing.cache_users = false;
    nothing.max_messages = 0;
    // serenity asks once more where the gateway is, by itself; at least it counts.
    let permit = events
        .shared
        .rest
        .acquire(&Lane::of("GET", "/gateway"))
        .await;
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MEMBERS;
    let client = ClientBuilder::new_with_http(http, intents)
        .cache_settings(nothing)
        .framework(commands)
        .event_handler_arc(Arc::clone(&events))
        .raw_event_handler(Raw(Arc::clone(&events)))
        .await;
    permit.spent();
    let mut client = client.context("cannot set up the Discord gateway")?;
    // serenity falls back to Discord's own gateway when it cannot ask; the local Discord's token must never go there.
    client.ws_url.lock().await.clone_from(&gateway.url);
    let shards = Arc::clone(&client.shard_manager);
    let ended = tokio::select! {
        ended = client.start_shards(gateway.shards.max(1)) => ended,
        () = events.watch(&shards) => Ok(()),
        () = stop.cancelled() => {
            // Bounded by the one who waits for this thread.
            shards.shutdown_all().await;
            return Ok(());
        }
    };
    match ended {
        Ok(()) => Ok(()),
        Err(serenity::Error::Gateway(GatewayError::InvalidAuthentication)) => {
            bail!(text::token_refused())
        }
        Err(serenity::Error::Gateway(GatewayError::DisallowedGatewayIntents)) => {
            bail!(text::intent_refused())
        }
        Err(error) => Err(error).context("Discord ended the gateway session for good"),
    }
}

/// Turns serenity's events into observations. No handler waits for anything.
struct Events {
    shared: Arc<Shared>,
    seen: mpsc::UnboundedSender<Observation>,
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    /// How many connections make up the session.
    shards: u32,
    /// Those that are connected.
    up: BTreeSet<ShardId>,
    /// A connection began anew instead of resuming, and that was not told yet.
    anew: bool,
    /// The bot itself.
    bot: Option<UserId>,
}

/// serenity takes each handler by its own trait; this one sees every event before the others.
struct Raw(Arc<Events>);

#[async_trait]
impl EventHandler for Events {
    async fn shard_stage_update(&self, _: Context, event: ShardStageUpdateEvent) {
        let is_up = event.new == ConnectionStage::Connected;
        tracing::debug!(shard = event.shard_id.0, stage = ?event.new, "gateway");
        self.session(|session| {
            if is_up {
                session.up.insert(event.shard_id)
            } else {
                session.up.remove(&event.shard_id)
            };
        });
    }
}

#[async_trait]
impl RawEventHandler for Raw {
    async fn raw_event(&self, _: Context, event: Event) {
        self.0.see(event);
    }
}

impl Events {
    fn tell(&self, observation: Observation) {
        // At the stop nobody listens any more.
        let _unheard = self.seen.send(observation);
    }

    /// Changes the session and tells when it became whole or broke.
    fn session(&self, change: impl FnOnce(&mut Session)) {
        let mut session = self.session.lock().expect("the session does not panic");
        let was_whole = session.is_whole();
        change(&mut session);
        let whole = session.is_whole();
        if whole != was_whole {
            tracing::info!(connected = whole, "Discord gateway");
            self.shared.connected(whole);
        }
        if whole && std::mem::take(&mut session.anew) {
            self.tell(Observation::Connected);
        }
    }

    /// Looks at the connections for ever: serenity tells when one is connected, but not when it breaks.
    async fn watch(&self, shards: &ShardManager) {
        let mut heartbeats: BTreeMap<ShardId, (Option<Duration>, Instant)> = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let runners = shards.runners.lock().await;
            heartbeats.retain(|id, _| runners.contains_key(id));
            let up = runners.iter().filter(|(id, runner)| {
                let (latency, since) = heartbeats
                    .entry(**id)
                    .or_insert((runner.latency, Instant::now()));
                // The latency is measured anew with each acknowledgement.
                if *latency != runner.latency {
                    (*latency, *since) = (runner.latency, Instant::now());
                }
                runner.stage == ConnectionStage::Connected && since.elapsed() < SILENCE
            });
            let up = up.map(|(id, _)| *id).collect();
            drop(runners);
            self.session(|session| session.up = up);
        }
    }

    fn is_bot(&self, user: UserId) -> bool {
        self.session.lock().expect("the session does not panic").bot == Some(user)
    }

    fn see(&self, event: Event) {
        match event {
            Event::Ready(event) => self.session(|session| {
                session.bot = Some(UserId(event.ready.user.id.get()));
                session.anew = true;
            }),
            Event::GuildCreate(event) => {
                let guild = GuildId(event.guild.id.get());
                self.shared
                    .change_known(guild, |state| state.read_again(true));
                self.tell(Observation::GuildAvailable(guild));
            }
            // An unavailable server is an outage of Discord's; it comes back by itself.
            Event::GuildDelete(event) if !event.guild.unavailable => {
                let guild = GuildId(event.guild.id.get());
                self.shared.change_known(guild, |state| state.gone(guild));
                self.tell(Observation::GuildGone(guild));
            }
            Event::GuildMemberAdd(event) => {
                let member = event.member;
                self.member_seen(
                    member.guild_id.get(),
                    member.user.id.get(),
                    &member.roles,
                    member.pending,
                );
            }
            Event::GuildMemberUpdate(event) => {
                self.member_seen(
                    event.guild_id.get(),
                    event.user.id.get(),
                    &event.roles,
                    event.pending,
                );
            }
            Event::GuildMemberRemove(event) => {
                let (guild, user) = (GuildId(event.guild_id.get()), UserId(event.user.id.get()));
                self.tell(Observation::MemberLeft { guild, user });
            }
            Event::GuildRoleCreate(event) => self.roles_changed(event.role.guild_id.get()),
            Event::GuildRoleUpdate(event) => self.roles_changed(event.role.guild_id.get()),
            Event::GuildRoleDelete(event) => {
                let (guild, role) = (GuildId(event.guild_id.get()), RoleId(event.role_id.get()));
                self.shared
                    .change_known(guild, |state| state.read_again(true));
                self.tell(Observation::RoleDeleted { guild, role });
            }
            Event::GuildUpdate(event) => self.roles_changed(event.guild.id.get()),
            _ => {}
        }
    }

    fn member_seen(&self, guild: u64, user: u64, roles: &[serenity::all::RoleId], pending: bool) {
        let (guild, user) = (GuildId(guild), UserId(user));
        let roles: Vec<_> = roles.iter().map(|role| RoleId(role.get())).collect();
        if self.is_bot(user) {
            self.roles_changed(guild.0);
        }
        self.tell(Observation::MemberSeen {
            guild,
            user,
            roles,
            pending,
        });
    }

    fn roles_changed(&self, guild: u64) {
        let guild = GuildId(guild);
        self.shared
            .change_known(guild, |state| state.read_again(true));
        self.tell(Observation::RolesChanged(guild));
    }
}

impl Session {
    fn is_whole(&self) -> bool {
        self.up.len() == self.shards.max(1) as usize
    }
}
