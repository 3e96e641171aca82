//! The server's own questions where a mapping is saved: they are answered on the same page, and in force before the mapping is.

use std::collections::BTreeMap;

use amser_roles::domain::{Act, ManualRoles, OnLapse, ServerSettings, Timestamp};
use amser_roles::sandbox::discord::NewRole;
use serenity::model::Permissions;

use super::forms::{page, post};
use crate::support::shop::Shop;
use crate::verify::visitor::location;

#[tokio::test]
async fn what_is_answered_beside_a_mapping_is_in_force_before_the_mapping_is() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let gates = format!("/dashboard/{}/gates", shop.guild);
    let (module, plan) = (shop.module.to_string(), shop.plan.to_string());
    let role = shop.roles[1].to_string();
    let preview = format!("{gates}/preview?module={module}&plan={plan}&role={role}");
    let text = page(&mut browser, &preview).await;
    for part in [
        "A member who cancels, who pauses or whose payment fails loses the role at once.",
        "What happens when a member cancels?",
        "What happens when a payment fails?",
        "What happens when a member pauses?",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let fields = [
        ("module", module.as_str()),
        ("plan", &plan),
        ("role", &role),
        ("manual_roles", "leave"),
        ("cancelled", "keep_until_expiry"),
        ("payment_failed", ""),
    ];
    let saved = post(&mut browser, &format!("{gates}/save"), &fields).await;
    assert!(location(&saved).contains("?done=saved"), "{saved:?}");
    let (_, set) = shop.store.settings(shop.guild).unwrap();
    let expected = ServerSettings {
        manual_roles: Some(ManualRoles::Leave),
        cancelled: Some(OnLapse::KeepUntilExpiry),
        ..ServerSettings::default()
    };
    assert_eq!(set, expected);
    // The newest first: a pass between the two acts must not give or take by the old answers.
    let acts = shop.store.acts(shop.guild, 2).unwrap();
    let acts: Vec<_> = acts.iter().map(|entry| &entry.act).collect();
    assert!(
        matches!(acts[..], [Act::Gate { .. }, Act::Settings { .. }]),
        "{acts:?}"
    );
    let text = page(&mut browser, &preview).await;
    let told = "A member who cancels keeps the role until the paid time and its grace end";
    assert!(text.contains(told), "{text}");
}

#[tokio::test]
async fn a_mapping_that_is_asked_for_again_changes_no_rule_before_it_is_confirmed() {
    let shop = Shop::open().await;
    let judge = NewRole {
        permissions: Permissions::BAN_MEMBERS,
        ..NewRole::named("Judge")
    };
    let judge = shop.discord.add_role_with(shop.guild, judge).unwrap();
    let mut browser = shop.merchant().await;
    let save = format!("/dashboard/{}/gates/save", shop.guild);
    let (module, plan) = (shop.module.to_string(), shop.plan.to_string());
    let judge = judge.to_string();
    let fields = [
        ("module", module.as_str()),
        ("plan", &plan),
        ("role", &judge),
        ("manual_roles", "claim"),
        ("paused", "keep_until_expiry"),
    ];
    let asked = post(&mut browser, &save, &fields).await;
    assert_eq!(asked.status(), 409);
    let text = asked.text().await.unwrap();
    for (name, value) in &fields[3..] {
        let carried = format!("name=\"{name}\" value=\"{value}\"");
        assert!(text.contains(&carried), "{carried}: {text}");
    }
    let (_, set) = shop.store.settings(shop.guild).unwrap();
    assert_eq!(set, ServerSettings::default());
}

#[tokio::test]
async fn a_rule_of_the_operators_does_not_keep_a_mapping_from_being_saved() {
    let shop = Shop::open().await;
    let holder = shop.discord.add_user("holder");
    shop.discord.add_member(shop.guild, holder).unwrap();
    let role = shop.roles[1];
    shop.discord.give_role(shop.guild, holder, role).unwrap();
    let of_operator = ServerSettings {
        manual_roles: Some(ManualRoles::Leave),
        paused: Some(OnLapse::KeepUntilExpiry),
        ..ServerSettings::default()
    };
    let settings = BTreeMap::from([(shop.guild, of_operator)]);
    shop.store.set_config(&[], &settings, Timestamp(1)).unwrap();
    let mut browser = shop.merchant().await;
    let gates = format!("/dashboard/{}/gates", shop.guild);
    let (module, plan) = (shop.module.to_string(), shop.plan.to_string());
    let role = role.to_string();
    let fields = [
        ("module", module.as_str()),
        ("plan", &plan),
        ("role", &role),
        ("manual_roles", "claim"),
        ("paused", "revoke"),
    ];
    let saved = post(&mut browser, &format!("{gates}/save"), &fields).await;
    assert!(location(&saved).contains("?done=saved"), "{saved:?}");
    assert_eq!(shop.store.gates().unwrap().len(), 1);
    let (fixed, own) = shop.store.settings(shop.guild).unwrap();
    assert_eq!(fixed.over(own), of_operator);
}
