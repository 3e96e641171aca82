//! What is known of everything that the service depends on, before anything is judged. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use url::Url;

use crate::abi::PlanAnswerError;
use crate::amser_api::NamedPlan;
use crate::discord::{Application, BotUser, SeenServer, SessionStarts};
use crate::domain::{
    ChainEvent, ChainStatus, ChannelId, Checkpoint, DiscordStatus, DriftStatus, GuildId,
    ModuleAddress, Plan, PlanId, RoleId, Timestamp,
};
use crate::store::{Pages, RowsRead};

/// Everything that was found out.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The machine's clock.
    pub(crate) now: Timestamp,
    pub(crate) chain: ChainFacts,
    pub(crate) modules: Vec<ModuleFacts>,
    /// How many more modules there was no time for.
    pub(crate) modules_left_out: usize,
    pub(crate) store: StoreFacts,
    pub(crate) files: FileFacts,
    pub(crate) discord: DiscordFacts,
    pub(crate) servers: Vec<ServerFacts>,
    /// How many more servers there was no time for.
    pub(crate) servers_left_out: usize,
    pub(crate) api: ApiFacts,
    pub(crate) web: WebFacts,
    /// What the running service says of itself; `None` where none runs.
    pub(crate) service: Option<ServiceFacts>,
}

/// The chain and its nodes.
#[derive(Clone, Debug)]
pub(crate) struct ChainFacts {
    pub(crate) chain_id: u64,
    pub(crate) confirmations: u64,
    /// Where reading begins, if it is configured.
    pub(crate) start_block: Option<u64>,
    /// The configured factory, and whether it answers as one; or why that is not known.
    pub(crate) factory: Option<(Address, Result<bool, String>)>,
    /// In the order of `chain.rpc_urls`.
    pub(crate) nodes: Vec<NodeFacts>,
}

/// One of `chain.rpc_urls`.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    pub(crate) host: String,
    pub(crate) answers: Result<NodeAnswers, NodeTrouble>,
}

/// Why a node cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeTrouble {
    /// It is on this chain.
    OtherChain(u64),
    /// One sentence.
    Unusable(String),
}

/// What a node answered.
#[derive(Clone, Debug)]
pub(crate) struct NodeAnswers {
    pub(crate) head: Checkpoint,
    /// Its block at a height that every node should have; `None` where it does not have it.
    pub(crate) compared: Option<Checkpoint>,
    /// Its block at the store's cursor. The outer `None`: the store has none, or the node is not so far.
    pub(crate) at_cursor: Option<B256>,
    pub(crate) old_logs: OldLogs,
    /// The greatest depth below the head, in blocks, at which it showed a contract that is older; 0 where it showed none. `None`
    /// where no module needs old state.
    pub(crate) state_depth: Option<u64>,
    /// The most blocks that one call for logs may span, among those that were tried; or why none was answered.
    pub(crate) widest_range: Result<u64, String>,
    /// How many of [`BURST`] calls at the same time were refused as too many, or not answered.
    pub(crate) refused_at_once: usize,
}

/// Calls that are sent at the same time, to learn whether the node limits their rate.
pub(crate) const BURST: usize = 10;

/// Whether a node has a log that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OldLogs {
    /// There is none to ask for.
    NotAsked,
    /// It has the log of this block.
    Kept(u64),
    /// It answers that there is no log in this block, which has one.
    Lost(u64),
    /// It did not answer, for this reason.
    Unknown(String),
}

/// A module of a gate or of a merchant.
#[derive(Clone, Debug)]
pub(crate) struct ModuleFacts {
    pub(crate) module: ModuleAddress,
    /// The plans that gates ask about.
    pub(crate) gated: BTreeSet<PlanId>,
    /// What the first node that works says of it; or why none does.
    pub(crate) contract: Result<ContractFacts, String>,
    pub(crate) stored: Option<StoredModule>,
}

