//! Every table of the store, beside the schema version that names their layout. Each table is in one of the two lists at the
//! end, which opening and backups go by.

use redb::{Key, TableDefinition, Value};

/// The layout below. A file with a newer version is refused; an older one is brought up to it (`migrate.rs`). A table that
/// is added needs no new version: opening makes it.
pub(super) const SCHEMA_VERSION: u32 = 4;

/// `META`: the schema version, 4 bytes little-endian.
pub(super) const META_SCHEMA: &str = "schema_version";
/// `META`: the chain id that this file follows, 8 bytes little-endian.
pub(super) const META_CHAIN: &str = "chain_id";
/// `META`: the cursor, a postcard `Checkpoint`.
pub(super) const META_CURSOR: &str = "cursor";
/// `META`: the newest finalized block that a node has shown, a postcard `Checkpoint`.
pub(super) const META_FINALIZED: &str = "finalized";
/// `META`: postcard (`refold::FOLD_VERSION`, `Rules`) with which the cached folds were made.
pub(super) const META_FOLD: &str = "fold";
/// `META`: the fork block of the newest rollback, 8 bytes little-endian.
pub(super) const META_LAST_FORK: &str = "last_fork";

/// `META`: when the last complete backup was made, Unix seconds of the machine's clock, 8 bytes little-endian.
pub(super) const META_LAST_BACKUP: &str = "last_backup";
/// `META`: since when the chain cannot be followed (machine clock), 8 bytes little-endian; absent while it is.
pub(super) const META_FALLBACK: &str = "fallback_since";

/// `META`: the next number of the journal, 8 bytes little-endian.
pub(super) const META_SEQUENCE: &str = "journal_sequence";

/// Name → value, as the `META_…` constants say.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta_v1");

/// Module address → postcard `ModuleRecord`.
pub(super) const MODULES: TableDefinition<'_, &[u8; 20], &[u8]> =
    TableDefinition::new("modules_v2");

/// Block number → block hash and timestamp, for followed blocks.
pub(super) const HEADERS: TableDefinition<'_, u64, (&[u8; 32], u64)> =
    TableDefinition::new("headers_v1");

/// `codec::event_key` (module, subject, block, log index of the first event) → events of that subject, packed in chain order.
/// A batch adds to the subject's last row until that has about a kilobyte: with one row per event the keys would take as much
/// room as the events.
pub(super) const EVENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("events_v1");

/// A row of `EVENTS` of so many bytes, of which an event takes about 80, is left as it is: each event that is added writes the
/// whole row.
pub(super) const LONG_ROW: usize = 1_000;

/// (Run, row) → entries, in the order of their keys, of the `codec::scoped_key` of a subscription and its events as `EVENTS`
/// packs them. Each batch of a first history is a run; its end merges all of them into `EVENTS` and empties this table.
pub(super) const RUNS: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("runs_v1");

/// (Block of the newest event in a batch, sequence) → the keys of the `EVENTS` rows it changed, each prefixed by its
/// length; empty for a batch so large that a rollback had better look at all rows. Far below the cursor one such row stands
/// for all batches up to it.
pub(super) const BATCHES: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("batches_v1");

/// `codec::scoped_key` (module, subscription id) → postcard `Subscription`: the fold of its events, a cache.
pub(super) const SUBSCRIPTIONS: TableDefinition<'_, &[u8; 52], &[u8]> =
    TableDefinition::new("subscriptions_v2");

/// `codec::scoped_key` (module, plan id) → postcard `codec::KnownPlan`: the fold of its events.
pub(super) const PLANS: TableDefinition<'_, &[u8; 52], &[u8]> = TableDefinition::new("plans_v2");

/// `codec::scoped_key` (module, plan id) → postcard `Plan` as `getPlan` answered, where the fold begins.
pub(super) const PLANS_READ: TableDefinition<'_, &[u8; 52], &[u8]> =
    TableDefinition::new("plans_read_v1");

/// (Module, subscriber) → postcard `Mark` of the event that blocked the subscriber.
pub(super) const BLOCKED: TableDefinition<'_, (&[u8; 20], &[u8; 20]), &[u8]> =
    TableDefinition::new("blocked_v1");

/// Module address → how many of its subscriptions have events and whose creation was never seen, plus how many of its plans
/// were read by `getPlan` and whose `PlanCreated` was never seen; no row for none. Kept with the folds.
pub(super) const ORPHANS: TableDefinition<'_, &[u8; 20], u64> = TableDefinition::new("orphans_v1");

