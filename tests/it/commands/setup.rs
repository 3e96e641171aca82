//! `/amser setup` over the whole service and a real chain: a form, a preview, a gate.

use std::time::Duration;

use amser_roles::domain::{
    Act, GateMatch, GuildId, ManualRoles, OnLapse, PlanId, RoleId, ServerSettings, Timestamp,
    UserId, Wallet,
};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{Form, LocalDiscord, NewRole, NoReply, Reply};
use amser_roles::store::MerchantWallet;
use serenity::model::Permissions;

use super::DEADLINE;
use crate::support::scene::TERMS;
use crate::support::stage::Stage;

const SET_UP: &str = "Set it up";

/// A stage whose commands are registered.
async fn open() -> Stage {
    let stage = Stage::open().await;
    let registered = |local: &LocalDiscord| !local.commands(None).is_empty();
    let waited = stage
        .discord
        .wait_until("the commands are registered", DEADLINE, registered);
    waited.await.unwrap();
    // The gateway's session can come later.
    let by = owner(&stage);
    let ask = || stage.discord.run_command(stage.guild, by, "plans", &[]);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while let Err(NoReply::NotConnected) = ask().await {
        assert!(tokio::time::Instant::now() < deadline, "never connected");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage
}

/// The server's owner, who has not shown a wallet yet.
fn owner(stage: &Stage) -> UserId {
    stage.discord.owner(stage.guild).unwrap()
}

fn show_wallet(stage: &Stage, user: UserId) {
    let shown = MerchantWallet {
        wallet: Wallet(wallet("merchant").address()),
        at: Timestamp(1),
        message: "the signed text".to_owned(),
        signature: vec![0xab; 65],
    };
    stage.store.set_merchant_wallet(user, &shown).unwrap();
}

async fn run(stage: &Stage, user: UserId) -> Result<Reply, NoReply> {
    let guild: GuildId = stage.guild;
    stage
        .discord
        .run_command(guild, user, "amser setup", &[])
        .await
}

/// Asks until a form with this plan comes: its plans are read from the chain first. Also the choice of that plan.
async fn form(stage: &Stage, plan: PlanId) -> (Form, String) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let answer = run(stage, owner(stage)).await;
        if let Err(NoReply::Form(form)) = &answer {
            let options = &form.labels[0]["component"]["options"];
            let name = format!("Plan {plan}");
            let mut options = options.as_array().unwrap().iter();
            if let Some(option) = options.find(|option| option["label"] == name.as_str()) {
                let value = option["value"].as_str().unwrap().to_owned();
                return ((**form).clone(), value);
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer:?}");
    }
}

async fn submit(stage: &Stage, form: &Form, plan: &str, role: Option<RoleId>) -> Reply {
    submit_several(stage, form, &[plan], "any", role.as_slice()).await
}

async fn submit_several(
    stage: &Stage,
    form: &Form,
    plans: &[&str],
    matching: &str,
    roles: &[RoleId],
) -> Reply {
    let roles: Vec<_> = roles.iter().map(RoleId::to_string).collect();
    let roles: Vec<_> = roles.iter().map(String::as_str).collect();
    let given: [(&str, &[&str]); 3] = [("plans", plans), ("match", &[matching]), ("roles", &roles)];
    let owner = owner(stage);
    let sent = stage.discord.submit_form(stage.guild, owner, form, &given);
    let reply = sent.await.unwrap();
    assert!(reply.message.ephemeral, "{reply:?}");
    reply
}

async fn press(stage: &Stage, user: UserId, reply: &Reply, label: &str) -> Reply {
    let mut buttons = reply.message.buttons.iter();
    let button = buttons.find(|button| button.label == label);
    let id = button.unwrap().custom_id.as_deref().unwrap();
    let pressed = stage
        .discord
        .click_button(stage.guild, user, reply.message.id, id);
    pressed.await.unwrap()
}

#[tokio::test]
async fn a_merchant_maps_a_plan_to_a_new_role_without_leaving_discord() {
    let stage = open().await;
    let owner = owner(&stage);
    let reply = run(&stage, owner).await.unwrap();
    let page = format!("<http://127.0.0.1:1/dashboard/{}>", stage.guild);
    assert!(reply.text().contains(&page), "{reply:?}");

    show_wallet(&stage, owner);
    let plan = stage.chain.create_plan(stage.module, TERMS).await.unwrap();
    let ada = stage.join("ada").await;
    stage.pay_for(ada, stage.module, plan).await;
    stage.barrier().await;
    let (form, choice) = form(&stage, PlanId(plan)).await;
    assert_eq!(form.title, "Give a role to subscribers");
    let before = stage.store.gates().unwrap().len();
    let preview = submit(&stage, &form, &choice, None).await;
    let told = preview.text();
    assert!(
        told.contains(&format!("a new role **Plan {plan}**.")),
        "{told}"
    );
    assert!(told.contains("Now it goes to 1 member."), "{told}");
    assert!(told.contains("Gets it: ada."), "{told}");
    assert_eq!(
        stage.store.gates().unwrap().len(),
        before,
        "nothing is made"
    );

    let stranger = stage.newcomer("stranger");
    let refused = press(&stage, stranger.user, &preview, SET_UP).await;
    assert!(refused.text().contains("Manage Server"), "{refused:?}");
    let done = press(&stage, owner, &preview, SET_UP).await;
    assert!(done.text().starts_with("Done."), "{done:?}");
    let gates = stage.store.gates().unwrap();
    let made = gates.iter().find(|gate| gate.plans.contains(&PlanId(plan)));
    let role = *made.unwrap().roles.first().unwrap();
    stage.until(ada, stage.guild, role, true).await;
    let again = press(&stage, owner, &preview, SET_UP).await;
    let already = format!("already: it gives <@&{role}>");
    assert!(again.text().contains(&already), "{again:?}");
    assert_eq!(stage.store.gates().unwrap(), gates);
    let closed = stage.discord.submit_form(stage.guild, owner, &form, &[]);
    assert!(matches!(closed.await, Err(NoReply::NotOffered(_))));
    stage.assert_no_violations();
}

