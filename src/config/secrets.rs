//! Secrets: from the environment, or from files that it names; never from config.toml, never printed.

use std::fs::{OpenOptions, read_to_string};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;

/// The secrets that are set.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The bot's token.
    pub discord_token: Option<SecretString>,
    /// For members' sign-in to Discord.
    pub discord_client_secret: Option<SecretString>,
    /// 128 hexadecimal characters.
    pub cookie_key: Option<SecretString>,
    /// For amser's API.
    pub api_key: Option<SecretString>,
    /// Lets monitors ask from elsewhere.
    pub monitor_token: Option<SecretString>,
}

impl Secrets {
    /// Reads `AMSER_ROLES_…` and `AMSER_ROLES_…_FILE`.
    ///
    /// # Errors
    /// When a named file cannot be read; the sentence names the variable, never a value.
    pub fn load() -> Result<Self, ConfigError> {
        Ok(Self {
            discord_token: secret("AMSER_ROLES_DISCORD_TOKEN")?,
            discord_client_secret: secret("AMSER_ROLES_DISCORD_CLIENT_SECRET")?,
            cookie_key: secret("AMSER_ROLES_COOKIE_KEY")?,
            api_key: secret("AMSER_ROLES_API_KEY")?,
            monitor_token: secret("AMSER_ROLES_MONITOR_TOKEN")?,
        })
    }

    /// The cookie key as bytes; one is made beside the store (mode 0600) when none is set.
    ///
    /// # Errors
    /// When it is not 128 hexadecimal characters, or the file cannot be read or made.
    pub fn cookie_key(&self, store_path: &Path) -> Result<[u8; 64], ConfigError> {
        let (text, source) = match &self.cookie_key {
            Some(key) => (key.clone(), "AMSER_ROLES_COOKIE_KEY".to_owned()),
            None => {
                let path = store_path.with_extension("cookie-key");
                let name = path.display().to_string();
                let key = kept_key(&path).map_err(|error| {
                    ConfigError(format!("cannot keep a cookie key in {name}: {error}"))
                })?;
                (key, name)
            }
        };
        let mut key = [0; 64];
        hex::decode_to_slice(text.expose_secret().trim(), &mut key)
            .map_err(|_| ConfigError(format!("{source}: must be 128 hexadecimal characters")))?;
        Ok(key)
    }
}

/// The key in the file, which is made when it is not there.
fn kept_key(path: &Path) -> std::io::Result<SecretString> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut key = [0; 64];
            rand::rng().fill_bytes(&mut key);
            let text = hex::encode(key);
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            Ok(text.into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read_to_string(path).map(SecretString::from)
        }
        Err(error) => Err(error),
    }
}

fn secret(variable: &str) -> Result<Option<SecretString>, ConfigError> {
    if let Some(value) = set(variable)? {
        return Ok(Some(value.into()));
    }
    let in_file = format!("{variable}_FILE");
    let Some(path) = set(&in_file)? else {
        return Ok(None);
    };
    let text = read_to_string(&path)
        .map_err(|error| ConfigError(format!("{in_file}: cannot read {path}: {error}")))?;
    match text.trim() {
        "" => Err(ConfigError(format!("{in_file}: {path} is empty"))),
        text => Ok(Some(text.to_owned().into())),
    }
}

/// A variable's value; an empty one is not set.
fn set(variable: &str) -> Result<Option<String>, ConfigError> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let value = value.into_string();
    value
        .map(Some)
        .map_err(|_| ConfigError(format!("{variable}: is not UTF-8")))
}
