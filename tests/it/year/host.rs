//! Whoever runs the program for the club: starts it, stops it, looks after its store, and looks at what it takes up.

use std::path::Path;
use std::time::Duration;

use amser_roles::domain::{Link, Timestamp, UserId};
use amser_roles::sandbox::discord::{LocalDiscord, Route};
use amser_roles::store::{Store, restore};
use serde_json::Value;
use tokio::process::Child;

use super::club::{Club, DayEnd};
use super::figures::Measured;
use super::old_store;
use crate::support::installation::{Installation, PROGRAM, gate, log, signal};
use crate::support::stage::Setting;

/// A program that was killed with its lock held, or two providers that come back one after the other: nothing takes longer.
const REST: Duration = Duration::from_secs(120);

/// What is done while the program does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    /// It is stopped, and a program starts over the same store.
    Upgrade,
    /// It is killed.
    Kill,
    /// A backup takes the store's place, as on another machine.
    Move,
    /// `rebuild` folds all that is derived again.
    Rebuild,
}

pub(super) struct Host {
    installation: Installation,
    /// Whether a program of an older version is installed.
    is_older: bool,
    status: String,
    service: Option<Child>,
    /// How many requests Discord had got when the last day ended.
    requests: u64,
}

impl Host {
    /// With the program of this build, or with an older one at first.
    pub(super) fn new(club: &Club, setting: &Setting, older: Option<&Path>) -> Self {
        let gate = gate(club.guild, club.module, club.plan, club.role);
        let mut installation = Installation::new(setting, &club.chain, &club.discord, &gate);
        if let Some(older) = older {
            installation.install(older);
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let listen = format!("listen = \"{address}\"");
        installation.reconfigure("listen = \"127.0.0.1:0\"", &listen);
        Self {
            installation,
            is_older: older.is_some(),
            status: format!("http://{address}/api/status"),
            service: None,
            requests: 0,
        }
    }

    /// The store of the first version of the program, in which these members have linked their wallets.
    pub(super) fn write_old_store(&self, links: &[Link]) {
        old_store::write(&self.installation.store_path(), links);
    }

    /// Whether the program is of an older version than the tests, which then must leave its store alone.
    pub(super) fn is_older(&self) -> bool {
        self.is_older
    }

    /// Installs the program of this build.
    pub(super) fn upgrade(&mut self) {
        self.installation.install(Path::new(PROGRAM));
        self.is_older = false;
    }

    pub(super) fn start(&mut self) {
        self.service = Some(self.installation.start());
    }

    /// Stops the program, or kills it.
    pub(super) async fn stop(&mut self, upkeep: Upkeep) {
        let mut service = self.service.take().unwrap();
        let ended_before = service.try_wait().unwrap();
        let told = || log(&self.installation.log_path());
        assert!(ended_before.is_none(), "it ended by itself: {}", told());
        if upkeep == Upkeep::Kill {
            // SIGKILL.
            return service.kill().await.unwrap();
        }
        signal(&service, "TERM").await;
        let ended = tokio::time::timeout(REST, service.wait()).await;
        assert!(ended.expect("it stops").unwrap().success(), "{}", told());
    }

    /// Looks after the store of the program that does not run; these members have linked their wallets meanwhile.
    pub(super) async fn maintain(&self, upkeep: Upkeep, links: &[Link]) {
        match upkeep {
            Upkeep::Upgrade | Upkeep::Kill => {}
            Upkeep::Move => {
                self.backup().await;
                let file = self.installation.beside("club.backup");
                self.command("restore", &[&file, "--replace"]).await;
            }
            Upkeep::Rebuild => self.command("rebuild", &[]).await,
        }
        if !links.is_empty() {
            let store = Store::open(&self.installation.store_path()).unwrap();
            store.link_all(links, 5).unwrap();
        }
    }

    async fn backup(&self) {
        let file = self.installation.beside("club.backup");
        self.command("backup", &[&file]).await;
    }

    async fn command(&self, name: &str, more: &[&str]) {
        let ended = self.installation.run(name, more).await;
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    }

    /// Waits until the day's last block is stored, nothing is under way, and exactly those who deserve the role hold it.
    /// Nobody who deserved it the whole day may have lost it for a moment.
    pub(super) async fn until_at_rest(&mut self, club: &Club, end: &DayEnd, context: &str) {
        let (guild, role) = (club.guild, club.role);
        let holding = |discord: &LocalDiscord| discord.members_with(guild, role);
        let client = crate::support::http::client();
        let resting = async {
            loop {
                let is_done = match self.status(&client).await {
                    Some(status) => {
                        status["chain"]["cursor"].as_u64() >= Some(end.block)
                            && status["discord"]["pending_changes"] == 0
                    }
                    None => false,
                };
                if is_done && holding(&club.discord) == end.deserving {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(REST, resting).await.is_err() {
            let (status, holding) = (self.status(&client).await, holding(&club.discord));
            panic!(
                "{context}: {:?} lack the role, {:?} hold it in vain; {status:?}\n{}",
                &end.deserving - &holding,
                &holding - &end.deserving,
                log(&self.installation.log_path())
            );
        }
        let taken = club.discord.requests().into_iter().filter(|request| {
            request.number > self.requests && request.route == Some(Route::RemoveMemberRole)
        });
        for request in taken {
            let names = |user: &&UserId| request.path.contains(&format!("/members/{user}/"));
            let steady = end.steady.iter().find(names);
            assert_eq!(steady, None, "{context}: lost the role and deserved it");
        }
        let last = club.discord.requests().pop();
        self.requests = last.map_or(self.requests, |request| request.number);
    }

    /// What `/api/status` answers; `None` where nobody answers yet.
    async fn status(&self, client: &reqwest::Client) -> Option<Value> {
        let answer = client.get(&self.status).send().await.ok()?;
        answer.json().await.ok()
    }

    /// What the running program takes up. Makes a backup for that, and reads it.
    pub(super) async fn measure(&self) -> Measured {
        self.backup().await;
        let process = self.service.as_ref().unwrap().id().unwrap();
        let store = std::fs::metadata(self.installation.store_path());
        Measured {
            rows: rows(Path::new(&self.installation.beside("club.backup"))) / 1_024,
            store: store.unwrap().len() / 1_024,
            memory: anonymous_memory(process),
        }
    }
}

/// Bytes of all rows in a backup.
fn rows(backup: &Path) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.redb");
    restore(backup, &path, 31_337, false, Timestamp(1)).unwrap();
    let mut bytes = Vec::new();
    let store = Store::open(&path).unwrap();
    store.write_backup(Timestamp(1), &mut bytes).unwrap();
    bytes.len() as u64
}

/// KiB of a process's memory that are no file's pages: what it has allocated.
fn anonymous_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}
