//! What the service tells systemd.

use std::path::Path;

use amser_roles::sandbox::discord::LocalDiscord;
use tokio::net::UnixDatagram;

use crate::support::installation::{Installation, gate, signal};
use crate::support::scene::{Scene, patient};
use crate::support::stage::{DEADLINE, Setting, new_guild};

/// What the service manager is told, in order.
struct Told {
    listener: UnixDatagram,
    messages: Vec<String>,
}

impl Told {
    fn listen(path: &Path) -> Self {
        Self {
            listener: UnixDatagram::bind(path).unwrap(),
            messages: Vec::new(),
        }
    }

    fn times(&self, words: &str) -> usize {
        let told = self.messages.iter().filter(|told| told.contains(words));
        told.count()
    }

    /// Listens until this was told so many times, in whatever order with other messages.
    async fn until(&mut self, words: &str, times: usize) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while self.times(words) < times {
            let mut message = [0; 1_024];
            let received = tokio::time::timeout_at(deadline, self.listener.recv(&mut message));
            let Ok(length) = received.await else {
                panic!("{words} was not told {times} times: {:?}", self.messages);
            };
            let message = String::from_utf8_lossy(&message[..length.unwrap()]);
            self.messages.push(message.trim().to_owned());
        }
    }
}

#[tokio::test]
async fn systemd_is_told_that_the_service_runs_that_it_lives_and_that_it_stops() {
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(patient()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Club", &["Subscriber"]);
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut told = Told::listen(&path);
    let mut command = installation.command("run");
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000");
    let mut service = command.spawn().unwrap();

    told.until("READY=1", 1).await;
    assert!(told.times("STATUS=waiting for") > 0, "{:?}", told.messages);
    told.until("WATCHDOG=1", 3).await;
    told.until("STATUS=the chain is followed", 1).await;
    assert_eq!(told.times("STOPPING"), 0, "{:?}", told.messages);
    signal(&service, "TERM").await;
    told.until("STOPPING=1", 1).await;
    let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}

#[tokio::test]
async fn a_node_that_is_away_does_not_keep_the_service_from_running() {
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(patient()).await.unwrap();
    let away = Setting {
        rpc_urls: vec!["ws://127.0.0.1:1".to_owned()],
        ..Setting::default()
    };
    let installation = Installation::new(&away, &scene.chain, &discord, "");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut told = Told::listen(&path);
    let mut command = installation.command("run");
    let mut service = command.env("NOTIFY_SOCKET", &path).spawn().unwrap();
    told.until("READY=1", 1).await;
    signal(&service, "TERM").await;
    told.until("STOPPING=1", 1).await;
    assert_eq!(
        told.times("the chain is followed"),
        0,
        "{:?}",
        told.messages
    );
    let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}
