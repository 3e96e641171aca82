//! The text of the file: this repository's own config.toml, which explains every key, with the answers in it. Pure.

use std::path::Path;

use super::answers::Answers;

/// Explains every key.
const EXPLAINED: &str = include_str!("../../config.toml");

/// The configuration; `store` is where the store will be.
pub(super) fn configuration(answers: &Answers, store: &Path) -> String {
    let urls: Vec<_> = answers.rpc_urls.iter().map(ToString::to_string).collect();
    let is_https = answers.public_url.scheme() == "https";
    let public = answers.public_url.as_str().trim_end_matches('/');
    let discord = answers.discord_api_url.as_str().trim_end_matches('/');
    let listen = match answers.public_url.port().filter(|_| !is_https) {
        // Without a proxy in front, both are one address.
        Some(port) => format!("127.0.0.1:{port}"),
        None => "127.0.0.1:8787".to_owned(),
    };
    let mut text = EXPLAINED.to_owned();
    for (key, value) in [
        ("rpc_urls", format!("{urls:?}")),
        ("chain_id", answers.chain_id.to_string()),
        ("application_id", format!("\"{}\"", answers.application_id)),
        ("public_url", format!("{public:?}")),
        ("listen", format!("{listen:?}")),
        // An https address needs a proxy in front, which names the client.
        ("behind_proxy", is_https.to_string()),
        ("path", format!("{:?}", store.display().to_string())),
    ] {
        text = set(&text, key, &value);
    }
    if discord != "https://discord.com" {
        let (before, after) = text.split_once("[discord]").unwrap_or((&text, ""));
        text = format!(
            "{before}[discord]{}",
            set(after, "api_url", &format!("{discord:?}"))
        );
    }
    let plans: Vec<_> = answers.plans.iter().map(ToString::to_string).collect();
    let gate = format!(
        "\n[[gates]]\nguild_id = \"{}\"\nmodule = \"{}\"\nplan_ids = [{}]\nrole_ids = [\"{}\"]\n",
        answers.guild,
        answers.module,
        plans.join(", "),
        answers.role
    );
    text + &gate
}

/// The text with another value of the first key of this name; the comment behind it stays.
fn set(text: &str, key: &str, value: &str) -> String {
    let mut is_set = false;
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let is_it = !is_set && line.split_once(" = ").is_some_and(|(name, _)| name == key);
        if !is_it {
            lines.push(line.to_owned());
            continue;
        }
        is_set = true;
        let comment = line.find(" # ").map_or("", |start| &line[start..]);
        lines.push(format!("{key} = {value}{comment}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::config::Config;
    use crate::domain::{GuildId, ModuleAddress, PlanId, RoleId};

    fn answers(public_url: &str) -> Answers {
        Answers {
            token: "secret-token".into(),
            client_secret: Some("secret-too".into()),
            application_id: 77.try_into().unwrap(),
            discord_api_url: "https://discord.com".parse().unwrap(),
            rpc_urls: vec!["wss://node.example/key".parse().unwrap()],
            chain_id: 8_453,
            module: ModuleAddress(Address::repeat_byte(0xaa)),
            plans: vec![PlanId::from(1), PlanId::from(3)],
            guild: GuildId(5),
            role: RoleId(6),
            public_url: public_url.parse().unwrap(),
        }
    }

    #[test]
    fn what_is_written_is_understood_as_it_was_answered_and_explains_itself() {
        let text = configuration(
            &answers("https://roles.example"),
            Path::new("/srv/roles/store.redb"),
        );
        let config = Config::parse(&text, "test", []).unwrap();
        assert_eq!(config.chain.rpc_urls[0].as_str(), "wss://node.example/key");
        assert_eq!(config.chain.chain_id, 8_453);
        assert_eq!(config.discord.application_id.get(), 77);
        assert_eq!(config.discord.api_url.as_str(), "https://discord.com/");
        assert_eq!(config.web.public_url.as_str(), "https://roles.example/");
        assert_eq!(config.web.proxies, 1);
        assert_eq!(config.store_path, Path::new("/srv/roles/store.redb"));
        let [gate] = config.gates.as_slice() else {
            panic!("{:?}", config.gates);
        };
        assert_eq!(
            (gate.guild, gate.roles.len(), gate.plans.len()),
            (GuildId(5), 1, 2)
        );
        assert!(text.contains("# blocks on top of an event's block"));
        assert!(
            !text.contains("secret-to"),
            "secrets stand in no configuration"
        );
    }

    #[test]
    fn on_this_machine_no_proxy_is_expected_and_another_discord_is_named() {
        let mut answers = answers("http://127.0.0.1:9000");
        answers.discord_api_url = "http://127.0.0.1:4000".parse().unwrap();
        let text = configuration(&answers, Path::new("/x/store.redb"));
        let config = Config::parse(&text, "test", []).unwrap();
        assert_eq!((config.web.proxies, config.web.listen.port()), (0, 9_000));
        assert_eq!(config.discord.api_url.as_str(), "http://127.0.0.1:4000/");
        assert_eq!(config.amser.api_url.as_str(), "https://api.amser.io/");
    }
}
