//! What is worth knowing about a valid configuration before it is used. Needs no network.

use std::path::Path;

use super::{Config, Secrets};
use crate::chain::LOCAL_CHAIN;
use crate::loopback::is_loopback;

impl Config {
    /// One sentence each.
    pub fn notes(&self) -> Vec<String> {
        let secrets = Secrets::load(self.file.as_deref());
        let mut notes = match &secrets {
            Ok(_) => Vec::new(),
            Err(error) => vec![error.to_string()],
        };
        if let Ok(secrets) = &secrets
            && secrets.cookie_key.is_some()
            && let Err(error) = secrets.cookie_key(&self.store_path)
        {
            notes.push(error.to_string());
        }
        let missing = |secret: fn(&Secrets) -> bool| secrets.as_ref().is_ok_and(secret);
        if missing(|secrets| secrets.discord_token.is_none()) {
            notes.push(
                "AMSER_ROLES_DISCORD_TOKEN is not set here: `run` and `plan` need it".to_owned(),
            );
        }
        if self.web.signs_in && missing(|secrets| secrets.discord_client_secret.is_none()) {
            notes.push("AMSER_ROLES_DISCORD_CLIENT_SECRET is not set here: `run` needs it, unless web.sign_in = \"none\"".to_owned());
        }
        if !self.web.signs_in {
            notes.push(
                "web.sign_in = \"none\": nobody proves who they are, and there is no dashboard"
                    .to_owned(),
            );
        }
        if is_loopback(&self.web.public_url) && !is_loopback(&self.discord.api_url) {
            notes.push(format!(
                "web.public_url is {}, which members' browsers cannot reach: set it to the https address under which the reverse proxy serves this",
                self.web.public_url
            ));
        }
        if self.store_path.is_relative() {
            let here = self.absolute_store_path();
            notes.push(format!(
                "store.path is relative to the folder in which the program is started: from here it is {}",
                here.display()
            ));
        }
        if self.chain.confirmations == 0 && self.chain.chain_id != LOCAL_CHAIN {
            notes.push("chain.confirmations = 0: a payment counts before anything is built on its block, so a reorganisation takes roles back".to_owned());
        }
        notes.extend(self.repeats.iter().cloned());
        notes
    }

    /// Where the store is for a program that is started in this folder.
    pub fn absolute_store_path(&self) -> std::path::PathBuf {
        let here = std::env::current_dir();
        here.as_deref()
            .unwrap_or(Path::new(""))
            .join(&self.store_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_store_too_few_confirmations_and_an_address_of_this_machine_are_noted() {
        let text = |store: &str, chain_id: u64, discord: &str| {
            format!(
                "[chain]\nrpc_urls = [\"ws://127.0.0.1:1\"]\nchain_id = {chain_id}\nconfirmations = 0\n[discord]\napplication_id = \"1\"\napi_url = {discord:?}\n[store]\npath = {store:?}\n"
            )
        };
        let notes = |text: &str| Config::parse(text, "config.toml", []).unwrap().notes();
        let about = |notes: &[String], key: &str| notes.iter().any(|note| note.contains(key));
        let keys = ["store.path", "chain.confirmations", "web.public_url"];
        let told = notes(&text("data/x.redb", 8453, "https://discord.com"));
        assert!(keys.iter().all(|key| about(&told, key)), "{told:?}");
        let told = notes(&text("/data/x.redb", LOCAL_CHAIN, "http://127.0.0.1:9"));
        assert!(!keys.iter().any(|key| about(&told, key)), "{told:?}");
    }
}
