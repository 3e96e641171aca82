//! `init` makes a configuration from flags or from a person's answers, and every answer is checked at once.

mod typing;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use amser_roles::config::Config;
use amser_roles::domain::{GuildId, RoleId};
use amser_roles::sandbox::discord::{LocalDiscord, Options};

use crate::doctor::free_port;
use crate::support::installation::{Ended, PROGRAM, end, program};
use crate::support::scene::{Scene, patient};
use crate::support::stage::new_guild;
use crate::support::terminal::Terminal;

/// What somebody has who is about to run `init`.
struct Newcomer {
    scene: Scene,
    discord: LocalDiscord,
    guild: GuildId,
    role: RoleId,
    public_url: String,
    folder: tempfile::TempDir,
}

impl Newcomer {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let public_url = format!("http://127.0.0.1:{}", free_port().await);
        let options = Options {
            redirect_uris: vec![format!("{public_url}/oauth/callback")],
            ..patient()
        };
        let discord = LocalDiscord::start(options).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Club", &["Subscriber"]);
        let newcomer = Self {
            scene,
            discord,
            guild,
            role: roles[0],
            public_url,
            folder: tempfile::tempdir().unwrap(),
        };
        let options = newcomer.discord.options();
        std::fs::write(newcomer.path("token"), options.token + "\n").unwrap();
        std::fs::write(newcomer.path("secret"), options.client_secret).unwrap();
        for name in ["token", "secret"] {
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(newcomer.path(name), private).unwrap();
        }
        newcomer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every flag, with its value.
    fn flags(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            ("--config", path("config.toml")),
            ("--discord-api-url", self.discord.base_url()),
            ("--token-file", path("token")),
            ("--client-secret-file", path("secret")),
            ("--rpc-url", self.scene.chain.ws_url()),
            ("--module", self.scene.module.to_string()),
            ("--guild", self.guild.to_string()),
            ("--role", self.role.to_string()),
            ("--plan", self.scene.plan.to_string()),
            ("--public-url", self.public_url.clone()),
        ]
    }

    async fn init(&self, flags: &[(&'static str, String)]) -> Ended {
        let mut command = program();
        command.arg("init");
        for (flag, value) in flags {
            command.args([flag, value.as_str()]);
        }
        end(&mut command).await
    }

    /// The same at a terminal.
    fn init_at_terminal(&self, flags: &[(&'static str, String)]) -> Terminal {
        let flags = flags.iter().map(|(flag, value)| format!(" {flag} {value}"));
        Terminal::run(&format!("{PROGRAM} init{}", flags.collect::<String>()))
    }

    /// The same as a command with another value of one flag.
    async fn init_with(&self, flag: &str, value: &str) -> Ended {
        let mut flags = self.flags();
        for (name, known) in &mut flags {
            if *name == flag {
                *known = value.to_owned();
            }
        }
        self.init(&flags).await
    }

    /// Nothing was written.
    fn assert_untouched(&self) {
        for name in ["config.toml", "secrets"] {
            assert!(!self.path(name).exists(), "{name}");
        }
    }

    fn assert_private(&self, name: &str) -> String {
        let path = self.path(name);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        std::fs::read_to_string(path).unwrap()
    }

    /// Both secrets are in files of their own.
    fn assert_secrets_kept(&self) {
        let options = self.discord.options();
        assert_eq!(self.assert_private("secrets/discord_token"), options.token);
        let secret = self.assert_private("secrets/discord_client_secret");
        assert_eq!(secret, options.client_secret);
    }

    /// The configuration is what was answered, and doctor finds it healthy with the secrets beside it.
    async fn assert_made(&self, ended: &Ended) {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let id = self.discord.options().application_id;
        let link = format!("client_id={id}&scope=bot+applications.commands&permissions=268435456");
        assert!(ended.output.contains(&link), "{ended:?}");
        assert!(ended.output.contains("all is well"), "{ended:?}");
        let text = self.assert_private("config.toml");
        let options = self.discord.options();
        for secret in [&options.token, &options.client_secret] {
            assert!(!text.contains(secret.as_str()));
            assert!(!ended.output.contains(secret.as_str()), "{ended:?}");
        }
        let config = Config::load(&self.path("config.toml")).unwrap();
        let gate = config.gates.first().unwrap();
        assert_eq!((gate.guild, gate.module.0), (self.guild, self.scene.module));
        assert!(gate.roles.contains(&self.role));
        self.assert_secrets_kept();
        let mut doctor = program();
        doctor
            .arg("doctor")
            .arg("--config")
            .arg(self.path("config.toml"));
        let examined = end(&mut doctor).await;
        assert_eq!(examined.code, Some(0), "{examined:?}");
    }
}

#[tokio::test]
async fn from_flags_a_configuration_is_made_that_doctor_finds_healthy_and_that_is_never_overwritten()
 {
    let newcomer = Newcomer::new().await;
    let flags = newcomer.flags();
    let made = newcomer.init(&flags).await;
    newcomer.assert_made(&made).await;
    assert!(made.output.contains("the bot is amser-roles"), "{made:?}");
    assert!(made.output.contains("is on chain 31337"), "{made:?}");
    assert!(made.output.contains("has plans 1"), "{made:?}");
    let text = std::fs::read_to_string(newcomer.path("config.toml")).unwrap();
    let again = newcomer.init(&flags).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.errors.contains("overwrites nothing"), "{again:?}");
    let kept = std::fs::read_to_string(newcomer.path("config.toml")).unwrap();
    assert_eq!(kept, text);
}

#[tokio::test]
async fn the_packaged_file_is_replaced_where_it_is_and_stays_readable_for_the_service() {
    let newcomer = Newcomer::new().await;
    let packaged = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");
    let path = newcomer.path("config.toml");
    std::fs::copy(packaged, &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let made = newcomer.init(&newcomer.flags()).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let config = Config::load(&path).unwrap();
    let store = config.store_path.display().to_string();
    assert_eq!(store, "/var/lib/amser-roles/amser-roles.redb");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    newcomer.assert_secrets_kept();
}

#[tokio::test]
async fn where_nothing_can_be_asked_a_missing_flag_is_named_in_one_sentence() {
    let newcomer = Newcomer::new().await;
    let mut flags = newcomer.flags();
    flags.retain(|(flag, _)| !["--module", "--plan"].contains(flag));
    let refused = newcomer.init(&flags).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.errors.lines().count(), 1, "{refused:?}");
    assert!(
        refused.errors.contains("init needs --module, --plan"),
        "{refused:?}"
    );
    newcomer.assert_untouched();
}

#[tokio::test]
async fn an_answer_that_does_not_hold_is_refused_by_its_flag_and_nothing_is_written() {
    let newcomer = Newcomer::new().await;
    let (discord, guild) = (&newcomer.discord, newcomer.guild);
    let high = discord.add_role(guild, "Admin").unwrap();
    let bot = discord.bot_role(guild).unwrap();
    discord
        .set_role_order(guild, &[newcomer.role, bot, high])
        .unwrap();
    std::fs::write(newcomer.path("wrong"), "MTE.secret-word.x").unwrap();
    let wrong = newcomer.path("wrong").display().to_string();
    let nowhere = "0x00000000000000000000000000000000000000A1";
    let processor = newcomer.scene.chain.processor.to_string();
    let high = high.to_string();
    for (flag, value, reason) in [
        ("--token-file", wrong.as_str(), "refuses this bot token"),
        (
            "--client-secret-file",
            &wrong,
            "--client-secret-file: Discord refuses this client secret",
        ),
        (
            "--rpc-url",
            "http://127.0.0.1:1/key-of-mine",
            "not available",
        ),
        ("--rpc-url", "127.0.0.1", "no URL"),
        ("--module", nowhere, "no contract"),
        ("--module", &processor, "no subscription module"),
        ("--plan", "7", "no such plan"),
        ("--role", "12345", "does not exist"),
        ("--role", &high, "move the bot's role above it"),
        ("--guild", "club", "is a number"),
        ("--public-url", "http://roles.example", "https://"),
    ] {
        let refused = newcomer.init_with(flag, value).await;
        assert_eq!(refused.code, Some(1), "{flag} {value}: {refused:?}");
        assert!(
            refused.errors.contains(reason),
            "{flag} {value}: {refused:?}"
        );
        assert!(!refused.errors.contains("secret-word"), "{refused:?}");
        assert!(!refused.errors.contains("key-of-mine"), "{refused:?}");
        newcomer.assert_untouched();
    }
}

#[tokio::test]
async fn a_person_is_asked_again_until_the_answer_holds() {
    let newcomer = Newcomer::new().await;
    let options = newcomer.discord.options();
    let mut terminal = newcomer.init_at_terminal(&newcomer.flags()[..2]);
    for (question, answer) in [
        ("Bot token", "MTE.nonsense.x".to_owned()),
        ("Bot token", options.token),
        ("Client secret", "nonsense".to_owned()),
        ("Client secret", options.client_secret),
        ("your node", "nonsense".to_owned()),
        ("your node", newcomer.scene.chain.ws_url()),
        ("SubscriptionModule", newcomer.scene.module.to_string()),
        ("Plans", "7".to_owned()),
        ("Plans", newcomer.scene.plan.to_string()),
        ("Discord server", newcomer.guild.to_string()),
        ("the role", newcomer.role.to_string()),
        ("members reach this service", newcomer.public_url.clone()),
    ] {
        terminal.answer(question, &answer).await;
    }
    let (ended, output) = terminal.end().await;
    for refusal in [
        "Discord refuses this bot token",
        "Discord refuses this client secret",
        "this is no URL",
        "there is no such plan",
    ] {
        assert!(output.contains(refusal), "{refusal}: {output}");
    }
    assert_eq!(ended.code(), Some(0), "{output}");
    newcomer.assert_secrets_kept();
    Config::load(&newcomer.path("config.toml")).unwrap();
}

#[tokio::test]
async fn at_a_terminal_a_server_that_is_given_may_be_without_the_bot_yet() {
    let newcomer = Newcomer::new().await;
    newcomer.discord.kick_bot(newcomer.guild).unwrap();
    let (ended, output) = newcomer.init_at_terminal(&newcomer.flags()).end().await;
    assert_eq!(ended.code(), Some(0), "{output}");
    for told in ["the bot is not in this server yet; invite it", "left to do"] {
        assert!(output.contains(told), "{output}");
    }
    Config::load(&newcomer.path("config.toml")).unwrap();
}

#[tokio::test]
async fn ctrl_c_ends_it_at_each_kind_of_question() {
    /// Ctrl-C, and Ctrl-V: the newline that is typed after it ends no line.
    const CTRL_C: &str = "\x03\x16";
    /// Nothing more is typed: a program that holds standard error until the answer comes never ends.
    const LONGEST: Duration = Duration::from_secs(60);
    let newcomer = Newcomer::new().await;
    let flags = newcomer.flags();
    for (given, question) in [(3, "Client secret"), (4, "your node")] {
        let mut terminal = newcomer.init_at_terminal(&flags[..given]);
        terminal.answer(question, CTRL_C).await;
        let ended = tokio::time::timeout(LONGEST, terminal.end()).await;
        let (ended, output) = ended.expect("it ends");
        assert!(!ended.success(), "{output}");
        newcomer.assert_untouched();
    }
}

#[tokio::test]
async fn without_a_configuration_run_says_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = program();
    run.arg("run")
        .arg("--config")
        .arg(folder.path().join("config.toml"));
    let refused = end(&mut run).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(refused.errors.lines().count(), 1, "{refused:?}");
    assert!(refused.errors.contains("amser-roles init"), "{refused:?}");
}
