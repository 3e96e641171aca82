//! The program's Discord side with the loop that keeps the roles, as `app` wires it, without chain and pages.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};

use amser_roles::commands;
use amser_roles::discord::{self, Channels, Discord, Settings};
use amser_roles::domain::{
    ActiveAnswer, ChainStatus, Counts, DiscordStatus, GateTroubles, LOCAL_CHAIN, MembersIntent,
    Policy, SourcesSay, Timestamp,
};
use amser_roles::forecast::Forecast;
use amser_roles::merchants::Merchants;
use amser_roles::roles::{self, fallback::Fallback};
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use amser_roles::views::Views;
use amser_roles::web;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{GENESIS, PUBLIC_URL};
use crate::support::merchants::{inputs_without_chain, no_chain};

/// The program's Discord side; it stops when dropped.
pub(super) struct Bot {
    pub(super) discord: Discord,
    pub(super) status: watch::Receiver<DiscordStatus>,
    /// The connection to Discord, and the loop that keeps the roles.
    parts: [JoinHandle<anyhow::Result<()>>; 2],
    pub(super) stop: CancellationToken,
    _stop: DropGuard,
}

impl Bot {
    /// Stops, and waits until nothing of it works on the store any more: it must not take what is meant for the next one.
    pub(super) async fn end(&mut self) {
        self.stop.cancel();
        for part in &mut self.parts {
            part.await.unwrap().unwrap();
        }
    }
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
        members_intent: MembersIntent::Used,
    };
    let (observed, observations) = mpsc::unbounded_channel();
    let (reported, reports) = mpsc::channel(1_000);
    let (questions, asked) = mpsc::channel(1_000);
    let (status, status_seen) = watch::channel(DiscordStatus::default());
    let (links, slow) = (store.clone(), Arc::clone(slow));
    let channels = Channels {
        observations: observed,
        reports: reported,
        status: status.clone(),
    };
    let token = SecretString::from(local.options().token);
    let (discord, connection) = discord::connect(settings, token, channels, stop.clone()).unwrap();
    let fallback = Fallback::unheard(LOCAL_CHAIN);
    let mut services = commands::Services {
        store: store.clone(),
        chain: chain.clone(),
        gate_troubles: watch::channel(GateTroubles::default()).1,
        discord: status_seen.clone(),
        drift: fallback.status.subscribe(),
        questions: questions.clone(),
        merchants: Merchants::new(inputs_without_chain(
            store,
            &discord,
            chain,
            &status_seen,
            &questions,
            Arc::new(|| Timestamp(GENESIS)),
        )),
        forecast: Forecast::new(store.clone(), Views::new(&no_chain(), chain.clone())),
        sources: Arc::new(|questions| {
            let unknown = SourcesSay {
                block: 0,
                contract: ActiveAnswer::Unknown("no chain".to_owned()),
                api: None,
            };
            Box::pin(async move { vec![unknown; questions.len()] })
        }),
        new_link: Arc::new(move |user, guild| {
            let _when_free = slow.lock().unwrap();
            let url = PUBLIC_URL.parse().unwrap();
            web::new_link(&links, user, guild, &url, Timestamp(GENESIS))
        }),
        public_url: PUBLIC_URL.parse().unwrap(),
        checkout_url: "https://pay.example/{module}/{plan_id}".to_owned(),
        return_url: Arc::new(|guild| format!("https://roles.example/paid/{guild}").parse().ok()),
        confirmations: 3,
        per_minute,
    };
    adapt(&mut services);
    let connection = connection.run(commands::framework(&discord, application, services));
    let connection = tokio::spawn(connection);
    tokio::spawn(commands::keep_registered(
        discord.clone(),
        application,
        status,
        stop.clone(),
    ));
    let inputs = roles::Inputs {
        chain: chain.clone(),
        discord_status: status_seen.clone(),
        observations,
        reports,
        questions: asked,
        counts: watch::Sender::new(Counts::default()),
        modules: watch::Sender::new(BTreeSet::new()),
        gates_changed: Arc::default(),
        views: Views::new(&no_chain(), chain.clone()),
        fallback,
        policy: Policy::default(),
    };
    let keeping = roles::run(store.clone(), discord.clone(), inputs, stop.clone());
    Bot {
        discord,
        status: status_seen,
        parts: [connection, tokio::spawn(keeping)],
        _stop: stop.clone().drop_guard(),
        stop,
    }
}