/// What a contract says of itself. `None` is an answer that is no value of its type, or a refusal.
#[derive(Clone, Debug)]
pub(crate) struct ContractFacts {
    pub(crate) has_code: bool,
    pub(crate) merchant: Option<Address>,
    pub(crate) processor: Option<Address>,
    pub(crate) processor_has_code: bool,
    /// By `getPlan`: the gated plans and the first ones.
    pub(crate) plans: BTreeMap<PlanId, Result<Plan, PlanTrouble>>,
    /// Tokens of the plans without code.
    pub(crate) codeless_tokens: BTreeSet<Address>,
    /// Whether it has the view `isActive`.
    pub(crate) has_is_active: bool,
    /// Recent logs that cannot be read, each with what it may be.
    pub(crate) unknown_events: BTreeSet<String>,
}

/// Why there are no terms of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanTrouble {
    /// The contract has no such plan.
    Missing,
    /// The answer is not understood.
    Shape(PlanAnswerError),
}

/// What the store knows of a module.
#[derive(Clone, Debug)]
pub(crate) struct StoredModule {
    /// The processor whose payments count now.
    pub(crate) processor: Address,
    /// Whether all of it up to the cursor is stored.
    pub(crate) is_complete: bool,
    pub(crate) has_events: bool,
    /// The `PlanCreated` of gated plans.
    pub(crate) created: BTreeMap<PlanId, ChainEvent>,
}

/// The store.
#[derive(Clone, Debug)]
pub(crate) struct StoreFacts {
    pub(crate) path: PathBuf,
    pub(crate) state: StoreState,
    pub(crate) cursor: Option<Checkpoint>,
    pub(crate) orphans: u64,
    /// Logs of followed contracts that could not be read: how many, and what they may be.
    pub(crate) unknown: Vec<(u64, String)>,
    pub(crate) gates: usize,
    /// Wallets that members have linked, which cannot be read from the chain again.
    pub(crate) links: u64,
    /// When the last complete backup was made.
    pub(crate) last_backup: Option<Timestamp>,
    /// redb's check of the file's pages; `None` where a service has it open.
    pub(crate) pages: Option<Pages>,
    /// Every row, read and decoded.
    pub(crate) rows: RowsRead,
}

/// Whether the store can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreState {
    /// It is made at the first start.
    Absent,
    Open,
    /// One sentence.
    Unusable(String),
}

/// Files and the disk.
#[derive(Clone, Debug)]
pub(crate) struct FileFacts {
    /// Bytes that are free where the store is; or why that is not known.
    pub(crate) space: Result<u64, String>,
    /// The kind of that file system, if it is one over a network.
    pub(crate) network: Option<&'static str>,
    /// Whether the store's folder can be written.
    pub(crate) is_writable: bool,
    /// Files that only their owner may read, with their modes.
    pub(crate) private: Vec<(PathBuf, u32)>,
    /// config.toml's mode, where an address in it holds a key.
    pub(crate) config_with_key: Option<(PathBuf, u32)>,
    /// What is wrong with the key of the cookies.
    pub(crate) cookie_key: Result<(), String>,
}

/// Discord, the bot and its application.
#[derive(Clone, Debug)]
pub(crate) struct DiscordFacts {
    pub(crate) application_id: u64,
    /// Whether the privileged members intent is asked for.
    pub(crate) wants_members: bool,
    pub(crate) bot: BotFacts,
    /// Discord's clock less this machine's, in seconds; `None` where it could not be read.
    pub(crate) clock_ahead: Option<i64>,
    pub(crate) secret: SecretFacts,
    /// Where visitors come back to after signing in.
    pub(crate) callback: String,
}

/// Who the bot is.
#[derive(Clone, Debug)]
pub(crate) enum BotFacts {
    NoToken,
    Refused,
    /// For this reason.
    Unreachable(String),
    Is(Box<Bot>),
}

