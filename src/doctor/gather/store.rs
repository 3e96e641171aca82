//! What the store says; without one, what the configuration alone says.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;

use crate::config::Config;
use crate::doctor::Access;
use crate::doctor::facts::{StoreFacts, StoreState, StoredModule};
use crate::domain::{
    EventKind, Gate, GateOrigin, GuildId, ModuleAddress, Position, ServerSettings, Subject, Synced,
};
use crate::store::{Pages, RowsRead, Store};

/// The facts, and what other parts need to know what to ask.
#[derive(Debug)]
pub(crate) struct StoreAnswers {
    pub(super) facts: StoreFacts,
    pub(super) gates: Vec<Gate>,
    pub(super) merchant_modules: BTreeSet<ModuleAddress>,
    pub(super) modules: BTreeMap<ModuleAddress, StoredModule>,
    pub(super) settings: BTreeMap<GuildId, ServerSettings>,
}

pub(super) async fn read(config: &Config, access: Access) -> StoreAnswers {
    let path = config.store_path.clone();
    let mut answers = StoreAnswers {
        facts: StoreFacts {
            path: path.clone(),
            state: StoreState::Absent,
            cursor: None,
            orphans: 0,
            unknown: Vec::new(),
            gates: config.gates.len(),
            links: 0,
            last_backup: None,
            pages: None,
            rows: RowsRead::default(),
        },
        gates: config.gates.clone(),
        merchant_modules: BTreeSet::new(),
        modules: BTreeMap::new(),
        settings: config.servers.clone(),
    };
    match access {
        Access::Absent => {}
        Access::Unusable(why) => answers.facts.state = StoreState::Unusable(why),
        Access::Open(store, pages) => {
            let config = config.clone();
            let read = tokio::task::spawn_blocking(move || of_store(&config, &store, pages));
            match read.await.map_err(anyhow::Error::from).flatten() {
                Ok(read) => return read,
                Err(error) => {
                    answers.facts.state =
                        StoreState::Unusable(format!("the store cannot be read: {error:#}"));
                }
            }
        }
    }
    answers
}

fn of_store(config: &Config, store: &Store, pages: Option<Pages>) -> anyhow::Result<StoreAnswers> {
    let mut gates = store.gates()?;
    // The file's gates reach the store at the next start.
    gates.retain(|gate| gate.origin != GateOrigin::Config);
    gates.extend(config.gates.iter().cloned());
    let mut settings = config.servers.clone();
    for guild in store.all_settings()?.into_keys() {
        let (_, own) = store.settings(guild)?;
        let fixed = settings.entry(guild).or_default();
        *fixed = fixed.over(own);
    }
    let layouts = &config.chain.layouts;
    let unknown = store.unknown_logs()?.into_iter();
    let unknown = unknown
        .filter(|logs| !layouts.is_unread(&logs.topic))
        .map(|logs| {
            let what = format!("{}: {}", logs.address, layouts.explain(&logs.topic));
            (logs.count, what)
        })
        .collect();
    let cursor = store.cursor()?;
    let mut modules = BTreeMap::new();
    for (module, record) in store.modules()? {
        let last = Position {
            block: u64::MAX,
            log_index: u32::MAX,
        };
        let mut stored = StoredModule {
            processor: record.processor_at(last),
            is_complete: record.synced == Synced::ToCursor,
            has_events: store.has_events(module)?,
            created: BTreeMap::new(),
        };
        let plans = gates.iter().filter(|gate| gate.module == module);
        for plan in plans.flat_map(|gate| &gate.plans) {
            let events = store.events_of(module, Subject::Plan(*plan))?;
            let created = events
                .into_iter()
                .find(|event| matches!(event.kind, EventKind::PlanCreated { .. }));
            stored
                .created
                .extend(created.map(|created| (*plan, created)));
        }
        modules.insert(module, stored);
    }
    Ok(StoreAnswers {
        facts: StoreFacts {
            path: config.store_path.clone(),
            state: StoreState::Open,
            cursor,
            orphans: store.orphans()?,
            unknown,
            gates: gates.len(),
            links: store.link_count()?,
            last_backup: store.last_backup()?,
            pages,
            rows: store.read_through()?,
        },
        gates,
        merchant_modules: store.merchant_modules()?,
        modules,
        settings,
    })
}

impl StoreAnswers {
    /// Contracts whose logs are the modules' own: the modules, and their processors as far as they are known.
    pub(super) fn contracts(&self) -> Vec<Address> {
        let modules = self.gates.iter().map(|gate| gate.module.0);
        let processors = self.modules.values().map(|module| module.processor);
        let all: BTreeSet<_> = modules
            .chain(processors)
            .filter(|address| !address.is_zero())
            .collect();
        all.into_iter().collect()
    }
}
