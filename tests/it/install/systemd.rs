//! What the service tells systemd.

use amser_roles::sandbox::discord::LocalDiscord;
use tokio::net::UnixDatagram;

use crate::support::installation::{Installation, gate, signal};
use crate::support::scene::{Scene, patient};
use crate::support::stage::{DEADLINE, Setting, new_guild};

/// Reads what is told until a message holds, and returns all of them.
async fn told_until(listener: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut told = Vec::new();
    let listening = async {
        loop {
            let mut message = [0; 1_024];
            let length = listener.recv(&mut message).await.unwrap();
            let message = String::from_utf8_lossy(&message[..length])
                .trim()
                .to_owned();
            let is_wanted = message.contains(wanted);
            told.push(message);
            if is_wanted {
                return;
            }
        }
    };
    let listened = tokio::time::timeout(DEADLINE, listening).await;
    assert!(listened.is_ok(), "{wanted} was not told: {told:?}");
    told
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
    let listener = UnixDatagram::bind(&path).unwrap();
    let mut command = installation.command("run");
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000");
    let mut service = command.spawn().unwrap();

    let told = told_until(&listener, "READY=1").await;
    assert!(
        told.iter()
            .any(|told| told.starts_with("STATUS=waiting for")),
        "{told:?}"
    );
    for _ in 0..3 {
        told_until(&listener, "WATCHDOG=1").await;
    }
    let told = told_until(&listener, "STATUS=the chain is followed").await;
    assert!(
        !told.iter().any(|told| told.contains("STOPPING")),
        "{told:?}"
    );
    signal(&service, "TERM").await;
    told_until(&listener, "STOPPING=1").await;
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
    let listener = UnixDatagram::bind(&path).unwrap();
    let mut command = installation.command("run");
    let mut service = command.env("NOTIFY_SOCKET", &path).spawn().unwrap();
    told_until(&listener, "READY=1").await;
    signal(&service, "TERM").await;
    let told = told_until(&listener, "STOPPING=1").await;
    assert!(
        !told
            .iter()
            .any(|told| told.contains("the chain is followed")),
        "{told:?}"
    );
    let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}
