//! The program's Discord side with its reconcile loop, as `app` wires it, without chain and pages.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amser_roles::commands;
use amser_roles::discord::{self, Channels, Discord, Settings};
use amser_roles::domain::{
    ChainStatus, Counts, DiscordStatus, Policy, Question, ReadingState, ServerStatus, Timestamp,
};
use amser_roles::reconcile;
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use amser_roles::web;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{GENESIS, PUBLIC_URL};

/// The program's Discord side; it stops when dropped.
pub(super) struct Bot {
    pub(super) discord: Discord,
    pub(super) status: watch::Receiver<DiscordStatus>,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) connection: Option<JoinHandle<anyhow::Result<()>>>,
    pub(super) stop: CancellationToken,
    _stop: DropGuard,
}

/// Starts it; `slow` is locked while a link is made, and `adapt` may give the commands other things to work with.
pub(super) fn start(
    local: &LocalDiscord,
    store: &Store,
    chain: &watch::Receiver<ChainStatus>,
    slow: &Arc<Mutex<()>>,
    per_minute: u32,
    adapt: impl FnOnce(&mut commands::Services),
) -> Bot {
    let stop = CancellationToken::new();
    let application = NonZeroU64::new(local.options().application_id.get()).unwrap();
    let settings = Settings {
        application_id: application,
        api_url: local.base_url().parse().unwrap(),
    };
    let (observed, observations) = mpsc::channel(1_000);
    let (reported, reports) = mpsc::channel(1_000);
    let (questions, asked) = mpsc::channel(1_000);
    let servers = store.gates().unwrap().into_iter().map(|gate| {
        let read = ServerStatus {
            reading: ReadingState::Done,
            queued: 0,
            queue_wait: Duration::ZERO,
            held_back: BTreeMap::new(),
        };
        (gate.guild, read)
    });
    let (status, status_seen) = watch::channel(DiscordStatus {
        servers: servers.collect(),
        ..DiscordStatus::default()
    });
    let (links, slow) = (store.clone(), Arc::clone(slow));
    let mut services = commands::Services {
        store: store.clone(),
        chain: chain.clone(),
        discord: status_seen.clone(),
        questions: questions.clone(),
        new_link: Arc::new(move |user, guild| {
            let _when_free = slow.lock().unwrap();
            let url = PUBLIC_URL.parse().unwrap();
            web::new_link(&links, user, guild, &url, Timestamp(GENESIS))
        }),
        checkout_url: "https://pay.example/{module}/{plan_id}".to_owned(),
        confirmations: 3,
        per_minute,
    };
    adapt(&mut services);
    let channels = Channels {
        observations: observed,
        reports: reported,
        status: status.clone(),
    };
    let (discord, connection) = discord::connect(
        settings,
        SecretString::from(local.options().token),
        move |discord| commands::framework(discord, application, services),
        channels,
        stop.clone(),
    )
    .unwrap();
    let connection = Some(tokio::spawn(connection));
    tokio::spawn(commands::keep_registered(
        discord.clone(),
        application,
        status,
        stop.clone(),
    ));
    let inputs = reconcile::Inputs {
        chain: chain.clone(),
        discord_status: status_seen.clone(),
        observations,
        reports,
        questions: asked,
        counts: watch::Sender::new(Counts::default()),
        modules: watch::Sender::new(BTreeSet::new()),
    };
    let policy = Policy::default();
    tokio::spawn(reconcile::run(
        store.clone(),
        discord.clone(),
        policy,
        inputs,
        stop.clone(),
    ));
    Bot {
        discord,
        status: status_seen,
        questions,
        connection,
        _stop: stop.clone().drop_guard(),
        stop,
    }
}
