//! Reads chain, store and Discord, and puts the page's picture together.
use std::collections::BTreeMap;

use alloy::primitives::U256;
use anyhow::Context as _;

use super::chain::Head;
use super::discord::{Does, Offer, Person, Picture, PlanOffer};
use super::guide::{
    Member, Merchant, Progress, Status, Subscribed, ends_by, lines, member_steps, merchant_steps,
    offers, terms,
};
use super::words::{moment, span};
use super::world::{CONFIRMATIONS, PLAN_NAME, World};
use crate::clock::machine_time;
use crate::domain::{ModuleAddress, SubscriptionId, UserId};

/// How far time can be made to pass.
const TIMES: [(&str, u64); 3] = [
    ("1 hour", 3_600),
    ("1 day", 86_400),
    ("31 days", 31 * 86_400),
];
/// The machine's and the chain's clock may differ by this many seconds without a word.
const SAME_TIME: u64 = 120;

/// The picture, and what is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Painter {
    progress: BTreeMap<UserId, Progress>,
    /// The bot gave a member of the merchant's server a role once.
    given: bool,
}

impl Painter {
    /// Looks at everything again.
    pub(super) async fn paint(&mut self, world: &World, head: Head) -> anyhow::Result<Picture> {
        let now = head.timestamp;
        let mut members = Vec::new();
        for user in &world.members {
            members.push(member(world, *user).await?);
        }
        let plan = world.chain.plan(world.module, world.plan).await?;
        let checkout = format!("/checkout?module={}&plan={}", world.module, world.plan);
        let mut people = BTreeMap::new();
        for one in &members {
            let progress = self.progress.entry(one.user).or_default();
            progress.note(one, world.discord.has_typed(one.user, "why"));
            let person = Person {
                lines: lines(one, now),
                offers: offers(one, now),
                steps: member_steps(one, *progress, now, &checkout),
            };
            people.insert(one.user, person);
        }
        let merchant = self.merchant(world).await?;
        let seller = Person {
            lines: vec![
                format!(
                    "Wallet `{}` made the plans.",
                    world.wallet(world.merchant).address()
                ),
                format!("Sells {}.", terms(&world.plan.to_string(), &plan)),
            ],
            offers: vec![Offer {
                label: "Open the dashboard".to_owned(),
                says: "The merchant's pages, signed in as the merchant".to_owned(),
                what: Does::Open(merchant.open.replace("{}", "/dashboard")),
            }],
            steps: merchant_steps(&merchant),
        };
        people.insert(world.merchant, seller);
        let passing = TIMES
            .map(|(label, seconds)| (label.to_owned(), seconds, ends_by(&members, now, seconds)));
        Ok(Picture {
            facts: facts(head, machine_time().0),
            head: head.number,
            confirmations: CONFIRMATIONS,
            passing: passing.into(),
            people,
            plans: vec![PlanOffer {
                module: world.module.to_string(),
                plan_id: world.plan.to_string(),
                name: PLAN_NAME.to_owned(),
                terms: terms(&world.plan.to_string(), &plan),
            }],
            merchant: Some(world.merchant),
            service: world
                .public_url()
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
        })
    }

    async fn merchant(&mut self, world: &World) -> anyhow::Result<Merchant> {
        let service = world.public_url().to_string();
        let store = world.store.clone();
        let (club, merchant) = (world.club, world.merchant);
        let (wallet, mapped) = tokio::task::spawn_blocking(move || {
            let wallet = store.merchant_wallet(merchant)?.is_some();
            let mapped = store.gates()?.into_iter().any(|gate| gate.guild == club);
            anyhow::Ok((wallet, mapped))
        })
        .await??;
        self.given |= world.discord.bot_gave_in(club);
        Ok(Merchant {
            name: world.discord.user_name(world.merchant),
            server: world.discord.guild_name(club).unwrap_or_default(),
            bot_is_there: world.discord.bot_role(club).is_some(),
            wallet,
            mapped,
            given: self.given,
            open: format!("{service}sandbox/as/{}?to={{}}", world.merchant),
            dashboard: format!("/dashboard/{club}"),
            member_page: "/member".to_owned(),
        })
    }
}

fn facts(head: Head, machine: u64) -> Vec<(String, String)> {
    let (chain, ahead) = (head.timestamp, head.timestamp.saturating_sub(machine));
    let mut facts = vec![
        ("Block".to_owned(), head.number.to_string()),
        ("Chain's clock".to_owned(), moment(chain)),
    ];
    if ahead > SAME_TIME {
        let ahead = span(ahead - ahead % 60);
        facts.push(("Ahead of your clock by".to_owned(), ahead));
    }
    facts
}

async fn member(world: &World, user: UserId) -> anyhow::Result<Member> {
    let account = world.account(user).await?;
    let store = world.store.clone();
    let linked = tokio::task::spawn_blocking(move || store.wallets_of(user)).await??;
    let subscription = match world.subscription(user).await? {
        Some(id) => Some(subscribed(world, id).await?),
        None => None,
    };
    Ok(Member {
        user,
        name: world.discord.user_name(user),
        wallet: (!linked.is_empty()).then(|| account.to_string()),
        subscription,
        has_role: world.discord.has_role(world.guild, user, world.role),
        role: world
            .discord
            .role_name(world.guild, world.role)
            .unwrap_or_default(),
    })
}

async fn subscribed(world: &World, id: U256) -> anyhow::Result<Subscribed> {
    let state = world.chain.subscription(world.module, id).await?;
    let (store, module) = (world.store.clone(), ModuleAddress(world.module));
    let known = tokio::task::spawn_blocking(move || store.subscription(module, SubscriptionId(id)))
        .await??;
    Ok(Subscribed {
        id: id.to_string(),
        plan_id: state.planId.to_string(),
        plan: world.chain.plan(world.module, state.planId).await?,
        status: Status::from_contract(state.status).context("a status of the contract's")?,
        last_paid: state.lastPaidAt,
        next_charge: state.nextChargeAt,
        failed: known
            .and_then(|known| known.failed)
            .map(|(_, reason)| reason),
    })
}
