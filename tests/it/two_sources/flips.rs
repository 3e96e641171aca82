//! Another program that changes a role back again and again.

use amser_roles::domain::{Outcome, UserId};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::sandbox::discord::Route;
use serenity::model::Permissions;

use crate::support::slash::until_answered;
use crate::support::stage::{Person, Setting, Stage, wait};

/// Ada has the role, and another bot is in the server.
async fn two_programs(may_see: bool) -> (Stage, Person, UserId) {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let mut stage = Stage::build(chain, Setting::default()).await;
    if may_see {
        let role = stage.discord.bot_role(stage.guild).unwrap();
        let permissions = Permissions::MANAGE_ROLES | Permissions::VIEW_AUDIT_LOG;
        let changed = stage
            .discord
            .set_role_permissions(stage.guild, role, permissions);
        changed.unwrap();
    }
    stage.start();
    let (ada, _) = stage.subscriber("ada").await;
    let rival = stage.discord.add_bot(stage.guild, "Level Bot").unwrap();
    (stage, ada, rival)
}

/// The rival takes ada's role at the moment it is given, until it is left to it; what the journal says then.
async fn until_left(stage: &Stage, ada: Person, rival: UserId) -> String {
    for times in 1.. {
        stage.until_role(ada, true).await;
        let grants = stage.discord.count(Route::AddMemberRole);
        let (guild, role) = (stage.guild, stage.role);
        let taken = stage
            .discord
            .change_role_as(rival, guild, ada.user, role, false);
        taken.unwrap();
        let given = || stage.discord.count(Route::AddMemberRole) > grants;
        let said = || given() || told(stage, ada).is_some();
        wait("the role is given again or left", said).await;
        if let Some(said) = told(stage, ada) {
            assert_eq!(times, 4, "{said}");
            return said;
        }
        assert!(times < 4, "it is given again and again");
    }
    unreachable!("it ends with the fourth time")
}

/// What the journal says about the role that is left.
fn told(stage: &Stage, ada: Person) -> Option<String> {
    let entries = stage.journal(ada).into_iter();
    let mut messages = entries.filter_map(|entry| match entry.outcome {
        Outcome::Failed { message, .. } => Some(message),
        Outcome::Done => None,
    });
    messages.next()
}

#[tokio::test]
async fn the_fourth_flip_in_ten_minutes_is_left_and_the_other_program_is_named() {
    let (stage, ada, rival) = two_programs(true).await;
    let said = until_left(&stage, ada, rival).await;
    assert!(said.contains("\"Level Bot\""), "{said}");
    assert!(said.contains("run /amser sync"), "{said}");
    stage.barrier().await;
    assert!(!stage.has_role(ada));
    assert_eq!(stage.discord.count(Route::GetAuditLog), 1);
    // Others are served, and read nothing of what does not concern them.
    let (grace, _) = stage.subscriber("grace").await;
    assert!(stage.has_role(grace));
    let names_it = |told: &str| told.contains("Level Bot");
    let status = ("status", [].as_slice());
    let of = |person: Person| (stage.guild, person.user);
    until_answered(&stage.discord, of(ada), status, names_it).await;
    until_answered(&stage.discord, of(grace), status, |told| {
        told.contains("you have it") && !names_it(told)
    })
    .await;
    let stranger = stage.newcomer("stranger");
    let plans = ("plans", [].as_slice());
    until_answered(&stage.discord, of(stranger), plans, |told| {
        told.contains("/subscribe/") && !told.contains("can't be given")
    })
    .await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_manager_who_syncs_ends_the_pause_and_the_role_is_given_again() {
    let (stage, ada, rival) = two_programs(true).await;
    until_left(&stage, ada, rival).await;
    stage.barrier().await;
    assert!(!stage.has_role(ada));
    let place = (stage.guild, stage.discord.owner(stage.guild).unwrap());
    let check = ("amser check", [].as_slice());
    let names_it = |told: &str| told.contains("Level Bot");
    until_answered(&stage.discord, place, check, names_it).await;
    let sync = ("amser sync", [].as_slice());
    let is_done = |told: &str| told.starts_with("Checked ");
    until_answered(&stage.discord, place, sync, is_done).await;
    stage.until_role(ada, true).await;
    until_answered(&stage.discord, place, check, |told| {
        told.contains("Nothing prevents roles")
    })
    .await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn without_the_permission_to_see_the_audit_log_nobody_is_named_and_nothing_is_asked() {
    let (stage, ada, rival) = two_programs(false).await;
    let said = until_left(&stage, ada, rival).await;
    assert!(said.contains("another bot or a person"), "{said}");
    assert!(said.contains("View Audit Log"), "{said}");
    assert_eq!(stage.discord.count(Route::GetAuditLog), 0);
}

#[tokio::test]
async fn a_member_who_leaves_and_comes_back_again_and_again_is_no_other_program() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    for _ in 0..6 {
        stage.discord.remove_member(stage.guild, ada.user).unwrap();
        stage.discord.add_member(stage.guild, ada.user).unwrap();
        stage.until_role(ada, true).await;
    }
    assert_eq!(told(&stage, ada), None);
}