/// (Emitting address, first topic) → how many logs could not be decoded; under the topic `ff…ff` those of all topics beyond the
/// first 32 of the address. Not undone by a rollback: logs of blocks that are read again are counted again.
pub(super) const UNKNOWN_LOGS: TableDefinition<'_, (&[u8; 20], &[u8; 32]), u64> =
    TableDefinition::new("unknown_logs_v1");

/// Wallet → postcard `Link`.
pub(super) const LINKS: TableDefinition<'_, &[u8; 20], &[u8]> = TableDefinition::new("links_v1");

/// (User, wallet): the links of one member.
pub(super) const MEMBER_WALLETS: TableDefinition<'_, (u64, &[u8; 20]), ()> =
    TableDefinition::new("member_wallets_v1");

/// (User, guild): servers that a linked member verified from or was seen in.
pub(super) const SEEN_IN: TableDefinition<'_, (u64, u64), ()> = TableDefinition::new("seen_in_v1");

/// (Former owner, wallet) → when another member linked the wallet, Unix seconds: of this the owner is still to be told.
pub(super) const NOTICES: TableDefinition<'_, (u64, &[u8; 20]), u64> =
    TableDefinition::new("notices_v1");

/// (Guild, `told::Stream`) → two numbers in the journal: what is before the first one was told in that server, and what is between
/// them is on its way to Discord. Rows of servers alone that want to be told.
pub(super) const TOLD: TableDefinition<'_, (u64, u8), (u64, u64)> = TableDefinition::new("told_v1");

/// (Guild, name of the kind of alert) → postcard `AlertRow`.
pub(super) const ALERTS: TableDefinition<'_, (u64, &str), &[u8]> =
    TableDefinition::new("alerts_v1");

/// Guild → the Monday (Unix seconds) with which the newest week began of which the server was told, or need not be.
pub(super) const DIGESTS: TableDefinition<'_, u64, u64> = TableDefinition::new("digests_v1");

/// User → postcard `DirectMessages`.
pub(super) const DIRECT_MESSAGES: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("direct_messages_v1");

/// (User, `codec::scoped_key` of the subscription) → when the charge is due of which the user was warned (Unix seconds), and
/// whether the user was told that it failed.
pub(super) const WARNED: TableDefinition<'_, (u64, &[u8; 52]), (u64, bool)> =
    TableDefinition::new("warned_v1");

/// (Former owner, wallet) → whether another member linked the wallet; else the owner unlinked it. Kept while the former
/// owner has a role that this program gave: it is the reason for which that role goes.
pub(super) const ENDED_LINKS: TableDefinition<'_, (u64, &[u8; 20]), bool> =
    TableDefinition::new("ended_links_v1");

/// (Guild, role) → since when the brake has stopped its removals, Unix seconds of the machine's clock.
pub(super) const STOPPED: TableDefinition<'_, (u64, u64), u64> = TableDefinition::new("stopped_v1");

/// Gate id → postcard `Gate`.
pub(super) const GATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("gates_v1");

/// (User, guild, role) → postcard `GrantTerms`: roles that a manager gave for a time. Kept beyond its end until the role is gone:
/// it is the reason for which that role goes.
pub(super) const GRANTS: TableDefinition<'_, (u64, u64, u64), &[u8]> =
    TableDefinition::new("grants_v1");
/// Guild → postcard `ServerRecord`: the servers that were connected by `/connect`.
pub(super) const SERVERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("servers_v1");

/// User → postcard `MerchantWallet`: the wallet that a merchant showed to be theirs.
pub(super) const MERCHANT_WALLETS: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("merchant_wallets_v1");

/// (User, module): modules that are a merchant's, followed also before they have a gate.
pub(super) const MERCHANT_MODULES: TableDefinition<'_, (u64, &[u8; 20]), ()> =
    TableDefinition::new("merchant_modules_v1");

/// (Guild, user, role) → postcard (`AppliedState`, `Cause`, block of the decision): the roles that this program gave.
pub(super) const APPLIED: TableDefinition<'_, (u64, u64, u64), &[u8]> =
    TableDefinition::new("applied_v1");

/// (Guild, number in the journal) → postcard `ActEntry`: what managers did.
pub(super) const ACTS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("acts_v1");

/// Wallet, module, plan (20 + 20 + 32 bytes) → postcard `CheckRow`: what amser's API answered last, and when a contract did.
pub(super) const CHECKS: TableDefinition<'_, &[u8; 72], &[u8]> = TableDefinition::new("checks_v1");

/// Guild → postcard `ServerSettings` of its managers.
pub(super) const SERVER_SETTINGS: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("server_settings_v1");

/// Guild → postcard `ServerSettings` of config.toml.
pub(super) const CONFIG_SETTINGS: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("config_settings_v1");

