//! No command says that all is well when nothing can work.

use std::net::SocketAddr;

use alloy::primitives::{Address, U256};
use amser_roles::domain::{ModuleAddress, RoleId};
use amser_roles::store::Store;
use serde_json::Value;

use super::{Club, stop, until_said};
use crate::doctor::free_port;
use crate::support::installation::{Installation, end, gate, log, program};
use crate::support::stage::{new_guild, wait};

/// `plan` of this installation: it fails, and says these words about it.
async fn plan_says(installation: &Installation, words: &str) {
    let told = installation.run("plan", &[]).await;
    assert_eq!(told.code, Some(1), "{words}: {told:?}");
    let lines = told
        .output
        .lines()
        .filter(|line| line.starts_with("trouble"));
    assert!(
        lines.clone().any(|line| line.contains(words)),
        "{words}: {told:?}"
    );
    let told = installation.run("plan", &["--json"]).await;
    assert_eq!(told.code, Some(1), "{words}: {told:?}");
    let plan: Value = serde_json::from_str(&told.output).unwrap();
    assert!(plan["changes"].is_array(), "{plan}");
    assert!(plan.to_string().contains(words), "{words}: {plan}");
}

/// Where this installation is going to answer.
async fn give_it_an_address(installation: &Installation) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().await));
    installation.reconfigure(
        "listen = \"127.0.0.1:0\"",
        &format!("listen = \"{address}\""),
    );
    address
}

