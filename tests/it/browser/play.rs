//! Plays a scene of `tests/browser` in a browser of this machine.

use std::path::Path;
use std::process::Command;

use alloy::primitives::Address;
use amser_roles::domain::UserId;
use serde_json::{Value, json};
use url::Url;

use crate::support::relay;
use crate::verify::site::CHAIN_ID;

/// Which browser plays a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Chromium,
    Firefox,
    /// Unlike Chromium, it is looked at in one colour scheme only.
    DarkFirefox,
}

const FIREFOX: &[&str] = &["firefox-esr", "firefox"];

impl Kind {
    /// The browser found on this machine, as the scripts take it.
    pub(crate) fn find(self) -> Value {
        let (name, scheme, programs) = match self {
            Self::Chromium => (
                "chromium",
                None,
                [
                    "chromium",
                    "chromium-browser",
                    "google-chrome",
                    "google-chrome-stable",
                ]
                .as_slice(),
            ),
            Self::Firefox => ("firefox", Some("light"), FIREFOX),
            Self::DarkFirefox => ("firefox", Some("dark"), FIREFOX),
        };
        let folders = std::env::var("PATH").unwrap_or_default();
        let found = programs.iter().find_map(|program| {
            let mut folders = std::env::split_paths(&folders);
            folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
        });
        let found = found
            .unwrap_or_else(|| panic!("no {self:?} found: run `make browsers`, or install it"));
        json!({ "name": name, "path": found, "scheme": scheme })
    }
}

/// What a scene is played on.
pub(super) struct Scene<'a> {
    pub(super) browser: Kind,
    pub(super) scene: &'a str,
    pub(super) link: Url,
    pub(super) visitor: &'a str,
    pub(super) visitor_id: UserId,
    pub(super) discord: String,
    pub(super) rpc: String,
    pub(super) account: Address,
    /// WalletConnect's relay, where the page offers it.
    pub(super) relay: Option<Url>,
}

/// Plays a scene, and checks what holds for all: no error in the browser, and no request to anyone else.
pub(super) async fn play(scene: Scene<'_>) -> Value {
    let asked = json!({
        "browser": scene.browser.find(),
        "scene": scene.scene,
        "link": scene.link,
        "visitor": scene.visitor,
        "visitorId": scene.visitor_id.to_string(),
        "discord": scene.discord,
        "rpc": scene.rpc,
        "account": scene.account.to_string(),
        "chain": CHAIN_ID,
        "relay": scene.relay.as_ref().map(Url::as_str),
        "project": relay::PROJECT,
        "shots": std::env::var("AMSER_ROLES_TEST_SHOTS").ok(),
    });
    let relay = scene.relay.as_ref().map_or("", Url::as_str);
    // The browser itself reports a relay that cannot be reached, if it gets to it before the page is left.
    let about_relay = format!("WebSocket connection to '{relay}");
    let forgiven = (!relay.is_empty()).then_some(about_relay.as_str());
    let own = [scene.link.as_str(), &scene.discord, relay];
    run("verify.mjs", asked, &own, forgiven).await
}

/// Runs a script of `tests/browser` with what it asks for, and says what it saw. The browser may write no error, but for
/// lines with the words that are `forgiven`, and ask nobody but these.
pub(crate) async fn run(script: &str, asked: Value, own: &[&str], forgiven: Option<&str>) -> Value {
    let name = text_of(&asked["scene"]).to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut command = Command::new("node");
    command.arg(folder.join(script)).arg(asked.to_string());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {said}\n(is tests/browser installed? `make test` does it)"
    );
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = seen["problems"].as_array().unwrap().iter();
    let problems: Vec<_> = problems
        .filter(|problem| forgiven.is_none_or(|words| !text_of(problem).contains(words)))
        .collect();
    assert!(problems.is_empty(), "{name}: {problems:?}");
    for host in seen["hosts"].as_array().unwrap() {
        let is_own = |url: &&str| host == url.split('/').nth(2).unwrap_or_default();
        assert!(own.iter().any(is_own), "{name} asked {host}");
    }
    seen
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn text<'a>(seen: &'a Value, key: &str) -> &'a str {
    seen[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {seen}"))
}