/// What Discord says of the bot.
#[derive(Clone, Debug)]
pub(crate) struct Bot {
    pub(crate) user: BotUser,
    pub(crate) application: Result<Application, String>,
    pub(crate) starts: Result<SessionStarts, String>,
    pub(crate) commands: CommandFacts,
}

/// What Discord has of the slash commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandFacts {
    Same,
    Different,
    None,
    /// For this reason.
    Refused(String),
    Unknown(String),
}

/// The application's client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretFacts {
    /// `web.sign_in = "none"`.
    NotNeeded,
    Missing,
    Accepted,
    Refused,
    /// For this reason.
    Unknown(String),
}

/// A server with gates.
#[derive(Clone, Debug)]
pub(crate) struct ServerFacts {
    pub(crate) guild: GuildId,
    /// The roles of its gates.
    pub(crate) roles: BTreeSet<RoleId>,
    /// `None`: the bot is not in it. An error: for this reason it is not known.
    pub(crate) seen: Result<Option<SeenServer>, String>,
    /// Configured channels and whether the bot sees them; `None` where that is not known.
    pub(crate) channels: Vec<(&'static str, ChannelId, Option<bool>)>,
}

/// amser's API.
#[derive(Clone, Debug)]
pub(crate) struct ApiFacts {
    pub(crate) base: Url,
    pub(crate) chain_id: u64,
    pub(crate) pointer: String,
    /// The access check as configured; `None` where there is nothing to ask about, or no API for this chain.
    pub(crate) check: Option<ApiAnswer>,
    /// The same with the wallet's parameter under the other name (`address`, `user_address`).
    pub(crate) other_name: Option<(&'static str, ApiAnswer)>,
    pub(crate) key: Option<KeyFacts>,
    /// What the API says of plans.
    pub(crate) plans: BTreeMap<(ModuleAddress, PlanId), NamedPlan>,
}

/// What the API answered to an access check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiAnswer {
    /// A boolean where one is expected.
    Boolean,
    /// Something else, with status 200.
    OtherShape,
    Status(u16),
    /// For this reason.
    Unreachable(String),
}

/// The merchant's API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    pub(crate) environment: KeyEnvironment,
    /// Whether the API's address lets it be sent.
    pub(crate) is_sent: bool,
    /// The API's status of the first merchant whose plans it opens; of a refusal where it opens no merchant's. `None` where that
    /// is not known.
    pub(crate) status: Option<u16>,
}

/// What a key's prefix says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyEnvironment {
    Live,
    Test,
    Unknown,
}

/// The pages.
#[derive(Clone, Debug)]
pub(crate) struct WebFacts {
    pub(crate) public_url: Url,
    pub(crate) listen: SocketAddr,
    pub(crate) proxies: usize,
    pub(crate) monitor_listen: Option<SocketAddr>,
    /// Why the listener of monitors cannot be listened on.
    pub(crate) monitor_trouble: Option<String>,
    pub(crate) signs_in: bool,
    /// Whether Discord is the real one, whose members are elsewhere.
    pub(crate) is_for_others: bool,
    pub(crate) reached: Reached,
}

/// What came of asking the public address for this very service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// `web.listen` cannot be listened on.
    CannotListen(String),
    /// It was not answered, for this reason.
    Unreachable(String),
    /// Something else answered, with this status.
    SomethingElse(u16),
    /// This service, or its stand-in while none runs, was reached, and who asked it.
    Itself(Option<Arrival>),
}

/// How the request for the public address arrived at the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Whether the peer may name the client (`web.trusted_proxies`).
    pub(crate) is_trusted: bool,
    /// Entries of `X-Forwarded-For`.
    pub(crate) forwarded: usize,
}

/// What the running service says of itself.
#[derive(Clone, Debug)]
pub(crate) struct ServiceFacts {
    pub(crate) chain: ChainStatus,
    pub(crate) discord: DiscordStatus,
    pub(crate) drift: DriftStatus,
}
