//! What each server asks for: its gates, under which policy, and which of its gates a manager ended.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::domain::{Gate, GuildId, ModuleAddress, Policy, RoleId, ServerSettings};

/// What one server asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServerRules {
    pub(crate) gates: Vec<Gate>,
    pub(crate) policy: Policy,
    /// Gates that a manager deleted or took back, each by a role that no act touched since.
    pub(crate) ended: Vec<(RoleId, Gate)>,
}

impl ServerRules {
    /// Those of a server without gates.
    pub(crate) fn under(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    pub(crate) fn gates_of(&self, role: RoleId) -> impl Iterator<Item = &Gate> {
        self.gates
            .iter()
            .filter(move |gate| gate.roles.contains(&role))
    }

    pub(crate) fn ended_gates_of(&self, role: RoleId) -> impl Iterator<Item = &Gate> {
        let of_role = self.ended.iter().filter(move |(of, _)| *of == role);
        of_role.map(|(_, gate)| gate)
    }
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    /// `[policy]`, without any gates: what holds where nothing is set.
    default: ServerRules,
    pub(super) servers: FxHashMap<GuildId, ServerRules>,
    /// The servers that have gates.
    pub(super) gated: BTreeSet<GuildId>,
    /// The servers whose gates ask about a module.
    pub(super) asking: FxHashMap<ModuleAddress, BTreeSet<GuildId>>,
}

impl Rules {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            default: ServerRules::under(policy),
            ..Self::default()
        }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.default.policy
    }

    /// Sets `[policy]`. What servers set themselves is set with their rules.
    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.default.policy = policy;
    }

    pub(super) fn of(&self, guild: GuildId) -> &ServerRules {
        self.servers.get(&guild).unwrap_or(&self.default)
    }

    /// The servers whose gates ask about a module.
    pub(super) fn asking(&self, module: ModuleAddress) -> impl Iterator<Item = GuildId> {
        self.asking.get(&module).into_iter().flatten().copied()
    }

    pub(super) fn asks(&self, guild: GuildId, module: ModuleAddress) -> bool {
        self.asking
            .get(&module)
            .is_some_and(|asking| asking.contains(&guild))
    }

    /// The seconds that roles are kept beyond the end of grace, each once.
    pub(super) fn leeways(&self) -> BTreeSet<u64> {
        let servers = self.servers.values();
        let policies = servers.map(|rules| &rules.policy).chain([self.policy()]);
        policies.map(|policy| policy.expiry_leeway).collect()
    }

    /// Sets what all servers ask for.
    pub(super) fn set_all(&mut self, all: BTreeMap<GuildId, ServerRules>) {
        self.servers.clear();
        self.gated.clear();
        self.asking.clear();
        for (guild, rules) in all {
            self.set(guild, rules);
        }
    }

    /// Sets what one server asks for; what it asked for before.
    pub(super) fn set(&mut self, guild: GuildId, rules: ServerRules) -> ServerRules {
        let former = self.servers.get(&guild).into_iter();
        for gate in former.flat_map(|rules| &rules.gates) {
            if let Some(asking) = self.asking.get_mut(&gate.module) {
                asking.remove(&guild);
                if asking.is_empty() {
                    self.asking.remove(&gate.module);
                }
            }
        }
        for gate in &rules.gates {
            self.asking.entry(gate.module).or_default().insert(guild);
        }
        match rules.gates.is_empty() {
            true => self.gated.remove(&guild),
            false => self.gated.insert(guild),
        };
        let before = match rules.gates.is_empty() && rules.ended.is_empty() {
            // The policy of a server that gives nothing may still be its own.
            true if rules.policy == self.default.policy => self.servers.remove(&guild),
            _ => self.servers.insert(guild, rules),
        };
        before.unwrap_or_else(|| self.default.clone())
    }
}

/// What servers with these gates and settings ask for.
pub(in crate::roles) fn rules_of(
    gates: Vec<Gate>,
    settings: &BTreeMap<GuildId, ServerSettings>,
    default: &Policy,
) -> BTreeMap<GuildId, ServerRules> {
    let own = settings.iter();
    let mut all: BTreeMap<_, _> = own
        .map(|(guild, own)| (*guild, ServerRules::under(own.policy(default))))
        .collect();
    for gate in gates {
        let rules = all.entry(gate.guild);
        let rules = rules.or_insert_with(|| ServerRules::under(*default));
        rules.gates.push(gate);
    }
    all
}
