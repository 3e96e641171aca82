//! A set-up in which all is well, and what is said of it once something is not.

mod chain;
mod discord;
mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256, U256};
use serde_json::json;

use super::all;
use crate::amser_api::NamedPlan;
use crate::discord::hierarchy::{GuildRoles, MANAGE_ROLES, Role};
use crate::discord::{BotUser, SeenServer, SessionStarts};
use crate::doctor::facts::{
    ApiAnswer, ApiFacts, Arrival, Bot, BotFacts, ChainFacts, CommandFacts, ContractFacts,
    DiscordFacts, Facts, FileFacts, KeyEnvironment, KeyFacts, ModuleFacts, NodeAnswers, NodeFacts,
    OldLogs, Reached, SecretFacts, ServerFacts, StoreFacts, StoreState, StoredModule, WebFacts,
};
use crate::domain::{
    ChainEvent, ChainStatus, Checkpoint, DiscordStatus, DriftStatus, EventKind, Finding, GuildId,
    Level, ModuleAddress, Plan, PlanId, Position, RoleId, Timestamp, UserId,
};
use crate::store::{Pages, RowsRead};

const NOW: u64 = 1_800_000_000;
const GUILD: GuildId = GuildId(100);
const ROLE: RoleId = RoleId(200);
const BOT_ROLE: RoleId = RoleId(201);
const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(0xaa));
const PROCESSOR: Address = Address::repeat_byte(0xbb);
const TOKEN: Address = Address::repeat_byte(0xcc);

fn plan_id() -> PlanId {
    PlanId::from(1)
}

fn block(number: u64, age: u64) -> Checkpoint {
    Checkpoint {
        number,
        hash: B256::left_padding_from(&number.to_be_bytes()),
        timestamp: Timestamp(NOW - age),
    }
}

fn plan() -> Plan {
    Plan {
        token: TOKEN,
        price: U256::from(9_990_000),
        interval: 2_592_000,
        grace_period: 86_400,
        active: true,
    }
}

fn node(host: &str) -> NodeFacts {
    NodeFacts {
        host: host.to_owned(),
        answers: Ok(NodeAnswers {
            head: block(30_000_000, 2),
            compared: Some(block(29_999_998, 6)),
            at_cursor: Some(block(29_999_900, 200).hash),
            old_logs: OldLogs::Kept(20_000_000),
            state_depth: None,
            widest_range: Ok(10_000),
            refused_at_once: 0,
        }),
    }
}

fn role(name: &str, position: i64, permissions: u64) -> Role {
    Role {
        name: name.to_owned(),
        color: 0,
        position,
        permissions,
        given_by: None,
    }
}

fn module() -> ModuleFacts {
    let created = EventKind::PlanCreated {
        plan: plan_id(),
        token: TOKEN,
        price: plan().price,
        interval: plan().interval,
        grace_period: plan().grace_period,
    };
    let created = ChainEvent {
        module: MODULE,
        position: Position {
            block: 20_000_000,
            log_index: 0,
        },
        transaction: B256::ZERO,
        timestamp: None,
        kind: created,
    };
    ModuleFacts {
        module: MODULE,
        gated: [plan_id()].into(),
        contract: Ok(ContractFacts {
            has_code: true,
            merchant: Some(Address::repeat_byte(0xdd)),
            processor: Some(PROCESSOR),
            processor_has_code: true,
            plans: [(plan_id(), Ok(plan()))].into(),
            codeless_tokens: BTreeSet::new(),
            has_is_active: true,
            unknown_events: BTreeSet::new(),
        }),
        stored: Some(StoredModule {
            processor: PROCESSOR,
            is_complete: true,
            has_events: true,
            created: [(plan_id(), created)].into(),
        }),
    }
}

fn server() -> ServerFacts {
    let roles = GuildRoles {
        name: "Club".to_owned(),
        owner: UserId(1),
        roles: BTreeMap::from([
            (RoleId(GUILD.0), role("@everyone", 0, 0)),
            (ROLE, role("Subscriber", 1, 0)),
            (BOT_ROLE, role("bot", 2, MANAGE_ROLES)),
        ]),
        held: vec![BOT_ROLE],
        owned: false,
    };
    ServerFacts {
        guild: GUILD,
        roles: [ROLE].into(),
        seen: Ok(Some(SeenServer {
            roles: Arc::new(roles),
            demands_two_factor: false,
            members: 500,
            invites: None,
        })),
        channels: Vec::new(),
    }
}

fn bot() -> Bot {
    let application = json!({
        "id": "7", "name": "roles", "bot_public": false, "flags": 1 << 15,
        "redirect_uris": ["https://roles.example/oauth/callback"],
    });
    Bot {
        user: BotUser {
            id: UserId(7),
            username: "roles".to_owned(),
            has_two_factor: false,
        },
        application: Ok(serde_json::from_value(application).unwrap()),
        starts: Ok(SessionStarts {
            total: 1_000,
            remaining: 990,
        }),
        commands: CommandFacts::Same,
    }
}

