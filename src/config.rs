//! config.toml and the environment, validated once into [`Config`]. The only reader of the environment.

mod dump;
mod environment;
mod notes;
mod raw;
mod repeats;
mod secrets;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use url::Url;

pub use dump::dump;
pub use secrets::{CLIENT_SECRET, Secrets, TOKEN, secret_beside, secret_files};

use raw::Lines;

use crate::chain::ChainConfig;
use crate::domain::{Gate, GuildId, MembersIntent, Policy, ServerSettings};
use crate::web::WalletConnect;

/// Everything the program needs to know, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[chain]`.
    pub chain: ChainConfig,
    /// `[amser]`.
    pub amser: Amser,
    /// `[discord]`.
    pub discord: Discord,
    /// `[web]`.
    pub web: Web,
    /// `[store] path`.
    pub store_path: PathBuf,
    /// For how many months role changes stay in the journal; `None`: for ever.
    pub journal_months: Option<NonZeroU32>,
    /// `[policy]`.
    pub policy: Policy,
    /// `[[gates]]`.
    pub gates: Vec<Gate>,
    /// `[[servers]]`.
    pub servers: BTreeMap<GuildId, ServerSettings>,
    /// The file that it was read from, to be read again at a SIGHUP.
    pub file: Option<PathBuf>,
    /// Entries that stand twice in a list, one sentence each.
    repeats: Vec<String>,
}

/// amser's API and pages.
#[derive(Clone, Debug)]
pub struct Amser {
    /// Base of the API.
    pub api_url: Url,
    /// Path template of the access check.
    pub auth_check: String,
    /// JSON pointer to the boolean in its answer.
    pub active_pointer: String,
    /// The factory, where a merchant's module can be looked up.
    pub factory: Option<alloy::primitives::Address>,
    /// Template of the checkout page with `{module}` and `{plan_id}`.
    pub checkout_url: String,
}

/// The bot.
#[derive(Clone, Debug)]
pub struct Discord {
    /// The application's id.
    pub application_id: NonZeroU64,
    /// `https://discord.com`, or the local Discord.
    pub api_url: Url,
    /// `Used` for "auto": as long as Discord does not refuse it.
    pub members_intent: MembersIntent,
}

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct Web {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How members reach it; an origin without a path.
    pub public_url: Url,
    /// Requests per address and minute.
    pub rate_limit_per_minute: u32,
    /// How many reverse proxies stand in front, each of which adds to `X-Forwarded-For` by whom it was asked.
    pub proxies: usize,
    /// From where they ask: nobody else's `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Wallets that one member may link.
    pub links_per_member: usize,
    /// Whether visitors prove on Discord who they are (`sign_in = "discord"`).
    pub signs_in: bool,
    /// A listener of their own for `/metrics` and `/api/status`.
    pub monitor_listen: Option<SocketAddr>,
    /// How whoever runs this service is reached.
    pub contact: Option<String>,
    /// Their privacy policy.
    pub privacy_url: Option<Url>,
    /// WalletConnect, where the merchant has a project there.
    pub wallet_connect: Option<WalletConnect>,
}

/// What is wrong with a configuration: one sentence that names the file, the line and the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(String);

/// Where the installed package has its configuration.
pub const PACKAGED_FILE: &str = "/etc/amser-roles/config.toml";

/// `config.toml` in the working folder; where there is none, that of the package if it is installed.
pub fn default_file() -> PathBuf {
    let (here, packaged) = (Path::new("config.toml"), Path::new(PACKAGED_FILE));
    let is_installed = packaged.parent().is_some_and(Path::exists);
    let file = match is_installed && !here.exists() {
        true => packaged,
        false => here,
    };
    file.to_owned()
}

impl Config {
    /// Reads `path` and the environment's overrides.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key and the line (or the environment variable).
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                return ConfigError(format!(
                    "there is no {name}: run `amser-roles init` to make it, or name another file with --config"
                ));
            }
            ConfigError(format!(
                "cannot read {name}: {error}; name another file with --config"
            ))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = Self::parse_in(folder, &text, &name.to_string(), environment::variables()?)?;
        Ok(Self {
            file: Some(path.to_owned()),
            ..config
        })
    }

    /// Checks `text`, overridden by the `AMSER_ROLES__…` among `variables`. Relative paths begin at the working folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        name: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_in(Path::new(""), text, name, variables)
    }

    fn parse_in(
        folder: &Path,
        text: &str,
        name: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let in_file = raw::parse(text, name, Lines::OfText);
        let overrides = environment::overrides(variables)?;
        if overrides.is_empty() {
            let config = raw::check(in_file?, text, name, Lines::OfText, folder)?;
            let repeats = repeats::repeats(text, name, &dump::lines(text));
            return Ok(Self { repeats, ..config });
        }
        let merged = match environment::merge(text, &overrides) {
            Ok(merged) => merged,
            Err(error) => return Err(in_file.err().unwrap_or(error)),
        };
        let of_keys = dump::lines_of_file(text, &overrides);
        let with_variables = format!("{name} with {}", environment::names(&overrides));
        let lines = Lines::OfFile {
            of_keys: &of_keys,
            merged: &with_variables,
        };
        let checked = raw::parse(&merged, name, lines);
        let checked = checked.and_then(|raw| raw::check(raw, &merged, name, lines, folder));
        let checked = checked.map(|config| Self {
            repeats: repeats::repeats(&merged, name, &of_keys),
            ..config
        });
        checked.map_err(|error| {
            let said = |error: &ConfigError| {
                let (_, said) = error.0.strip_prefix(name)?.split_once(": ")?;
                Some(said.to_owned())
            };
            match in_file {
                // The same mistake in the file alone has its own line.
                Err(of_file) if said(&of_file) == said(&error) => of_file,
                _ => error,
            }
        })
    }
}

#[cfg(test)]
mod tests;
