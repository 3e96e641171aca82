//! `plan` says what the next pass would change, with a running service and without, and changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use amser_roles::domain::{
    Cause, GateDraft, GateMatch, GateTroubles, GuildId, Intent, Link, ModuleAddress, PlanId,
    PlannedChanges, Question, RoleAction, RoleChange, RoleId, Timestamp, UserId, Wallet,
};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{LocalDiscord, Options, Route};
use amser_roles::store::Store;
use amser_roles::web::control::{self, ControlSocket};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::installation::{Installation, end, gate, signal};
use crate::support::scene::Scene;
use crate::support::stage::{DEADLINE, Setting, new_guild};

async fn planned(installation: &Installation) -> Value {
    planned_with(installation, 0).await
}

/// The plan of a command that ends with this code.
async fn planned_with(installation: &Installation, code: i32) -> Value {
    let ended = installation.run("plan", &["--json"]).await;
    assert_eq!(ended.code, Some(code), "{ended:?}");
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
            .ends_with(&format!("1 change at block {head}\n"))
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
    let plan = planned_with(&installation, 1).await;
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
    let plan = planned_with(&installation, 1).await;
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
    assert!(sentence.contains("invite it again"), "{sentence}");
}

#[tokio::test]
async fn a_plan_names_a_token_that_discord_refuses() {
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Plan", &["Subscriber"]);
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
    let mut command = installation.command("plan");
    let plan = end(command.env("AMSER_ROLES_DISCORD_TOKEN", "a.b.c")).await;
    assert_eq!(plan.code, Some(1), "{plan:?}");
    let sentence = "Discord refuses the bot token";
    assert!(plan.output.contains(sentence), "{plan:?}");
}

/// More than the brake lets pass without a question.
const CROWD: usize = 6;

/// A stopped program, members who hold a role that it gave them, and no gate any more that gives it.
struct Former {
    installation: Installation,
    scene: Scene,
    _discord: LocalDiscord,
    guild: GuildId,
    role: RoleId,
    removals: Vec<RoleChange>,
}

