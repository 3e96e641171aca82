//! Many merchants with a server each in one process: nobody sees what belongs to another.

use amser_roles::merchants::Refusal;
use amser_roles::sandbox::discord::{LocalDiscord, Options, RateLimits};

use crate::support::knob;
use crate::support::rig::{Rig, Setup};
use crate::support::scene::patient;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_merchant_is_as_one_that_does_not_exist() {
    let options = Options {
        rate_limits: RateLimits::generous(),
        ..patient()
    };
    let local = LocalDiscord::start(options).await.unwrap();
    let merchants = knob("MERCHANTS", 20);
    let servers: Vec<_> = (0..merchants)
        .map(|number| {
            let guild = local.add_guild(&format!("Server {number:03}"));
            (guild, local.owner(guild).unwrap())
        })
        .collect();
    let rig = Rig::start_on(local, Setup::default()).await;
    for (guild, owner) in &servers {
        rig.until_in(*guild).await;
        rig.merchants.connect(*guild, *owner).await.unwrap();
    }
    for (number, (guild, owner)) in servers.iter().enumerate() {
        let (foreign, _) = servers[(number + 1) % servers.len()];
        let seen = rig.merchants.servers(*owner, &[*guild, foreign]).await;
        let seen: Vec<_> = seen.unwrap().into_iter().map(|one| one.guild).collect();
        assert_eq!(seen, [*guild]);
        for other in [foreign, amser_roles::domain::GuildId(123_456_789)] {
            let refusal = rig.merchants.manager(other, *owner).await.unwrap_err();
            assert!(matches!(refusal, Refusal::NotFound));
            let refusal = rig.merchants.connect(other, *owner).await.unwrap_err();
            assert!(matches!(refusal, Refusal::NotFound));
        }
    }
    // What was read is kept: going round again asks Discord nothing. The servers that `connect` looked at are read again.
    let round = async || {
        for (guild, owner) in &servers {
            let servers = rig.merchants.servers(*owner, &[*guild]).await;
            assert_eq!(servers.unwrap().len(), 1);
            rig.merchants.manager(*guild, *owner).await.unwrap();
        }
    };
    rig.until_told().await;
    round().await;
    let before = rig.local.requests().len();
    round().await;
    assert_eq!(rig.local.requests().len(), before);
}