#[tokio::test]
async fn several_plans_that_are_all_needed_give_several_roles() {
    let stage = open().await;
    let owner = owner(&stage);
    show_wallet(&stage, owner);
    let plan = stage.chain.create_plan(stage.module, TERMS).await.unwrap();
    let ada = stage.join("ada").await;
    stage.pay_for(ada, stage.module, plan).await;
    stage.barrier().await;
    let (form, second) = form(&stage, PlanId(plan)).await;
    let options = form.labels[0]["component"]["options"].as_array().unwrap();
    let mut options = options.iter();
    let name = format!("Plan {}", stage.plan);
    let first = options
        .find(|option| option["label"] == name.as_str())
        .unwrap();
    let both = [first["value"].as_str().unwrap(), second.as_str()];
    let roles = ["Gold", "Silver"].map(|name| stage.discord.add_role(stage.guild, name).unwrap());
    let preview = submit_several(&stage, &form, &both, "all", &roles).await;
    let told = preview.text();
    assert!(told.contains(") and **Plan "), "{told}");
    assert!(told.contains("Nobody's roles change now."), "{told}");
    let done = press(&stage, owner, &preview, SET_UP).await;
    assert!(done.text().starts_with("Done."), "{done:?}");
    let gates = stage.store.gates().unwrap();
    let made = gates
        .iter()
        .find(|gate| gate.roles == roles.into())
        .unwrap();
    assert_eq!(made.matching, GateMatch::All);
    assert_eq!(made.plans, [PlanId(stage.plan), PlanId(plan)].into());
    stage.pay(ada).await;
    stage.barrier().await;
    for role in roles {
        stage.until(ada, stage.guild, role, true).await;
    }
    stage.assert_no_violations();
}

#[tokio::test]
async fn the_servers_rules_are_asked_for_in_the_form_and_set_with_the_mapping() {
    let stage = open().await;
    let owner = owner(&stage);
    show_wallet(&stage, owner);
    let plan = stage.chain.create_plan(stage.module, TERMS).await.unwrap();
    stage.barrier().await;
    let (form, choice) = form(&stage, PlanId(plan)).await;
    let given: [(&str, &[&str]); 3] = [
        ("plans", &[&choice]),
        ("keep", &["cancelled"]),
        ("by_hand", &["leave"]),
    ];
    let sent = stage.discord.submit_form(stage.guild, owner, &form, &given);
    let preview = sent.await.unwrap();
    let told = preview.text();
    let rules = "A member who cancels keeps the role until the paid time and its grace end";
    assert!(told.contains(rules), "{told}");
    let set = || stage.store.settings(stage.guild).unwrap().1;
    assert_eq!(set(), ServerSettings::default(), "nothing is set yet");
    let done = press(&stage, owner, &preview, SET_UP).await;
    assert!(done.text().starts_with("Done."), "{done:?}");
    let expected = ServerSettings {
        cancelled: Some(OnLapse::KeepUntilExpiry),
        manual_roles: Some(ManualRoles::Leave),
        ..ServerSettings::default()
    };
    assert_eq!(set(), expected);
    let acts = stage.store.acts(stage.guild, 2).unwrap();
    let acts: Vec<_> = acts.iter().map(|entry| &entry.act).collect();
    assert!(
        matches!(acts[..], [Act::Gate { .. }, Act::Settings { .. }]),
        "{acts:?}"
    );
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_dangerous_role_is_asked_about_twice_and_one_that_cannot_be_given_is_refused() {
    let stage = open().await;
    let owner = owner(&stage);
    show_wallet(&stage, owner);
    let plan = stage.chain.create_plan(stage.module, TERMS).await.unwrap();
    stage.barrier().await;
    let role = |name: &str, permissions| {
        let new = NewRole {
            permissions,
            ..NewRole::named(name)
        };
        stage.discord.add_role_with(stage.guild, new).unwrap()
    };
    let sheriff = role("Sheriff", Permissions::KICK_MEMBERS);
    let (first, choice) = form(&stage, PlanId(plan)).await;
    let preview = submit(&stage, &first, &choice, Some(sheriff)).await;
    let told = preview.text();
    assert!(told.contains(&format!("get <@&{sheriff}>.")), "{told}");
    let question = press(&stage, owner, &preview, SET_UP).await;
    let told = question.text();
    assert!(
        told.contains("\"Sheriff\" carries \"Kick Members\""),
        "{told}"
    );
    let has_gate = |role| {
        let gates = stage.store.gates().unwrap();
        gates.iter().any(|gate| gate.roles.contains(&role))
    };
    assert!(!has_gate(sheriff));
    let sure = "Give subscribers these permissions";
    let done = press(&stage, owner, &question, sure).await;
    assert!(done.text().starts_with("Done."), "{done:?}");
    assert!(has_gate(sheriff));

    let bot_role = stage.discord.bot_role(stage.guild).unwrap();
    let (second, choice) = form(&stage, PlanId(plan)).await;
    let refused = submit(&stage, &second, &choice, Some(bot_role)).await;
    assert!(refused.text().contains("can't give"), "{refused:?}");
    assert_eq!(refused.message.buttons, []);
    stage.assert_no_violations();
}
