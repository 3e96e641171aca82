//! `init`: asks for what a configuration needs (or takes it from flags), checks each answer at once, writes the file, and says
//! how the bot is invited.

mod answers;
mod ask;
mod flags;
mod template;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret as _, SecretString};

pub use self::flags::Flags;

use self::answers::Answers;
use self::ask::Asking;
use crate::config::{Config, Secrets};
use crate::terminal::print_line;
use crate::{app, doctor};

/// Makes a configuration.
///
/// # Errors
/// One sentence: a file that is there already, an answer that does not hold, or, where nothing can be asked, a missing flag.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let file = std::path::absolute(&flags.config).context("the working folder is gone")?;
    let environment = file.with_extension("env");
    for path in [&file, &environment] {
        ensure!(
            !path.exists(),
            "{} is there already, and init overwrites nothing; name another file with --config",
            path.display()
        );
    }
    let asking = Asking::of_terminal();
    if let Some(missing) = missing(&flags, &asking) {
        bail!("init needs {missing}: standard input is no terminal, so nothing can be asked");
    }
    let answers = answers::collect(&flags, &asking).await?;
    let text = template::configuration(&answers, &file);
    // What is written is what is understood.
    let mut config = Config::parse(&text, "what init would write", [])?;
    let token_file = match &answers.token_file {
        Some(path) => path.clone(),
        None => beside(&file, "discord-token", &answers.token)?,
    };
    let secret_file = match (&answers.secret_file, &answers.client_secret) {
        (None, Some(secret)) => Some(beside(&file, "discord-client-secret", secret)?),
        (known, _) => known.clone(),
    };
    write_new(&file, &text)?;
    let variables = template::environment(&token_file, secret_file.as_deref());
    write_new(&environment, &variables)?;
    print_line(format!("wrote {}", file.display()))?;
    print_line(format!(
        "wrote {}: load it where the service starts (systemd: EnvironmentFile=; a shell: set -a; . {0}; set +a)",
        environment.display()
    ))?;
    print_line(format!("invite the bot: {}", answers.invite()))?;
    config.file = Some(file);
    examine(&config, &answers).await
}

/// Ends with what `doctor` says of it.
async fn examine(config: &Config, answers: &Answers) -> anyhow::Result<()> {
    let secrets = Secrets {
        discord_token: Some(answers.token.clone()),
        discord_client_secret: answers.client_secret.clone(),
        ..Secrets::default()
    };
    let findings = app::doctor::doctor(config, &secrets).await?;
    doctor::print(&findings, false)?;
    let next = match doctor::failures(&findings) {
        0 => "all is well: start it with amser-roles run".to_owned(),
        failures => format!("{failures} things are left to do; then run amser-roles doctor again"),
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

/// Keeps a secret that was typed in a file of its own, and says where.
fn beside(file: &Path, name: &str, secret: &SecretString) -> anyhow::Result<PathBuf> {
    let path = file.with_file_name(name);
    write_new(&path, secret.expose_secret())?;
    Ok(path)
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
