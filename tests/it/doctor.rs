//! `doctor`: seeded faults are found by name, over a real chain and the local Discord; a healthy set-up is silent.

mod faults;
mod history;
mod local_api;
mod nodes;
mod running;

use alloy::primitives::Address;
use amser_roles::domain::{Finding, GuildId, Level, RoleId};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use tokio::net::TcpListener;
use url::Url;

use self::local_api::LocalApi;
use crate::support::installation::{Ended, Installation, end, gate};
use crate::support::scene::{Scene, patient};
use crate::support::stage::{Setting, new_guild};

/// A set-up in which all is well until a test changes it.
pub(crate) struct Ward {
    pub(crate) scene: Scene,
    pub(crate) discord: LocalDiscord,
    pub(crate) guild: GuildId,
    pub(crate) role: RoleId,
    api: LocalApi,
    pub(crate) installation: Installation,
}

/// What `doctor` said.
#[derive(Debug)]
struct Examined {
    ended: Ended,
    findings: Vec<Finding>,
}

impl Examined {
    /// What is not well, by name; but for the disk of the machine that the tests run on.
    fn faults(&self) -> Vec<(&str, Level)> {
        let findings = self.findings.iter();
        let faults = findings.filter(|finding| finding.level != Level::Ok);
        let faults = faults.filter(|finding| !finding.name.starts_with("disk."));
        faults
            .map(|finding| (finding.name.as_str(), finding.level))
            .collect()
    }
}

/// A port of this machine that nobody listens on, and that the system gives to nobody who asks for any: those begin at 32,768.
pub(crate) async fn free_port() -> u16 {
    loop {
        let port = rand::random_range(15_000..30_000);
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

impl Ward {
    pub(crate) async fn new() -> Self {
        Self::with(patient(), &[]).await
    }

    /// The same with such a Discord and these nodes.
    async fn with(options: Options, rpc_urls: &[String]) -> Self {
        let scene = Scene::new().await;
        let port = free_port().await;
        let options = Options {
            redirect_uris: vec![format!("http://127.0.0.1:{port}/oauth/callback")],
            ..options
        };
        let discord = LocalDiscord::start(options).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Club", &["Subscriber"]);
        let api = LocalApi::start().await;
        let setting = Setting {
            rpc_urls: rpc_urls.to_vec(),
            ..Setting::default()
        };
        let gate = gate(guild, scene.module, scene.plan, roles[0]);
        let installation = Installation::new(&setting, &scene.chain, &discord, &gate);
        let ward = Self {
            scene,
            discord,
            guild,
            role: roles[0],
            api,
            installation,
        };
        ward.edit("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        ward.edit(
            "http://127.0.0.1:1\"",
            &format!("http://127.0.0.1:{port}\""),
        );
        let text = ward.text();
        let api_url = format!("api_url = \"{}\"", ward.api.url);
        let section = text.split_once("[amser]\n");
        match section.and_then(|(_, section)| section.lines().next()) {
            Some(line) => ward.edit(line, &api_url),
            None => ward.edit("[web]", &format!("[amser]\n{api_url}\n[web]")),
        }
        ward
    }

    /// Where the service answers.
    pub(crate) fn public_url(&self) -> Url {
        let text = self.text();
        let line = text.lines().find(|line| line.starts_with("public_url"));
        line.unwrap().split('"').nth(1).unwrap().parse().unwrap()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.installation.config_path()).unwrap()
    }

    /// Replaces a part of the configuration.
    fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from} is not in {text}");
        self.installation.configure(&text.replacen(from, to, 1));
    }

    /// Names another module in the gate.
    fn gate_on(&self, module: Address) {
        self.edit(&self.scene.module.to_string(), &module.to_string());
    }

    async fn examine(&self) -> Examined {
        examined(self.installation.run("doctor", &["--json"]).await)
    }

    /// The same with this key of amser's API.
    async fn examine_with_key(&self, key: &str) -> Examined {
        let mut command = self.installation.command("doctor");
        command.arg("--json").env("AMSER_ROLES_API_KEY", key);
        examined(end(&mut command).await)
    }

    /// Exactly this is found.
    async fn assert_finds(&self, expected: &[(&str, Level)]) {
        let examined = self.examine().await;
        assert_eq!(examined.faults(), expected, "{examined:#?}");
        let is_failure = expected.iter().any(|(_, level)| *level == Level::Failure);
        assert_eq!(examined.ended.code, Some(i32::from(is_failure)));
    }
}

fn examined(ended: Ended) -> Examined {
    assert_eq!(ended.output.lines().count(), 1, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    Examined {
        findings: serde_json::from_value(report["findings"].clone()).unwrap(),
        ended,
    }
}

#[tokio::test]
async fn of_a_healthy_set_up_nothing_is_said_and_no_store_is_made() {
    let ward = Ward::new().await;
    let told = ward.installation.run("doctor", &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines = told.output.lines();
    for line in lines.filter(|line| !line.contains(" disk.")) {
        assert!(line.starts_with("ok "), "{line}");
    }
    assert!(
        told.output.contains("the bot is amser-roles"),
        "{}",
        told.output
    );
    assert!(told.output.contains(&ward.scene.module.to_string()));
    assert!(!ward.installation.store_path().exists());
    assert_eq!(ward.discord.violations(), []);
    let token = ward.discord.options().token;
    assert!(!format!("{told:?}").contains(&token));
}
