//! kill -9 at random moments: whatever the real program was doing, the next start leads to the roles that the chain says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use amser_roles::sandbox::discord::{LocalDiscord, Route};
use amser_roles::store::Store;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::process::Child;

use crate::support::installation::{self, Installation, gate};
use crate::support::knob;
use crate::support::life::{Life, journaled};
use crate::support::stage::Setting;

/// How many kills to play.
fn crashes() -> u64 {
    knob("CRASHES", 50)
}

/// Steps of life for each kill, at least: on a busy machine few fit into the time before it, and what happens to a program that
/// is dead counts, too.
const LEAST_STEPS: usize = 10;
/// Kills beyond those that were asked for, at most.
const MOST_MORE: u64 = 200;

/// When to kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// So long after the next request to change a role (or after two seconds without one): between its decision and
    /// its line in the journal.
    Applying(Duration),
}

impl Moment {
    fn random(dice: &mut StdRng) -> Self {
        if dice.random_bool(0.6) {
            Self::After(Duration::from_micros(dice.random_range(0..400_000)))
        } else {
            Self::Applying(Duration::from_micros(dice.random_range(0..8_000)))
        }
    }

    async fn come(self, discord: &LocalDiscord) {
        match self {
            Self::After(pause) => tokio::time::sleep(pause).await,
            Self::Applying(pause) => {
                let requests = |discord: &LocalDiscord| {
                    discord.count(Route::AddMemberRole) + discord.count(Route::RemoveMemberRole)
                };
                let before = requests(discord);
                let one_more = move |discord: &LocalDiscord| requests(discord) > before;
                let most = Duration::from_secs(2);
                // A life in which nothing changes for so long is killed all the same.
                let _in_time = discord.wait_until("a role changes", most, one_more).await;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Kills the program and waits until the system has taken its files back.
async fn kill(mut program: Child, log: &Path) {
    let ended_before = program.try_wait().unwrap();
    assert!(
        ended_before.is_none(),
        "it ended by itself: {}",
        installation::log(log)
    );
    // SIGKILL.
    program.kill().await.unwrap();
}

async fn plays(seed: u64, crashes: u64, confirmations: u64, reorganisations: bool) {
    let mut life = Life::new(seed, confirmations).await;
    let setting = Setting {
        // A life in minutes of what else takes months: many expire within the brake's hour.
        policy: "max_revoke_floor = 1000000",
        confirmations,
        ..Setting::default()
    };
    let gate = gate(life.guild, life.module, life.plan, life.role);
    let installation = Installation::new(&setting, &life.chain, &life.discord, &gate);
    {
        let store = Store::open(&installation.store_path()).unwrap();
        life.link_all(&store);
    }
    let (mut played, mut compared) = (0, 0);
    let mut happened = (0, 0);
    // A life in which nobody got a role and lost it proves nothing, and goes on.
    while played < crashes || happened.0 == 0 || happened.1 == 0 {
        assert!(played < crashes + MOST_MORE, "nothing happens in this life");
        for _ in 0..life.dice.random_range(1..=4u64) {
            let moment = Moment::random(&mut life.dice);
            let (program, log) = (installation.start(), installation.log_path());
            let discord = life.discord.clone();
            let killer = tokio::spawn(async move {
                moment.come(&discord).await;
                kill(program, &log).await;
            });
            let mut steps = 0;
            while !killer.is_finished() || steps < LEAST_STEPS {
                life.step().await;
                steps += 1;
                if reorganisations && life.dice.random_bool(0.15) {
                    life.reorganise(12).await;
                }
            }
            killer.await.unwrap();
            played += 1;
        }
        let program = installation.start();
        life.until_at_rest(&format!("after {played} crashes")).await;
        kill(program, &installation.log_path()).await;
        (played, compared) = (played + 1, compared + 1);
        eprintln!("{played} crashes, {compared} comparisons");
        happened = journaled(&Store::open(&installation.store_path()).unwrap());
    }
    let store = Store::open(&installation.store_path()).unwrap();
    let (grants, revokes) = life.check_journal(&store).await;
    let violations = life.discord.violations();
    assert_eq!(violations, []);
    println!(
        "{played} crashes, {compared} comparisons, {grants} grants and {revokes} revokes journaled, no revoke of an entitled member"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_roles_come_out_right() {
    plays(11, crashes().div_ceil(2), 0, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_amid_reorganisations_the_roles_come_out_right() {
    plays(12, crashes().div_ceil(2), 2, true).await;
}