impl Former {
    async fn of(holders: usize) -> Self {
        let scene = Scene::new().await;
        let discord = LocalDiscord::start(Options::default()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Plan", &["Former", "Subscriber"]);
        let gate = gate(guild, scene.module, scene.plan, roles[1]);
        let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
        let removals = (0..holders).map(|number| {
            let user = discord.add_user(&format!("member {number}"));
            discord.add_member(guild, user).unwrap();
            discord.give_role(guild, user, roles[0]).unwrap();
            RoleChange {
                action: RoleAction::Revoke,
                guild,
                user,
                role: roles[0],
                cause: Cause::GateRemoved,
            }
        });
        let removals: Vec<_> = removals.collect();
        let given = removals.iter().map(|removal| RoleChange {
            action: RoleAction::Grant,
            ..removal.clone()
        });
        let given: Vec<_> = given.collect();
        let former = Self {
            installation,
            scene,
            _discord: discord,
            guild,
            role: roles[0],
            removals,
        };
        former.store().adopt(&given, 1).unwrap();
        former
    }

    fn store(&self) -> Store {
        Store::open(&self.installation.store_path()).unwrap()
    }

    /// Why the plan takes the role, for each member who is to lose it.
    async fn causes(&self) -> Vec<Value> {
        let plan = planned(&self.installation).await;
        let changes = plan["changes"].as_array().unwrap().iter();
        let revoked = changes.map(|change| {
            assert_eq!(change["action"], "revoke");
            assert_eq!(change["role_id"], self.role.to_string());
            change["cause"]["kind"].clone()
        });
        revoked.collect()
    }
}

#[tokio::test]
async fn what_a_manager_ordered_is_planned_for_everyone_without_a_service_too() {
    let former = Former::of(CROWD).await;
    let (guild, manager) = (former.guild, UserId(1));
    let draft = GateDraft {
        module: ModuleAddress(former.scene.module),
        plans: [PlanId(former.scene.plan)].into(),
        matching: GateMatch::Any,
        roles: [former.role].into(),
    };
    let store = former.store();
    let made = store.make_gate(guild, draft, None, manager, Timestamp(1));
    let gate = made.unwrap().unwrap();
    let deleted = store.delete_gate(guild, gate, manager, Timestamp(2));
    deleted.unwrap().unwrap();
    drop(store);
    assert_eq!(former.causes().await, ["manager_act"; CROWD]);
}

#[tokio::test]
async fn removals_that_were_stopped_are_in_no_plan_without_a_service_either() {
    let former = Former::of(3).await;
    assert_eq!(former.causes().await, ["gate_removed"; 3]);
    let stopped = [((former.guild, former.role), Timestamp(1))].into();
    former.store().set_stopped(&stopped).unwrap();
    assert_eq!(former.causes().await, [""; 0]);
}

#[tokio::test]
async fn what_was_decided_before_the_stop_is_planned_however_much_it_is() {
    let former = Former::of(CROWD).await;
    let intents = former.removals.iter().map(|removal| Intent {
        change: removal.clone(),
        block: 1,
        just_now: false,
    });
    let intents: Vec<_> = intents.collect();
    former.store().intend(&intents).unwrap();
    assert_eq!(former.causes().await, ["gate_removed"; CROWD]);
}

#[tokio::test]
async fn a_running_service_that_is_not_connected_to_discord_does_not_say_that_nothing_would_change()
{
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(Options::default()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Plan", &["Subscriber"]);
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
    installation.reconfigure(&discord.base_url(), "http://127.0.0.1:9");
    let _service = installation.start();
    let socket = installation.store_path().with_extension("control");
    // Each time once: the command asks for half a minute.
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = asked_once(&socket).await.unwrap_or_default();
        assert!(!answer.contains("\"changes\""), "{answer}");
        if answer.contains("not connected to Discord") {
            break;
        }
        assert!(Instant::now() < deadline, "{answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the socket answers to one question for the plan.
async fn asked_once(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = b"GET /plan HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A service's control socket over questions that the test answers.
fn service(path: &Path) -> (mpsc::Receiver<Question>, DropGuard) {
    let socket = ControlSocket::bind(path).unwrap();
    let (questions, asked) = mpsc::channel(1);
    let stop = CancellationToken::new();
    tokio::spawn(socket.serve(
        control::plan_routes(questions, watch::channel(GateTroubles::default()).1),
        stop.clone(),
    ));
    (asked, stop.drop_guard())
}

#[tokio::test]
async fn a_service_that_does_not_know_yet_is_asked_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (mut asked, _stop) = service(&path);
    let plan = PlannedChanges {
        at_block: 7,
        changes: Vec::new(),
        trouble: [(GuildId(1), ["too low".to_owned()].into())].into(),
        ..PlannedChanges::default()
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
async fn the_socket_is_its_owners_alone_and_replaces_one_that_a_crash_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.control");
    // As after a kill: the file stays, and nobody answers.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let refused = control::ask_for_plan(&path).await.unwrap_err();
    assert!(
        refused.to_string().contains("does not answer"),
        "{refused:#}"
    );
    let (mut asked, stop) = service(&path);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let answering = async {
        match asked.recv().await {
            Some(Question::Plan { answer }) => answer.send(Err("later".to_owned())).unwrap(),
            other => panic!("{other:?}"),
        }
        match asked.recv().await {
            // Dropped, as by a service that stops.
            Some(Question::Plan { answer: _ }) => {}
            other => panic!("{other:?}"),
        }
        drop(stop);
    };
    let (refused, ()) = tokio::join!(control::ask_for_plan(&path), answering);
    assert!(refused.is_err());
    let deadline = Instant::now() + DEADLINE;
    while path.exists() {
        assert!(
            Instant::now() < deadline,
            "the socket goes with the service"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
