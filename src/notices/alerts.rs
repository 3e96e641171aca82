//! What is wrong, by level: which alerts stand now follows from the parts' own statuses, and which of them were told from the
//! store. PURE but for the reading and writing of that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::domain::{
    Alert, AlertKind, AlertPhase, AlertRow, ChainStatus, ChannelId, DiscordStatus, DriftMode,
    GuildId, MembersIntent, ModuleAddress, ReadingState, Timestamp,
};
use crate::text;

/// A server and the name of a kind of alert.
pub(super) type Key = (GuildId, String);

/// A follower that is behind for less than this makes no alert.
const BEHIND: Duration = Duration::from_secs(120);

/// What alerts follow from.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) chain: &'a ChainStatus,
    pub(super) discord: &'a DiscordStatus,
    /// Which source decides about roles.
    pub(super) mode: DriftMode,
    pub(super) chain_id: u64,
    /// The modules of each server's gates.
    pub(super) modules: &'a BTreeMap<GuildId, BTreeSet<ModuleAddress>>,
    /// Addresses with logs that no known ABI explains.
    pub(super) unknown: &'a BTreeSet<ModuleAddress>,
    /// Where each server's alerts go.
    pub(super) channels: &'a BTreeMap<GuildId, ChannelId>,
    /// The machine's clock.
    pub(super) time: Timestamp,
    pub(super) instant: Instant,
}

/// The alerts that stand.
pub(super) fn standing(facts: &Facts<'_>) -> Vec<Alert> {
    let Facts { chain, discord, .. } = facts;
    let mut alerts = Vec::new();
    let mut push = |guild, kind, text| alerts.push(Alert { guild, kind, text });
    if is_behind(facts) {
        push(None, AlertKind::ChainBehind, text::chain_behind());
    }
    if facts.mode != DriftMode::Chain {
        push(None, AlertKind::Fallback, text::fallback());
    }
    if discord.members_intent == MembersIntent::Refused {
        push(None, AlertKind::MembersIntent, text::members_intent());
    }
    if discord.is_review_due() {
        push(None, AlertKind::IntentReview, text::intent_review());
    }
    for ((guild, role), sentence) in &discord.failing {
        let text = text::failing(sentence);
        push(Some(*guild), AlertKind::Failing(*role), text);
    }
    for (guild, server) in &discord.servers {
        if let ReadingState::Failed(why) = &server.reading {
            let text = text::members_unread(why);
            push(Some(*guild), AlertKind::MembersUnread, text);
        }
        for (role, contested) in &server.contested {
            let text = text::failing(&contested.sentence);
            push(Some(*guild), AlertKind::Failing(Some(*role)), text);
        }
        for (role, held) in &server.held_back {
            let text = text::removals_stopped(*role, *held);
            push(Some(*guild), AlertKind::Stopped(*role), text);
        }
    }
    for (guild, modules) in facts.modules {
        for module in modules {
            if let Some(why) = chain.unread_modules.get(module) {
                let text = text::module_unread(*module, why);
                push(Some(*guild), AlertKind::ModuleUnread(*module), text);
            }
            if facts.unknown.contains(module) {
                let text = text::unknown_logs(*module);
                push(Some(*guild), AlertKind::UnknownLogs(*module), text);
            }
        }
    }
    for ((guild, channel), sentence) in &discord.channels_refused {
        if facts.channels.get(guild).is_some_and(|own| own != channel) {
            push(Some(*guild), AlertKind::Channel(*channel), sentence.clone());
        }
    }
    alerts
}

/// Whether the chain is behind for too long, or stands still.
fn is_behind(facts: &Facts<'_>) -> bool {
    let chain = facts.chain;
    let is_behind = chain
        .behind_since
        .is_some_and(|since| facts.instant.saturating_duration_since(since) >= BEHIND);
    is_behind || (chain.reached_tip && chain.stands_still(facts.chain_id, facts.time))
}

/// Whether the absence of this alert means that all is well: after a start not everything is known yet.
fn is_known(facts: &Facts<'_>, (guild, name): &Key) -> bool {
    let Facts { chain, discord, .. } = facts;
    let kind = name.split(':').next().unwrap_or_default();
    let server = discord.servers.get(guild);
    match kind {
        "chain_behind" | "fallback" => chain.at_tip,
        "members_intent" | "intent_review" => discord.connected,
        "module_unread" | "unknown_logs" => chain.reached_tip,
        // Of a server without gates nothing is known, and nothing is wrong.
        "failing" | "members_unread" | "stopped" => {
            let is_read = server.is_none_or(|server| server.reading == ReadingState::Done);
            chain.reached_tip && discord.connected && is_read
        }
        _ => true,
    }
}

/// Since when the cause of each alert is there, or is gone.
#[derive(Debug, Default)]
pub(super) struct Holding(BTreeMap<Key, (bool, Instant)>);

/// What changes in the stored rows: alerts that begin, and those that end.
pub(super) fn changes(
    facts: &Facts<'_>,
    rows: &BTreeMap<Key, AlertRow>,
    holding: &mut Holding,
    hold: Duration,
) -> BTreeMap<Key, Option<AlertRow>> {
    let mut wanted: BTreeMap<Key, String> = BTreeMap::new();
    for Alert { guild, kind, text } in standing(facts) {
        let concerned = facts.channels.keys();
        let concerned = concerned.filter(|one| guild.is_none_or(|guild| guild == **one));
        wanted.extend(concerned.map(|guild| ((*guild, kind.name()), text.clone())));
    }
    let mut changes = BTreeMap::new();
    let keys: BTreeSet<_> = wanted.keys().chain(rows.keys()).cloned().collect();
    holding.0.retain(|key, _| keys.contains(key));
    for key in keys {
        if !facts.channels.contains_key(&key.0) {
            changes.insert(key, None);
            continue;
        }
        let is_there = wanted.contains_key(&key);
        if !is_there && !is_known(facts, &key) {
            holding.0.remove(&key);
            continue;
        }
        let held = holding.0.entry(key.clone());
        let held = held.or_insert((is_there, facts.instant));
        if held.0 != is_there {
            *held = (is_there, facts.instant);
        }
        if facts.instant.saturating_duration_since(held.1) < hold {
            continue;
        }
        let row = rows.get(&key);
        let decided = match (wanted.remove(&key), row.map(|row| row.phase)) {
            (Some(text), None) => Some((AlertPhase::Starting, text)),
            (None, Some(AlertPhase::Standing)) => {
                row.map(|row| (AlertPhase::Ending, row.text.clone()))
            }
            // A message that is on its way is finished first.
            _ => None,
        };
        if let Some((phase, text)) = decided {
            let at = facts.time;
            changes.insert(key, Some(AlertRow { phase, at, text }));
        }
    }
    changes
}

#[cfg(test)]
mod tests;
