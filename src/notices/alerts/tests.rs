use super::*;
use crate::domain::{Contested, HeldBack, REVIEWED_FROM, RoleId, ServerStatus};

const GUILD: GuildId = GuildId(1);
const OTHER: GuildId = GuildId(2);
const SILENT: GuildId = GuildId(3);
const HOLD: Duration = Duration::from_secs(10);

/// A world in which all is well, with two servers that want alerts.
struct World {
    chain: ChainStatus,
    discord: DiscordStatus,
    mode: DriftMode,
    modules: BTreeMap<GuildId, BTreeSet<ModuleAddress>>,
    unknown: BTreeSet<ModuleAddress>,
    channels: BTreeMap<GuildId, ChannelId>,
    rows: BTreeMap<Key, AlertRow>,
    holding: Holding,
    start: Instant,
    seconds: u64,
}

fn server() -> ServerStatus {
    ServerStatus {
        reading: ReadingState::Done,
        queued: 0,
        queue_wait: Duration::ZERO,
        held_back: BTreeMap::new(),
        contested: BTreeMap::new(),
    }
}

fn module(n: u8) -> ModuleAddress {
    ModuleAddress(alloy::primitives::Address::repeat_byte(n))
}

impl World {
    fn new() -> Self {
        let mut chain = ChainStatus::default();
        chain.set_at_tip(true, Instant::now());
        let servers = [GUILD, OTHER, SILENT].map(|guild| (guild, server()));
        Self {
            chain,
            discord: DiscordStatus {
                connected: true,
                servers: servers.into(),
                ..DiscordStatus::default()
            },
            mode: DriftMode::Chain,
            modules: [(GUILD, [module(1)].into()), (OTHER, [module(2)].into())].into(),
            unknown: BTreeSet::new(),
            channels: [(GUILD, ChannelId(11)), (OTHER, ChannelId(12))].into(),
            rows: BTreeMap::new(),
            holding: Holding::default(),
            start: Instant::now(),
            seconds: 0,
        }
    }

    /// Looks after so many more seconds, has every message sent, and returns what was told: the server, the kind, and whether
    /// it began.
    fn look(&mut self, seconds: u64) -> Vec<(GuildId, String, bool)> {
        self.seconds += seconds;
        let facts = Facts {
            chain: &self.chain,
            discord: &self.discord,
            mode: self.mode,
            chain_id: 8_453,
            modules: &self.modules,
            unknown: &self.unknown,
            channels: &self.channels,
            time: Timestamp(1_000 + self.seconds),
            instant: self.start + Duration::from_secs(self.seconds),
        };
        let mut told = Vec::new();
        for (key, row) in changes(&facts, &self.rows, &mut self.holding, HOLD) {
            let begins = row.as_ref().map(|row| row.phase == AlertPhase::Starting);
            told.extend(begins.map(|begins| (key.0, key.1.clone(), begins)));
            match row.filter(|row| row.phase == AlertPhase::Starting) {
                Some(row) => {
                    let phase = AlertPhase::Standing;
                    self.rows.insert(key, AlertRow { phase, ..row });
                }
                None => {
                    self.rows.remove(&key);
                }
            }
        }
        told
    }

    /// The same, and once more after the hold.
    fn told(&mut self, seconds: u64) -> Vec<(GuildId, String, bool)> {
        let mut told = self.look(seconds);
        told.extend(self.look(HOLD.as_secs()));
        told
    }

    fn restart(&mut self) {
        self.holding = Holding::default();
        self.chain = ChainStatus::default();
        self.discord = DiscordStatus::default();
    }
}

fn alert(guild: GuildId, name: &str, begins: bool) -> (GuildId, String, bool) {
    (guild, name.to_owned(), begins)
}

#[test]
fn nothing_is_told_while_all_is_well() {
    assert_eq!(World::new().told(1_000), []);
}

#[test]
fn a_chain_that_is_behind_is_told_everywhere_once_at_its_start_and_once_at_its_end() {
    let mut world = World::new();
    let since = world.start;
    world.chain.set_at_tip(false, since);
    assert_eq!(world.told(60), [], "a moment is forgiven");
    let begins = |guild| alert(guild, "chain_behind", true);
    assert_eq!(world.told(60), [begins(GUILD), begins(OTHER)]);
    assert_eq!(world.told(600), []);
    world.chain.set_at_tip(true, since);
    let ends = |guild| alert(guild, "chain_behind", false);
    assert_eq!(world.told(0), [ends(GUILD), ends(OTHER)]);
    assert_eq!(world.told(600), []);
}

