//! Secrets: from the environment, or from files that it names; never from config.toml, never printed.

use std::fs::{OpenOptions, read_to_string};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;

/// The variables. Each may also be given as a file, named by the variable with `_FILE`.
pub(super) const SECRETS: [&str; 5] = [TOKEN, CLIENT_SECRET, COOKIE_KEY, API_KEY, MONITOR_TOKEN];
const TOKEN: &str = "AMSER_ROLES_DISCORD_TOKEN";
const CLIENT_SECRET: &str = "AMSER_ROLES_DISCORD_CLIENT_SECRET";
const COOKIE_KEY: &str = "AMSER_ROLES_COOKIE_KEY";
const API_KEY: &str = "AMSER_ROLES_API_KEY";
const MONITOR_TOKEN: &str = "AMSER_ROLES_MONITOR_TOKEN";

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
            discord_token: secret(TOKEN)?,
            discord_client_secret: secret(CLIENT_SECRET)?,
            cookie_key: secret(COOKIE_KEY)?,
            api_key: secret(API_KEY)?,
            monitor_token: secret(MONITOR_TOKEN)?,
        })
    }

    /// The cookie key as bytes; one is made beside the store (mode 0600) when none is set.
    ///
    /// # Errors
    /// When it is not 128 hexadecimal characters, or the file cannot be read or made.
    pub fn cookie_key(&self, store_path: &Path) -> Result<[u8; 64], ConfigError> {
        let (text, source) = match &self.cookie_key {
            Some(key) => (key.clone(), COOKIE_KEY.to_owned()),
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
    match std::fs::metadata(path) {
        Ok(file) => {
            if file.permissions().mode() & 0o077 != 0 {
                let name = path.display();
                tracing::warn!("{name} can be read by other users; run chmod 600 {name}");
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make_key(path)?,
        Err(error) => return Err(error),
    }
    read_to_string(path).map(SecretString::from)
}

/// Makes a key, which appears as a whole or not at all: a crash in between must not leave half of one.
fn make_key(path: &Path) -> std::io::Result<()> {
    let mut key = [0; 64];
    rand::rng().fill_bytes(&mut key);
    let beside = path.with_extension(format!("cookie-key-{:016x}", rand::rng().next_u64()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let made = options.open(&beside).and_then(|mut file| {
        file.write_all(hex::encode(key).as_bytes())?;
        file.sync_all()?;
        std::fs::hard_link(&beside, path)
    });
    // Of no more use; what stays behind is no key.
    let _left_behind = std::fs::remove_file(&beside);
    match made {
        // Another process was first; its key is the one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The files that hold secrets.
pub fn secret_files() -> Vec<PathBuf> {
    let named = |variable: &str| set(&format!("{variable}_FILE")).ok().flatten();
    SECRETS
        .into_iter()
        .filter_map(named)
        .map(PathBuf::from)
        .collect()
}

/// Where each secret comes from, never what it is.
pub(super) fn sources() -> impl Iterator<Item = (&'static str, String)> {
    SECRETS.into_iter().map(|variable| {
        let file = format!("{variable}_FILE");
        let source = match (set(variable), set(&file)) {
            (Ok(None), Ok(None)) => "not set".to_owned(),
            (Ok(None), Ok(Some(path))) => format!("in the file {path}, which {file} names"),
            (Ok(None), Err(error)) => error.to_string(),
            _ => "set".to_owned(),
        };
        (variable, source)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_key_is_made_once_and_appears_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.redb");
        let key = || Secrets::default().cookie_key(&store).unwrap();
        assert_eq!(key(), key());
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = folder.path().join("store.cookie-key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "").unwrap();
        let damaged = Secrets::default().cookie_key(&store).unwrap_err();
        assert!(damaged.to_string().contains("128 hexadecimal"), "{damaged}");
    }
}