/// What the running service answers.
async fn read(address: SocketAddr, path: &str) -> Value {
    let answer = reqwest::get(format!("http://{address}{path}")).await;
    serde_json::from_str(&answer.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn what_cannot_work_is_named_by_plan_with_exit_code_1() {
    let club = Club::new().await;
    let (module, plan) = (club.scene.module, club.scene.plan);
    let right = gate(club.guild, module, plan, club.role);
    let (_, elsewhere) = new_guild(&club.discord, "Elsewhere", &["Gold"]);
    let processor = club.scene.chain.processor_of(module).await.unwrap();
    let nowhere = Address::repeat_byte(0x77);
    for (wrong, words) in [
        (
            gate(club.guild, module, U256::from(7), club.role),
            "has no plan 7",
        ),
        (
            gate(club.guild, nowhere, plan, club.role),
            "There is no module contract at",
        ),
        (
            gate(club.guild, processor, plan, club.role),
            "no subscription module",
        ),
        (gate(club.guild, module, plan, elsewhere[0]), "role"),
        (gate(club.guild, module, plan, RoleId(4)), "role"),
    ] {
        let installation = club.another_machine();
        installation.reconfigure(&right, &wrong);
        plan_says(&installation, words).await;
    }
    let installation = club.another_machine();
    let application = club.discord.options().application_id;
    installation.reconfigure(&application.to_string(), "1234567");
    plan_says(&installation, "discord.application_id").await;
    let installation = club.another_machine();
    let mut stranger = installation.command("plan");
    let told = end(stranger.env("AMSER_ROLES_DISCORD_TOKEN", "x.y.z")).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.output.contains("trouble server"), "{told:?}");
    let fine = club.another_machine().run("plan", &[]).await;
    assert_eq!(fine.code, Some(0), "{fine:?}");
}

#[tokio::test]
async fn a_module_whose_beginning_was_not_read_is_named_by_plan_with_exit_code_1() {
    let club = Club::new().await;
    let installation = club.another_machine();
    let head = club.scene.chain.head().await.unwrap().number;
    installation.reconfigure("[amser]", &format!("start_block = {head}\n[amser]"));
    // Nothing is read of the module then but that it has a plan.
    let words = format!(
        "Of module {}, a subscription or plan is older than what was read",
        club.scene.module
    );
    plan_says(&installation, &words).await;
    let service = installation.start();
    until_said(&installation, "ready: the chain is followed").await;
    plan_says(&installation, &words).await;
    stop(service).await;
}

#[tokio::test]
async fn a_start_block_beyond_the_newest_block_is_said_by_each_command_and_no_payment_is_lost_by_it()
 {
    let club = Club::new().await;
    let installation = &club.installation;
    let right = "[amser]";
    let wrong = "start_block = 5000000\n[amser]";
    installation.reconfigure(right, wrong);
    let words = "because chain.start_block is 5000000";
    let read_first = installation.run("index", &[]).await;
    assert_eq!(read_first.code, Some(1), "{read_first:?}");
    assert!(read_first.errors.contains(words), "{read_first:?}");
    plan_says(installation, words).await;
    let examined = installation.run("doctor", &[]).await;
    assert_eq!(examined.code, Some(1), "{examined:?}");
    assert!(
        examined.output.contains("chain.start_block is 5000000"),
        "{examined:?}"
    );
    let address = give_it_an_address(installation).await;
    let service = installation.start();
    until_said(installation, "chain.start_block is beyond the newest block").await;
    until_said(installation, "ready: the chain is followed").await;
    plan_says(installation, words).await;
    assert_eq!(read(address, "/api/status").await["discord"]["failing"], 1);
    stop(service).await;
    installation.reconfigure(wrong, right);
    let service = installation.start();
    club.until_everyone_has_the_role().await;
    stop(service).await;
    // What was read is kept when the start is mistyped later on.
    installation.reconfigure(right, wrong);
    plan_says(installation, words).await;
    let store = Store::open(&installation.store_path()).unwrap();
    let module = ModuleAddress(club.scene.module);
    assert!(store.has_events(module).unwrap());
}

#[tokio::test]
async fn the_running_service_says_which_gate_cannot_work() {
    let club = Club::new().await;
    let installation = &club.installation;
    let right = gate(club.guild, club.scene.module, club.scene.plan, club.role);
    let wrong = gate(club.guild, club.scene.module, U256::from(7), club.role);
    installation.reconfigure(&right, &wrong);
    let address = give_it_an_address(installation).await;
    let service = installation.start();
    until_said(installation, "has no plan 7").await;
    until_said(installation, "ready: the chain is followed").await;
    let ready = read(address, "/readyz").await;
    assert_eq!(ready["ready"], true);
    assert!(
        ready["trouble"][0]
            .as_str()
            .unwrap()
            .contains("1; `amser-roles plan`"),
        "{ready}"
    );
    assert_eq!(read(address, "/api/status").await["discord"]["failing"], 1);
    plan_says(installation, "has no plan 7").await;
    let told = log(&installation.log_path());
    assert_eq!(
        told.matches("has no plan 7").count(),
        1,
        "said once: {told}"
    );
    // Mended without a restart.
    installation.reconfigure(&wrong, &right);
    crate::support::installation::signal(&service, "HUP").await;
    let more = club.discord.clone();
    let (guild, role, user) = (club.guild, club.role, club.members[0]);
    wait("the role is given", || more.has_role(guild, user, role)).await;
    stop(service).await;
}

#[tokio::test]
async fn the_running_service_says_that_its_bot_is_of_another_application() {
    let club = Club::new().await;
    let installation = &club.installation;
    let application = club.discord.options().application_id.to_string();
    installation.reconfigure(&application, "1234567");
    let address = give_it_an_address(installation).await;
    let service = installation.start();
    let words = "check discord.application_id";
    until_said(installation, words).await;
    until_said(installation, "ready: the chain is followed").await;
    let ready = read(address, "/readyz").await;
    assert!(
        ready["trouble"].to_string().contains("slash commands"),
        "{ready}"
    );
    let status = read(address, "/api/status").await;
    assert_eq!(
        status["discord"]["failing"], 1,
        "nobody can link a wallet: {status}"
    );
    plan_says(installation, words).await;
    let told = log(&installation.log_path());
    assert_eq!(told.matches(words).count(), 1, "said once: {told}");
    stop(service).await;
}

#[tokio::test]
async fn check_config_says_what_needs_no_network() {
    let club = Club::new().await;
    let installation = &club.installation;
    let role = format!("role_ids = [\"{}\"]", club.role);
    installation.reconfigure(&role, &format!("role_ids = [\"{}\"]", club.guild));
    let refused = installation.run("check-config", &[]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.errors.contains("@everyone") && refused.errors.contains("line "),
        "{refused:?}"
    );
    let misspelt = end(program()
        .args(["check-config", "--config", crate::command_line::SHIPPED])
        .env("AMSER_ROLES_DISCORD_CLIENT_SECERT", "x"))
    .await;
    assert_eq!(misspelt.code, Some(2), "{misspelt:?}");
    assert!(
        misspelt
            .errors
            .contains("did you mean AMSER_ROLES_DISCORD_CLIENT_SECRET?"),
        "{misspelt:?}"
    );
    let noted = end(program()
        .args(["check-config", "--config", crate::command_line::SHIPPED])
        .env("AMSER_ROLES_COOKIE_KEY", "zz"))
    .await;
    assert_eq!(noted.code, Some(0), "{noted:?}");
    for note in [
        "AMSER_ROLES_DISCORD_CLIENT_SECRET",
        "AMSER_ROLES_COOKIE_KEY: must be 128 hexadecimal characters",
        "store.path is relative",
    ] {
        assert!(noted.output.contains(note), "{note}: {noted:?}");
    }
    let dumped = end(program()
        .args([
            "check-config",
            "--dump",
            "--config",
            crate::command_line::SHIPPED,
        ])
        .env("AMSER_ROLES__CHAIN__CONFIRMATIONS", "5")
        .env("AMSER_ROLES_DISCORD_TOKEN", "very.secret.token"))
    .await;
    assert_eq!(dumped.code, Some(0), "{dumped:?}");
    for line in [
        "confirmations = 5 # AMSER_ROLES__CHAIN__CONFIRMATIONS",
        "#   AMSER_ROLES_DISCORD_TOKEN: set",
        "#   AMSER_ROLES_API_KEY: not set",
    ] {
        assert!(dumped.output.contains(line), "{line}: {}", dumped.output);
    }
    assert!(!dumped.output.contains("very.secret"), "{}", dumped.output);
}

#[tokio::test]
async fn a_wrong_token_is_one_sentence() {
    let club = Club::new().await;
    let mut stranger = club.installation.command("run");
    let told = end(stranger.env("AMSER_ROLES_DISCORD_TOKEN", "x.y.z")).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let errors = told.errors.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(errors.count(), 0, "{}", told.errors);
    let said = told.errors.lines().last().unwrap();
    assert!(
        said.starts_with("amser-roles: ") && said.contains("AMSER_ROLES_DISCORD_TOKEN"),
        "{said}"
    );
}
