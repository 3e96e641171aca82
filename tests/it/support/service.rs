//! The whole service in this process.

use amser_roles::app::{self, Timing};
use amser_roles::config::{Config, Secrets};
use amser_roles::merchants::Merchants;
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stage::DEADLINE;

/// The running service. Dropping it stops it.
pub(crate) struct Service {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    merchants: watch::Receiver<Option<Merchants>>,
}

impl Service {
    /// Starts it on this store. `config` is the text of its configuration.
    pub(crate) fn start(config: &str, discord: &LocalDiscord, store: Store) -> Self {
        Self::start_with(config, discord, store, Timing::default(), |_| {})
    }

    /// The same with these waits, and what no key of the file says.
    pub(crate) fn start_with(
        config: &str,
        discord: &LocalDiscord,
        store: Store,
        timing: Timing,
        adapt: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::parse(config, "the story's configuration", []).unwrap();
        adapt(&mut config);
        let secrets = Secrets {
            discord_token: Some(discord.options().token.into()),
            discord_client_secret: Some(discord.options().client_secret.into()),
            ..Secrets::default()
        };
        let stop = CancellationToken::new();
        let ended = stop.clone();
        let (started, merchants) = watch::channel(None);
        let task = tokio::spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let service = app::start(config, secrets, store, listener, ended, timing).await?;
            started.send_replace(Some(service.merchants.clone()));
            service.until_stopped().await
        });
        Self {
            stop,
            task,
            merchants,
        }
    }

    /// What merchants may do with it.
    pub(crate) async fn merchants(&self) -> Merchants {
        let mut merchants = self.merchants.clone();
        let started = merchants.wait_for(Option::is_some).await;
        started.expect("the service starts").clone().unwrap()
    }

    /// Stops it and waits until it has ended well.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, &mut self.task).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
