//! `init`: asks for what a configuration needs (or takes it from flags), checks each answer at once, writes the file, and says
//! how the bot is invited.

mod answers;
mod ask;
mod bot;
mod flags;
mod template;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret as _, SecretString};

pub use self::flags::Flags;

use self::answers::Answers;
use self::ask::Asking;
use crate::config::{CLIENT_SECRET, Config, PACKAGED_FILE, Secrets, TOKEN, secret_beside};
use crate::terminal::print_line;
use crate::text::counted;
use crate::{app, doctor};

/// What the package installs, which says nothing of anybody's set-up.
const PACKAGED: &str = include_str!("../packaging/config.toml");

/// Makes a configuration.
///
/// # Errors
/// One sentence: a file that is there already, an answer that does not hold, or, where nothing can be asked, a missing flag.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let file = std::path::absolute(&flags.config).context("the working folder is gone")?;
    let is_untouched = std::fs::read_to_string(&file).is_ok_and(|text| text == PACKAGED);
    let is_packaged = is_untouched || file == Path::new(PACKAGED_FILE);
    ensure!(
        is_untouched || !file.exists(),
        "{} is there already, and init overwrites nothing; name another file with --config",
        file.display()
    );
    let asking = Asking::of_terminal();
    if let Some(missing) = missing(&flags, &asking) {
        bail!("init needs {missing}: standard input is no terminal, so nothing can be asked");
    }
    let answers = answers::collect(&flags, &asking).await?;
    let store = match is_packaged {
        true => Config::parse(PACKAGED, "the packaged file", [])?.store_path,
        false => file.with_file_name("data/amser-roles.redb"),
    };
    let text = template::configuration(&answers, &store);
    // What is written is what is understood.
    let mut config = Config::parse(&text, "what init would write", [])?;
    keep(&secret_beside(&file, TOKEN), &answers.token)?;
    if let Some(secret) = &answers.client_secret {
        keep(&secret_beside(&file, CLIENT_SECRET), secret)?;
    }
    match is_untouched {
        true => rewrite(&file, &text)?,
        false => write_new(&file, &text)?,
    }
    print_line(format!("wrote {}", file.display()))?;
    print_line(format!("invite the bot: {}", answers.invite()))?;
    config.file = Some(file);
    let start = match is_packaged {
        true => "systemctl enable --now amser-roles",
        false => "amser-roles run",
    };
    examine(&config, &answers, start).await
}

/// Ends with what `doctor` says of it.
async fn examine(config: &Config, answers: &Answers, start: &str) -> anyhow::Result<()> {
    let secrets = Secrets {
        discord_token: Some(answers.token.clone()),
        discord_client_secret: answers.client_secret.clone(),
        ..Secrets::default()
    };
    let findings = app::doctor::doctor(config, &secrets).await?;
    doctor::print(&findings, false)?;
    let next = match doctor::failures(&findings) {
        0 => format!("all is well: start it with {start}"),
        failures => format!(
            "left to do: {}, then run amser-roles doctor again",
            counted(failures as u64, "thing")
        ),
    };
    Ok(print_line(next)?)
}

/// The flags that are missing where nothing can be asked.
fn missing(flags: &Flags, asking: &Asking) -> Option<String> {
    let given = [
        ("--token-file", flags.token_file.is_some()),
        ("--rpc-url", !flags.rpc_url.is_empty()),
        ("--module", flags.module.is_some()),
        ("--guild", flags.guild.is_some()),
        ("--role", flags.role.is_some()),
        ("--plan", !flags.plan.is_empty()),
        ("--public-url", flags.public_url.is_some()),
    ];
    let missing = given.iter().filter(|(_, is_given)| !is_given);
    let missing: Vec<_> = missing.map(|(flag, _)| *flag).collect();
    (!missing.is_empty() && !asking.can_ask()).then(|| missing.join(", "))
}

/// Keeps a secret in a file of its own, and says where. One that is there already and the same stays.
fn keep(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let text = secret.expose_secret();
    match std::fs::read_to_string(path) {
        Ok(kept) if kept.trim() == text => return Ok(()),
        Ok(_) => anyhow::bail!(
            "{} holds another secret: remove that file, if it is an old one, and run init again",
            path.display()
        ),
        Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        let mut private = DirBuilder::new();
        let made = private.recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_new(path, text)?;
    Ok(print_line(format!("wrote {}", path.display()))?)
}

/// Writes another text into a file, whose owner and mode stay: the service must be able to read it.
fn rewrite(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that only its owner may read, and that is not there yet.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.display();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {name}"))
}
