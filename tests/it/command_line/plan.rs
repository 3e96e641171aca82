//! `plan` says what the next pass would change, with a running service and without, and changes nothing.

use std::path::Path;
use std::sync::Arc;

use amser_roles::domain::{GuildId, Link, PlannedChanges, Question, Timestamp, Wallet};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{LocalDiscord, Options, Route};
use amser_roles::store::Store;
use amser_roles::web::control::{self, ControlKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::installation::{Installation, gate, signal};
use crate::support::scene::Scene;
use crate::support::stage::{DEADLINE, Setting, new_guild};

async fn planned(installation: &Installation) -> Value {
    let ended = installation.run("plan", &["--json"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.output.lines().count(), 1, "{}", ended.output);
    serde_json::from_str(&ended.output).unwrap()
}

#[tokio::test]
async fn a_payment_is_planned_carried_out_and_then_nothing_is_left_to_do() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Plan", &["Subscriber"]);
    let user = discord.add_user("ada");
    discord.add_member(guild, user).unwrap();
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let setting = Setting::default();
    let installation = Installation::new(&setting, &scene.chain, &discord, &gate);
    let link = Link {
        user,
        wallet: Wallet(wallet("member 1").address()),
        linked_at: Timestamp(0),
        proof: None,
    };
    let store = Store::open(&installation.store_path()).unwrap();
    store.link(&link, 5).unwrap();
    drop(store);

    let head = scene.chain.head().await.unwrap().number;
    let plan = planned(&installation).await;
    assert_eq!(plan["at_block"], head);
    let [change] = plan["changes"].as_array().unwrap().as_slice() else {
        panic!("{plan}");
    };
    assert_eq!(change["action"], "grant");
    assert_eq!(change["guild_id"], guild.to_string());
    assert_eq!(change["user_id"], user.to_string());
    assert_eq!(change["role_id"], roles[0].to_string());
    assert_eq!(change["cause"]["kind"], "paid");
    let store = Store::open(&installation.store_path()).unwrap();
    assert_eq!(store.gates().unwrap(), [], "a plan changes no gates");
    drop(store);
    let told = installation.run("plan", &[]).await;
    assert!(told.output.starts_with("grant "), "{}", told.output);
    assert!(
        told.output
            .ends_with(&format!("1 changes at block {head}\n"))
    );
    assert_eq!(
        discord.count(Route::AddMemberRole),
        0,
        "a plan changes nothing"
    );

    let mut service = installation.start();
    discord
        .wait_until("the role is held", DEADLINE, move |discord| {
            discord.has_role(guild, user, roles[0])
        })
        .await
        .unwrap();
    let running = planned(&installation).await;
    assert_eq!(running, json!({ "at_block": head, "changes": [] }));
    signal(&service, "TERM").await;
    assert!(service.wait().await.unwrap().success());
    assert_eq!(planned(&installation).await, running);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_beside_the_plan() {
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let (guild, _) = new_guild(&discord, "Plan", &[]);
    let nowhere = amser_roles::domain::RoleId(4);
    let gate = gate(guild, scene.module, scene.plan, nowhere);
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
    let plan = planned(&installation).await;
    let trouble = plan["trouble"][guild.to_string()][0].as_str().unwrap();
    assert!(trouble.contains("role"), "{trouble}");
    let told = installation.run("plan", &[]).await;
    assert!(told.output.contains(trouble), "{}", told.output);
}

#[tokio::test]
async fn a_server_that_cannot_be_read_is_told_beside_the_plan_for_the_others() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let user = discord.add_user("ada");
    let servers = ["First", "Second", "Third"].map(|name| {
        let (guild, roles) = new_guild(&discord, name, &["Subscriber"]);
        discord.add_member(guild, user).unwrap();
        (guild, roles[0])
    });
    let [_, (lost, _), _] = servers;
    discord.kick_bot(lost).unwrap();
    let gates = servers.map(|(guild, role)| gate(guild, scene.module, scene.plan, role));
    let gates = gates.concat();
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gates);
    let link = Link {
        user,
        wallet: Wallet(wallet("member 1").address()),
        linked_at: Timestamp(0),
        proof: None,
    };
    let store = Store::open(&installation.store_path()).unwrap();
    store.link(&link, 5).unwrap();
    drop(store);
    let plan = planned(&installation).await;
    let changes = plan["changes"].as_array().unwrap().iter();
    let granted: Vec<_> = changes.map(|change| change["guild_id"].clone()).collect();
    let [(first, _), _, (third, _)] = servers;
    assert_eq!(
        granted,
        [first, third].map(|guild| json!(guild.to_string()))
    );
    let trouble = plan["trouble"].as_object().unwrap();
    assert_eq!(trouble.keys().collect::<Vec<_>>(), [&lost.to_string()]);
    let sentence = trouble[&lost.to_string()][0].as_str().unwrap();
    assert!(sentence.contains("cannot read"), "{sentence}");
}

/// A service's control route over questions that the test answers.
async fn service(key_path: &Path) -> mpsc::Receiver<Question> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = ControlKey::leave(key_path, listener.local_addr().unwrap()).unwrap();
    let (questions, asked) = mpsc::channel(1);
    let routes = control::router(Arc::new(key), questions);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    asked
}

#[tokio::test]
async fn a_service_that_does_not_know_yet_is_asked_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mut asked = service(&path).await;
    let plan = PlannedChanges {
        at_block: 7,
        changes: Vec::new(),
        trouble: [(GuildId(1), ["too low".to_owned()].into())].into(),
    };
    let expected = plan.clone();
    let answering = async {
        for answer in [Err("not yet".to_owned()), Err("soon".to_owned()), Ok(plan)] {
            match asked.recv().await {
                Some(Question::Plan { answer: to }) => to.send(answer).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    let (planned, ()) = tokio::join!(control::ask_for_plan(&path), answering);
    assert_eq!(planned.unwrap(), expected);
}

#[tokio::test]
async fn without_the_key_there_is_no_plan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mut asked = service(&path).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let (address, key) = text.trim_end().split_once('\n').unwrap();
    let url = format!("http://{address}/control/plan");
    let client = reqwest::Client::new();
    let wrong = [None, Some(""), Some("x"), Some(&key[1..])];
    for token in wrong {
        let mut request = client.get(&url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), 404);
    }
    assert!(asked.try_recv().is_err(), "nothing was asked");
}
