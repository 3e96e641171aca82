//! Secrets: from the environment, from files that it names, or from a folder with a file for each; never from config.toml, never
//! printed.

use std::fs::read_to_string;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::ConfigError;
use crate::store;

/// The variables. Each may also be given as a file: one that the variable with `_FILE` names, or else one in the folder of
/// secrets ([`in_folder`]).
pub(super) const SECRETS: [&str; 5] = [TOKEN, CLIENT_SECRET, COOKIE_KEY, API_KEY, MONITOR_TOKEN];
/// The bot's token.
pub const TOKEN: &str = "AMSER_ROLES_DISCORD_TOKEN";
/// The application's client secret.
pub const CLIENT_SECRET: &str = "AMSER_ROLES_DISCORD_CLIENT_SECRET";
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
    /// Reads `AMSER_ROLES_…`, `AMSER_ROLES_…_FILE`, and the folder of secrets, which is `secrets` beside `config_file` unless
    /// systemd hands one over.
    ///
    /// # Errors
    /// When a file that is named or there cannot be read; the sentence names the variable, never a value.
    pub fn load(config_file: Option<&Path>) -> Result<Self, ConfigError> {
        let secret = |variable| secret(variable, config_file);
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
    /// [`ConfigError`] when it is not 128 hexadecimal characters; another error, since it may pass, when the file cannot be read or
    /// made.
    pub fn cookie_key(&self, store_path: &Path) -> anyhow::Result<[u8; 64]> {
        let (text, source) = match &self.cookie_key {
            Some(key) => (key.clone(), COOKIE_KEY.to_owned()),
            None => {
                let path = store_path.with_extension("cookie-key");
                let name = path.display().to_string();
                let key = kept_key(&path).map_err(|error| {
                    anyhow!(
                        "cannot keep a cookie key in {name}, and {COOKIE_KEY} is not set: {error:#}"
                    )
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

/// The key in the file, which is made when it is not there; only the process that has the store open makes one.
fn kept_key(path: &Path) -> anyhow::Result<SecretString> {
    match std::fs::metadata(path) {
        Ok(file) => {
            if file.permissions().mode() & 0o077 != 0 {
                let name = path.display();
                tracing::warn!("{name} can be read by other users; run chmod 600 {name}");
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut key = [0; 64];
            rand::rng().fill_bytes(&mut key);
            // As a whole or not at all: a crash in between must not leave half of one.
            store::write_whole(path, |out| Ok(out.write_all(hex::encode(key).as_bytes())?))?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(read_to_string(path)?.into())
}

/// The file of a secret beside the configuration (`secrets/discord_token`), whether it is there or not.
pub fn secret_beside(config_file: &Path, variable: &str) -> PathBuf {
    let name = variable.trim_start_matches("AMSER_ROLES_");
    config_file
        .with_file_name("secrets")
        .join(name.to_ascii_lowercase())
}

/// The file of a secret in the folder of secrets, whether it is there or not: among what systemd hands over
/// (`LoadCredential=amser_roles:FOLDER`), else beside the configuration.
fn in_folder(variable: &str, config_file: Option<&Path>) -> Option<PathBuf> {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(folder) => Some(Path::new(&folder).join(variable.to_ascii_lowercase())),
        None => config_file.map(|file| secret_beside(file, variable)),
    }
}

/// The files that hold secrets.
pub fn secret_files(config_file: Option<&Path>) -> Vec<PathBuf> {
    let of = |variable: &str| match set(&format!("{variable}_FILE")) {
        Ok(Some(named)) => Some(PathBuf::from(named)),
        _ => in_folder(variable, config_file).filter(|path| path.exists()),
    };
    SECRETS.into_iter().filter_map(of).collect()
}

/// Where each secret comes from, never what it is.
pub(super) fn sources(config_file: &Path) -> impl Iterator<Item = (&'static str, String)> {
    SECRETS.into_iter().map(|variable| {
        let file = format!("{variable}_FILE");
        let source = match (set(variable), set(&file)) {
            (Ok(None), Ok(None)) => match in_folder(variable, Some(config_file)) {
                Some(path) if path.try_exists().unwrap_or(true) => {
                    format!("in the file {}", path.display())
                }
                _ => "not set".to_owned(),
            },
            (Ok(None), Ok(Some(_))) => format!("in the file that {file} names"),
            (Ok(None), Err(error)) => error.to_string(),
            _ => "set".to_owned(),
        };
        (variable, source)
    })
}

fn secret(variable: &str, config_file: Option<&Path>) -> Result<Option<SecretString>, ConfigError> {
    if let Some(value) = set(variable)? {
        return Ok(Some(value.into()));
    }
    let by = format!("{variable}_FILE");
    if let Some(named) = set(&by)? {
        // Its name is not repeated: the secret itself may stand in its place.
        return secret_in(Path::new(&named), "the file that it names", &by).map(Some);
    }
    match in_folder(variable, config_file) {
        // One that is not there is not set; of one that cannot be looked at, the reading says why.
        Some(path) if path.try_exists().unwrap_or(true) => {
            secret_in(&path, &path.display().to_string(), variable).map(Some)
        }
        _ => Ok(None),
    }
}

/// The secret in a file; an error calls the file `name`, and names the variable `by`.
fn secret_in(path: &Path, name: &str, by: &str) -> Result<SecretString, ConfigError> {
    let text = read_to_string(path)
        .map_err(|error| ConfigError(format!("{by}: cannot read {name}: {error}")))?;
    match text.trim() {
        "" => Err(ConfigError(format!("{by}: {name} is empty"))),
        text => Ok(text.to_owned().into()),
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
        assert!(damaged.is::<ConfigError>(), "{damaged}");
    }

    #[test]
    fn a_cookie_key_that_cannot_be_kept_is_no_mistake_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands in the place of the folder.
        std::fs::write(folder.path().join("data"), "").unwrap();
        let store = folder.path().join("data/store.redb");
        let refused = Secrets::default().cookie_key(&store).unwrap_err();
        assert!(!refused.is::<ConfigError>(), "{refused}");
        let told = refused.to_string();
        for part in ["data/store.cookie-key", COOKIE_KEY, "Not a directory"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_looked_at_is_not_taken_for_one_that_is_not_set() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        assert!(secret(TOKEN, Some(&config)).unwrap().is_none());
        // As where its folder is another user's.
        std::fs::write(folder.path().join("secrets"), "").unwrap();
        let refused = secret(TOKEN, Some(&config)).unwrap_err().to_string();
        assert!(refused.contains("secrets/discord_token"), "{refused}");
    }
}