/// Everything as it should be, before the first start of the day.
fn healthy() -> Facts {
    Facts {
        now: Timestamp(NOW),
        chain: ChainFacts {
            chain_id: 8_453,
            confirmations: 2,
            start_block: None,
            factory: Some((Address::repeat_byte(0xfa), Ok(true))),
            nodes: vec![node("first.example"), node("second.example")],
        },
        modules: vec![module()],
        modules_left_out: 0,
        store: StoreFacts {
            path: "/var/lib/roles/store.redb".into(),
            state: StoreState::Open,
            cursor: Some(block(29_999_900, 200)),
            orphans: 0,
            unknown: Vec::new(),
            gates: 1,
            links: 40,
            last_backup: Some(Timestamp(NOW - 90_000)),
            pages: Some(Pages::Whole),
            rows: RowsRead {
                rows: 9_000,
                damaged: BTreeMap::new(),
            },
        },
        files: FileFacts {
            space: Ok(20 << 30),
            network: None,
            is_writable: true,
            private: vec![("/var/lib/roles/store.redb".into(), 0o600)],
            config_with_key: Some(("/etc/roles/config.toml".into(), 0o640)),
            cookie_key: Ok(()),
        },
        discord: DiscordFacts {
            application_id: 7,
            wants_members: true,
            bot: BotFacts::Is(Box::new(bot())),
            clock_ahead: Some(1),
            secret: SecretFacts::Accepted,
            callback: "https://roles.example/oauth/callback".to_owned(),
        },
        servers: vec![server()],
        servers_left_out: 0,
        api: ApiFacts {
            base: "https://api.amser.io".parse().unwrap(),
            chain_id: 8_453,
            pointer: "/active".to_owned(),
            check: Some(ApiAnswer::Boolean),
            other_name: None,
            key: Some(KeyFacts {
                environment: KeyEnvironment::Live,
                is_sent: true,
                status: Some(200),
            }),
            plans: [(
                (MODULE, plan_id()),
                NamedPlan {
                    plan: plan_id(),
                    name: None,
                    price: Some("9990000".to_owned()),
                    interval: Some("2592000".to_owned()),
                    decimals: Some(6),
                    symbol: None,
                },
            )]
            .into(),
        },
        web: WebFacts {
            public_url: "https://roles.example".parse().unwrap(),
            listen: "127.0.0.1:8787".parse().unwrap(),
            proxies: 1,
            monitor_listen: Some("127.0.0.1:9090".parse().unwrap()),
            monitor_trouble: None,
            signs_in: true,
            is_for_others: true,
            reached: Reached::Itself(Some(Arrival {
                is_trusted: true,
                forwarded: 1,
            })),
        },
        service: None,
    }
}

/// The same while the service runs.
fn running() -> Facts {
    let mut facts = healthy();
    facts.web.reached = Reached::Itself(None);
    facts.store.pages = None;
    facts.service = Some(crate::doctor::facts::ServiceFacts {
        chain: ChainStatus {
            at_tip: true,
            ..ChainStatus::default()
        },
        discord: DiscordStatus {
            connected: true,
            ..DiscordStatus::default()
        },
        drift: DriftStatus {
            oldest_check: Some(Timestamp(NOW - 3_600)),
            ..DriftStatus::default()
        },
    });
    facts
}

/// A fault: what it does to a healthy set-up, under which name it is found, and how bad it is.
type Fault = (&'static str, Level, fn(&mut Facts));

fn found(facts: &Facts) -> Vec<(String, Level)> {
    let findings = all(facts).into_iter();
    let faults = findings.filter(|finding| finding.level != Level::Ok);
    faults
        .map(|finding| (finding.name, finding.level))
        .collect()
}

/// Each fault is found by its name, and nothing else is.
fn assert_found(base: fn() -> Facts, faults: &[Fault]) {
    for (number, (name, level, seed)) in faults.iter().enumerate() {
        let mut facts = base();
        seed(&mut facts);
        let expected = vec![((*name).to_owned(), *level)];
        assert_eq!(found(&facts), expected, "fault {number}, {name}");
        let all = all(&facts);
        let told = all.iter().find(|finding| finding.level != Level::Ok);
        let to_do = told.and_then(|finding| finding.what_to_do.clone());
        assert!(to_do.is_some_and(|to_do| !to_do.is_empty()), "{name}");
    }
}

#[test]
fn of_a_healthy_set_up_nothing_is_said() {
    for facts in [healthy(), running()] {
        let findings = all(&facts);
        let faults = findings.iter().filter(|finding| finding.level != Level::Ok);
        assert_eq!(faults.collect::<Vec<&Finding>>(), Vec::<&Finding>::new());
        assert!(findings.len() > 25, "{}", findings.len());
    }
}

#[test]
fn before_the_first_start_nothing_is_said_either() {
    let mut facts = healthy();
    facts.store.state = StoreState::Absent;
    facts.store.cursor = None;
    facts.modules[0].stored = None;
    for node in &mut facts.chain.nodes {
        let answers = node.answers.as_mut().unwrap();
        answers.at_cursor = None;
        answers.old_logs = OldLogs::NotAsked;
        answers.state_depth = Some(1_000_000);
    }
    facts.files.private.clear();
    if let BotFacts::Is(bot) = &mut facts.discord.bot {
        bot.commands = CommandFacts::None;
    }
    assert_eq!(found(&facts), []);
}