#[test]
fn a_chain_that_stands_still_is_told() {
    let mut world = World::new();
    world.chain.head = Some(crate::domain::Checkpoint {
        number: 1,
        hash: alloy::primitives::B256::ZERO,
        timestamp: Timestamp(1_000),
    });
    assert_eq!(world.told(60), []);
    assert_eq!(world.told(60).len(), 2);
    world.chain.block_time = Some(Duration::from_secs(100));
    assert_eq!(world.told(0).len(), 2, "a slow chain has time");
}

#[test]
fn what_concerns_one_server_is_told_there_alone() {
    let mut world = World::new();
    world
        .discord
        .failing
        .insert((GUILD, Some(RoleId(5))), "too high".to_owned());
    world
        .discord
        .failing
        .insert((SILENT, None), "no channel".to_owned());
    world.unknown.insert(module(2));
    let held = HeldBack {
        removals: 9,
        holders: 10,
        since: Timestamp(5),
    };
    let other = world.discord.servers.get_mut(&OTHER).unwrap();
    other.held_back.insert(RoleId(6), held);
    let contested = Contested {
        members: BTreeSet::new(),
        sentence: "another bot takes it".to_owned(),
    };
    other.contested.insert(RoleId(7), contested);
    let unknown = format!("unknown_logs:{}", module(2));
    assert_eq!(
        world.told(1),
        [
            alert(GUILD, "failing:5", true),
            alert(OTHER, "failing:7", true),
            alert(OTHER, "stopped:6", true),
            alert(OTHER, &unknown, true),
        ]
    );
    world.discord.failing.clear();
    assert_eq!(world.told(1), [alert(GUILD, "failing:5", false)]);
}

#[test]
fn an_intent_that_discord_will_withdraw_for_want_of_a_review_is_told_before() {
    let mut world = World::new();
    world.discord.members = REVIEWED_FROM;
    assert_eq!(world.told(60), [], "it was reviewed");
    world.discord.intent_unreviewed = true;
    let told = [GUILD, OTHER].map(|guild| alert(guild, "intent_review", true));
    assert_eq!(world.told(1), told);
    world.discord.members_intent = MembersIntent::Never;
    assert_eq!(world.told(1).len(), 2, "it is not used any more");
    world.discord.members_intent = MembersIntent::Used;
    world.discord.members = REVIEWED_FROM - 1;
    assert_eq!(world.told(60), [], "a small bot needs none");
}

#[test]
fn what_comes_and_goes_within_the_hold_is_not_told() {
    let mut world = World::new();
    for _ in 0..20 {
        world
            .discord
            .failing
            .insert((GUILD, None), "moved".to_owned());
        assert_eq!(world.look(1), []);
        world.discord.failing.clear();
        assert_eq!(world.look(1), []);
    }
}

#[test]
fn a_restart_repeats_no_alert_and_ends_none_before_it_knows() {
    let mut world = World::new();
    world
        .discord
        .failing
        .insert((GUILD, None), "not there".to_owned());
    assert_eq!(world.told(1), [alert(GUILD, "failing", true)]);
    let known = (world.chain.clone(), world.discord.clone());
    world.restart();
    assert_eq!(world.told(60), [], "nothing is known yet");
    (world.chain, world.discord) = known;
    assert_eq!(world.told(60), [], "it still stands");
    world.restart();
    let well = World::new();
    (world.chain, world.discord) = (well.chain, well.discord);
    assert_eq!(world.told(60), [alert(GUILD, "failing", false)]);
}

#[test]
fn the_fallback_to_the_api_is_told_at_its_start_and_at_its_end() {
    let mut world = World::new();
    let since = Timestamp(5);
    world.mode = DriftMode::Fallback { since };
    assert_eq!(world.told(1).len(), 2);
    world.mode = DriftMode::Chain;
    world.chain.set_at_tip(false, world.start);
    assert_eq!(world.told(1), [], "first the chain is caught up with");
    world.chain.set_at_tip(true, world.start);
    let ends = |guild| alert(guild, "fallback", false);
    assert_eq!(world.told(1), [ends(GUILD), ends(OTHER)]);
}

#[test]
fn an_alert_of_a_server_that_wants_none_any_more_is_forgotten() {
    let mut world = World::new();
    world.discord.members_intent = MembersIntent::Refused;
    assert_eq!(world.told(1).len(), 2);
    world.channels.remove(&GUILD);
    assert_eq!(world.told(1), []);
    let left: Vec<_> = world.rows.keys().map(|(guild, _)| *guild).collect();
    assert_eq!(left, [OTHER]);
}

#[test]
fn a_channel_that_takes_no_messages_is_told_in_the_other_one() {
    let mut world = World::new();
    for channel in [11, 21] {
        world
            .discord
            .channels_refused
            .insert((GUILD, ChannelId(channel)), "no".to_owned());
    }
    assert_eq!(world.told(1), [alert(GUILD, "channel:21", true)]);
}
