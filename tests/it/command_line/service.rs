//! `run`: what keeps it from starting, who else may use its store, and how it stops.

use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;

use super::SHIPPED;
use crate::support::installation::{Installation, end, gate, log, program, signal};
use crate::support::scene::{Scene, patient};
use crate::support::stage::{DEADLINE, Setting, new_guild, wait};

async fn installation() -> (Installation, Scene, LocalDiscord) {
    let scene = Scene::new().await;
    let discord = LocalDiscord::start(patient()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Service", &["Subscriber"]);
    let gate = gate(guild, scene.module, scene.plan, roles[0]);
    let installation = Installation::new(&Setting::default(), &scene.chain, &discord, &gate);
    (installation, scene, discord)
}

#[tokio::test]
async fn a_running_service_keeps_its_store_to_itself_and_stops_at_a_signal() {
    let (installation, _scene, _discord) = installation().await;
    for name in ["INT", "TERM"] {
        let mut service = installation.start();
        let is_there = || log(&installation.log_path()).contains("Discord gateway");
        wait("the service is connected", is_there).await;
        for command in ["index", "run"] {
            let refused = installation.run(command, &[]).await;
            assert_eq!(refused.code, Some(3), "{command}: {refused:?}");
            assert!(refused.errors.contains("in use"), "{}", refused.errors);
        }
        signal(&service, name).await;
        let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
        let told = log(&installation.log_path());
        assert!(ended.expect("it stops").unwrap().success(), "{told}");
        assert!(
            told.contains("stopping") && !told.contains("ERROR"),
            "{told}"
        );
        drop(Store::open(&installation.store_path()).expect("the store is free"));
    }
}

#[tokio::test]
async fn without_a_token_it_says_where_to_put_it() {
    let (installation, _scene, _discord) = installation().await;
    for command in ["run", "plan"] {
        let mut without = installation.command(command);
        without.env_remove("AMSER_ROLES_DISCORD_TOKEN");
        let refused = end(&mut without).await;
        assert_eq!(refused.code, Some(1), "{command}: {refused:?}");
        assert!(refused.errors.contains("AMSER_ROLES_DISCORD_TOKEN"));
    }
}

#[tokio::test]
async fn a_token_that_stands_for_the_name_of_its_file_is_not_repeated() {
    for command in [&["run"][..], &["check-config"], &["check-config", "--dump"]] {
        let mut mistaken = program();
        mistaken.args(command).args(["--config", SHIPPED]);
        mistaken.env("AMSER_ROLES_DISCORD_TOKEN_FILE", "MTE.secret-word.x");
        let told = end(&mut mistaken).await;
        let told = told.output + &told.errors;
        assert!(told.contains("AMSER_ROLES_DISCORD_TOKEN_FILE"), "{told}");
        assert!(!told.contains("secret-word"), "{told}");
    }
}

#[tokio::test]
async fn without_a_client_secret_it_starts_only_where_that_is_wanted() {
    let (installation, _scene, _discord) = installation().await;
    let mut without = installation.command("run");
    without.env_remove("AMSER_ROLES_DISCORD_CLIENT_SECRET");
    let refused = end(&mut without).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.errors.contains("AMSER_ROLES_DISCORD_CLIENT_SECRET"));
    assert!(refused.errors.contains("web.sign_in"));
    let text = std::fs::read_to_string(installation.config_path()).unwrap();
    installation.configure(&text.replace("[web]\n", "[web]\nsign_in = \"none\"\n"));
    let mut service = installation.start();
    wait("it is warned of", || {
        log(&installation.log_path()).contains("NOBODY PROVES WHO THEY ARE")
    })
    .await;
    signal(&service, "TERM").await;
    assert!(service.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_role_that_is_not_there_is_said_once_in_the_log() {
    let (installation, scene, discord) = installation().await;
    let (guild, _) = new_guild(&discord, "Elsewhere", &[]);
    let nowhere = amser_roles::domain::RoleId(4);
    let text = std::fs::read_to_string(installation.config_path()).unwrap();
    let more = gate(guild, scene.module, scene.plan, nowhere);
    installation.configure(&format!("{text}{more}"));
    let mut service = installation.start();
    let trouble = "roles cannot be changed here until it is repaired";
    wait("it is said", || {
        log(&installation.log_path()).contains(trouble)
    })
    .await;
    signal(&service, "TERM").await;
    assert!(service.wait().await.unwrap().success());
    let told = log(&installation.log_path());
    assert_eq!(told.matches(trouble).count(), 1, "{told}");
    assert!(told.contains("WARN") && told.contains("role=4"), "{told}");
}

#[tokio::test]
async fn a_hangup_reads_gates_servers_and_policy_again_and_a_bad_file_changes_nothing() {
    let (installation, scene, discord) = installation().await;
    let (guild, roles) = new_guild(&discord, "Elsewhere", &["Gold"]);
    let text = std::fs::read_to_string(installation.config_path()).unwrap();
    let mut service = installation.start();
    let says = |what: &'static str| {
        let path = installation.log_path();
        move || log(&path).contains(what)
    };
    wait("it is connected", says("Discord gateway")).await;
    installation.configure(&text.replace("[policy]\n", "[policy]\npaused = \"maybe\"\n"));
    signal(&service, "HUP").await;
    wait("the mistake is told", says("nothing is changed")).await;
    let told = log(&installation.log_path());
    assert!(
        told.contains("policy.paused") && told.contains("line"),
        "{told}"
    );
    let more = gate(guild, scene.module, scene.plan, roles[0]);
    let own = format!("[[servers]]\nguild_id = \"{guild}\"\nexpiry_leeway = 60\n");
    let text = text.replace("[policy]\n", "[policy]\nmax_revoke_floor = 77\n");
    installation.configure(&format!("{text}{more}{own}"));
    signal(&service, "HUP").await;
    wait("it is read again", says("were read again")).await;
    wait("the policy is taken", says("the policy changed")).await;
    signal(&service, "TERM").await;
    assert!(service.wait().await.unwrap().success());
    let store = Store::open(&installation.store_path()).unwrap();
    assert_eq!(store.gates().unwrap().len(), 2);
    let (fixed, _) = store.settings(guild).unwrap();
    assert_eq!(fixed.expiry_leeway, Some(60));
}
