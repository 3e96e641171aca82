//! What keeps an installation going for years, by the real program: backups and restores, moving, rebuilding, and commands
//! that say when nothing can work.

mod backup;
mod full_disk;
mod kills;
pub(crate) mod links;
mod rebuild;
mod trouble;

use alloy::primitives::Address;
use amser_roles::domain::{GuildId, Link, RoleId, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{LocalDiscord, Route};
use amser_roles::store::Store;
use tokio::process::Child;

use crate::support::installation::{Installation, gate, log, signal};
use crate::support::scene::{Scene, patient};
use crate::support::stage::{DEADLINE, Setting, new_guild, wait};

/// A merchant's club: two paying members who linked, and an installation that was not started yet.
struct Club {
    scene: Scene,
    discord: LocalDiscord,
    guild: GuildId,
    role: RoleId,
    members: Vec<UserId>,
    installation: Installation,
}

impl Club {
    async fn new() -> Self {
        let mut scene = Scene::new().await;
        let discord = LocalDiscord::start(patient()).await.unwrap();
        let (guild, roles) = new_guild(&discord, "Club", &["Subscriber"]);
        let mut members = Vec::new();
        for name in ["ada", "bob"] {
            let user = discord.add_user(name);
            discord.add_member(guild, user).unwrap();
            members.push(user);
            scene.pay().await;
        }
        let installation = installation(&scene, &discord, guild, roles[0]);
        let club = Self {
            scene,
            discord,
            guild,
            role: roles[0],
            members,
            installation,
        };
        let store = Store::open(&club.installation.store_path()).unwrap();
        for (index, user) in club.members.iter().enumerate() {
            store
                .link(&link(*user, payer(index as u64 + 1)), 5)
                .unwrap();
        }
        club
    }

    /// Another machine, with the same configuration and nothing else.
    fn another_machine(&self) -> Installation {
        installation(&self.scene, &self.discord, self.guild, self.role)
    }

    async fn until_everyone_has_the_role(&self) {
        let (guild, role, members) = (self.guild, self.role, self.members.clone());
        let all = move |discord: &LocalDiscord| {
            members
                .iter()
                .all(|user| discord.has_role(guild, *user, role))
        };
        self.discord
            .wait_until("everyone has the role", DEADLINE, all)
            .await
            .unwrap();
    }

    /// How many requests to change roles were sent.
    fn changes(&self) -> u64 {
        self.discord.count(Route::AddMemberRole) + self.discord.count(Route::RemoveMemberRole)
    }
}

fn installation(
    scene: &Scene,
    discord: &LocalDiscord,
    guild: GuildId,
    role: RoleId,
) -> Installation {
    let gate = gate(guild, scene.module, scene.plan, role);
    Installation::new(&Setting::default(), &scene.chain, discord, &gate)
}

/// The wallet of the scene's member with this number.
fn payer(number: u64) -> Address {
    wallet(&format!("member {number}")).address()
}

fn link(user: UserId, wallet: Address) -> Link {
    Link {
        user,
        wallet: Wallet(wallet),
        linked_at: Timestamp(0),
        proof: None,
    }
}

/// Waits until the service has said this.
async fn until_said(installation: &Installation, words: &str) {
    let path = installation.log_path();
    wait(words, || log(&path).contains(words)).await;
}

/// Stops it and waits until it has ended well.
async fn stop(mut service: Child) {
    signal(&service, "TERM").await;
    let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}