/// Users who asked to be forgotten while roles of theirs are still to be taken away: of these nothing is journaled.
pub(super) const FORGOTTEN: TableDefinition<'_, u64, ()> = TableDefinition::new("forgotten_v1");

/// Number in the journal → postcard `JournalEntry`.
pub(super) const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal_v1");

/// (User, sequence): the journal of one member.
pub(super) const MEMBER_JOURNAL: TableDefinition<'_, (u64, u64), ()> =
    TableDefinition::new("member_journal_v1");

/// (Guild, number): the role changes of one server.
pub(super) const SERVER_JOURNAL: TableDefinition<'_, (u64, u64), ()> =
    TableDefinition::new("server_journal_v1");

/// SHA-256 of a `/verify` link's token → postcard `LinkRequest`. The token itself is nowhere.
pub(super) const LINK_REQUESTS: TableDefinition<'_, &[u8; 32], &[u8]> =
    TableDefinition::new("link_requests_v1");

/// (User, guild) → the key of that member's newest link request.
pub(super) const NEWEST_REQUEST: TableDefinition<'_, (u64, u64), &[u8; 32]> =
    TableDefinition::new("newest_request_v1");

/// Nonce → postcard `Challenge`.
pub(super) const CHALLENGES: TableDefinition<'_, &str, &[u8]> =
    TableDefinition::new("challenges_v2");

/// (Unix seconds, key in `LINK_REQUESTS` or `CHALLENGES`): when a row may be forgotten.
pub(super) const FORGET_AT: TableDefinition<'_, (u64, &[u8]), ()> =
    TableDefinition::new("forget_at_v1");

/// SHA-256 of a session's id → postcard `Session`. The id itself is in the visitor's cookie alone.
pub(super) const SESSIONS: TableDefinition<'_, &[u8; 32], &[u8]> =
    TableDefinition::new("sessions_v1");

/// Key in `LINK_REQUESTS` → SHA-256 of the code with which that link is continued in another browser, and the first Unix
/// second in which it no longer works.
pub(super) const HANDOVERS: TableDefinition<'_, &[u8; 32], (&[u8; 32], u64)> =
    TableDefinition::new("handovers_v1");

/// User → since when a member who linked a wallet is known to be in no server, Unix seconds of the machine's clock.
pub(super) const ABSENT_SINCE: TableDefinition<'_, u64, u64> =
    TableDefinition::new("absent_since_v1");

/// Only in the file of a backup: "manifest" → `BackupManifest` as JSON. Opening the file as a store removes it.
pub(super) const BACKUP: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("backup_v1");

/// Something that is done to each table, whatever its types.
pub(super) trait EachTable {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()>;
}

/// The tables that a backup holds.
pub(super) fn each_kept(each: &mut impl EachTable) -> anyhow::Result<()> {
    each.table(META)?;
    each.table(MODULES)?;
    each.table(HEADERS)?;
    each.table(EVENTS)?;
    each.table(RUNS)?;
    each.table(BATCHES)?;
    each.table(SUBSCRIPTIONS)?;
    each.table(PLANS)?;
    each.table(PLANS_READ)?;
    each.table(BLOCKED)?;
    each.table(ORPHANS)?;
    each.table(UNKNOWN_LOGS)?;
    each.table(LINKS)?;
    each.table(MEMBER_WALLETS)?;
    each.table(SEEN_IN)?;
    each.table(ABSENT_SINCE)?;
    each.table(FORGOTTEN)?;
    each.table(NOTICES)?;
    each.table(TOLD)?;
    each.table(ALERTS)?;
    each.table(DIGESTS)?;
    each.table(DIRECT_MESSAGES)?;
    each.table(WARNED)?;
    each.table(ENDED_LINKS)?;
    each.table(STOPPED)?;
    each.table(GATES)?;
    each.table(SERVERS)?;
    each.table(MERCHANT_WALLETS)?;
    each.table(MERCHANT_MODULES)?;
    each.table(APPLIED)?;
    each.table(GRANTS)?;
    each.table(ACTS)?;
    each.table(CHECKS)?;
    each.table(SERVER_SETTINGS)?;
    each.table(CONFIG_SETTINGS)?;
    each.table(JOURNAL)?;
    each.table(MEMBER_JOURNAL)?;
    each.table(SERVER_JOURNAL)
}

/// The tables of what lives for minutes or hours. No backup holds them: restoring one must not bring back a session that was
/// ended, or a signed text that was used up.
pub(super) fn each_short_lived(each: &mut impl EachTable) -> anyhow::Result<()> {
    each.table(LINK_REQUESTS)?;
    each.table(NEWEST_REQUEST)?;
    each.table(CHALLENGES)?;
    each.table(FORGET_AT)?;
    each.table(SESSIONS)?;
    each.table(HANDOVERS)
}
