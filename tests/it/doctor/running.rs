//! `doctor` asks the service that runs, which holds the store and the connections.

use amser_roles::domain::Level;

use super::Ward;
use crate::support::installation::signal;
use crate::support::{until, until_ready};

#[tokio::test]
async fn the_running_service_is_asked_and_tells_what_stands_in_its_way() {
    let ward = Ward::new().await;
    let public = ward.public_url();
    let mut service = ward.installation.start();
    until_ready(&public).await;
    // The commands are registered soon after the start.
    let healthy = until("nothing is said of a healthy service", async || {
        let found = ward.examine().await;
        match found.faults().is_empty() {
            true => Ok(found),
            false => Err(format!("{:?}", found.faults())),
        }
    })
    .await;
    let names: Vec<_> = healthy
        .findings
        .iter()
        .map(|finding| finding.name.as_str())
        .collect();
    for name in [
        "service.chain",
        "service.discord",
        "store.open",
        "store.health",
        "module.history",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    // It has the secrets, so that who asks needs none.
    let mut without = ward.installation.command("doctor");
    without
        .arg("--json")
        .env_remove("AMSER_ROLES_DISCORD_TOKEN")
        .env_remove("AMSER_ROLES_DISCORD_CLIENT_SECRET");
    let ended = crate::support::installation::end(&mut without).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let bot = ward.discord.bot_role(ward.guild).unwrap();
    ward.discord
        .set_role_order(ward.guild, &[bot, ward.role])
        .unwrap();
    let found = until("the role that stands too high is told", async || {
        let found = ward.examine().await;
        match found.faults().contains(&("service.roles", Level::Failure)) {
            true => Ok(found),
            false => Err(format!("{:?}", found.faults())),
        }
    })
    .await;
    assert_eq!(found.ended.code, Some(1));
    signal(&service, "TERM").await;
    assert!(service.wait().await.unwrap().success());
}
