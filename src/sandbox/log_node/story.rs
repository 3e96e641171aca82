//! Made-up merchants: an endless, repeatable stream of protocol events that make sense one after another.

use alloy::primitives::{Address, B256, LogData, U256, keccak256};
use alloy::sol_types::SolEvent;

use crate::abi::{PaymentProcessor, SubscriptionModule};
use crate::domain::{
    ChainEvent, EventKind, FailureReason, ModuleAddress, PlanId, Position, SubscriptionId,
    Timestamp, Wallet,
};

/// One made-up log and what it means.
#[derive(Clone, Debug)]
pub struct MadeLog {
    /// Who emits it.
    pub emitter: Address,
    /// Its topics and data.
    pub data: LogData,
    /// What a reader must make of it; `None` for a log about somebody else's module.
    pub event: Option<ChainEvent>,
    /// Block number.
    pub block: u64,
    /// Index within the block.
    pub log_index: u32,
    /// Transaction hash.
    pub transaction: B256,
}

/// What to make up.
#[derive(Clone, Debug)]
pub struct StorySpec {
    /// First block.
    pub first_block: u64,
    /// Logs of each block.
    pub logs_per_block: Vec<usize>,
    /// Watched modules.
    pub modules: usize,
    /// Of a hundred logs, how many the processor emits about somebody else's module.
    pub foreign_percent: u64,
}

/// The processor of all made-up modules.
pub const PROCESSOR: Address = Address::repeat_byte(0xc4);
/// Seconds between payments of every made-up plan.
pub const INTERVAL: u64 = 30 * 86_400;
/// Plans of every made-up module.
pub const PLANS: u64 = 4;
const TOKEN: Address = Address::repeat_byte(0x83);

/// The n-th made-up module.
pub fn module(n: usize) -> Address {
    Address::left_padding_from(&[&[0x5a; 12][..], &(n as u64 + 1).to_be_bytes()].concat())
}

/// The made-up time of a block: one every two seconds.
pub fn block_time(block: u64) -> u64 {
    1_700_000_000 + block * 2
}

/// The made-up hash of a block. It ends with the block's number, so that the node finds the block by it.
pub fn block_hash(block: u64) -> B256 {
    let mut hash = keccak256([&b"block"[..], &block.to_be_bytes()].concat());
    hash[24..].copy_from_slice(&block.to_be_bytes());
    hash
}

/// The block with this made-up hash.
pub fn block_of_hash(hash: B256) -> Option<u64> {
    let number = u64::from_be_bytes(*hash.last_chunk()?);
    (block_hash(number) == hash).then_some(number)
}

/// Makes the logs up, in chain order.
#[derive(Debug)]
pub struct Story {
    spec: StorySpec,
    block: usize,
    index: usize,
    random: u64,
    /// Subscriptions of each module so far: their subscribers.
    subscribers: Vec<Vec<Address>>,
    plans_made: u64,
    /// Where nothing but payments is told: the subscriptions that are made first, of all modules together.
    subscriptions: Option<u64>,
    paid: u64,
}

impl Story {
    /// From the beginning; the same specification gives the same story.
    pub fn new(spec: StorySpec) -> Self {
        let subscribers = vec![Vec::new(); spec.modules];
        Self {
            spec,
            block: 0,
            index: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            subscribers,
            plans_made: 0,
            subscriptions: None,
            paid: 0,
        }
    }

    /// After the plans so many subscriptions are made, and then each is paid in its turn, again and again, in an order
    /// that has nothing to do with their ids.
    pub fn of_payments(spec: StorySpec, subscriptions: u64) -> Self {
        Self {
            subscriptions: Some(subscriptions),
            ..Self::new(spec)
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Emitter, log and meaning of the next event at a block's time.
    fn next_event(&mut self, time: u64) -> (Address, Address, LogData, EventKind) {
        if self.plans_made < PLANS * self.spec.modules as u64 {
            return self.create_plan();
        }
        if let Some(subscriptions) = self.subscriptions {
            return self.next_payment(subscriptions, time);
        }
        let number = self.random(self.spec.modules as u64) as usize;
        let module = module(number);
        let known = self.subscribers[number].len() as u64;
        let dice = self.random(1_000);
        if known == 0 || dice < 80 {
            return self.subscribe(number);
        }
        let id = self.random(known);
        let subscriber = self.subscribers[number][id as usize];
        let subscription = SubscriptionId::from(id + 1);
        let sub_id = subscription.0;
        use SubscriptionModule as M;
        let from_module = |data: LogData, kind| (module, module, data, kind);
        match dice {
            80..840 => self.pay(number, id, time),
            840..880 => {
                let reason = self.random(12) as u8;
                let data = PaymentProcessor::ExecutionFailed {
                    module,
                    id: sub_id,
                    reason,
                };
                let kind = EventKind::ExecutionFailed {
                    subscription,
                    reason: FailureReason(reason),
                };
                (PROCESSOR, module, data.encode_log_data(), kind)
            }
            880..910 => from_module(
                M::SubscriptionPaused {
                    subId: sub_id,
                    subscriber,
                }
                .encode_log_data(),
                EventKind::SubscriptionPaused { subscription },
            ),
            910..935 => from_module(
                M::SubscriptionResumed {
                    subId: sub_id,
                    subscriber,
                }
                .encode_log_data(),
                EventKind::SubscriptionResumed { subscription },
            ),
            935..955 => from_module(
                M::SubscriptionCancelled {
                    subId: sub_id,
                    subscriber,
                }
                .encode_log_data(),
                EventKind::SubscriptionCancelled { subscription },
            ),
            955..975 => {
                let expiry = U256::from(time + INTERVAL * 12);
                from_module(
                    M::SubscriptionExpiryUpdated {
                        subId: sub_id,
                        expiry,
                    }
                    .encode_log_data(),
                    EventKind::SubscriptionExpiryUpdated {
                        subscription,
                        expiry,
                    },
                )
            }
            975..985 => {
                let next = U256::from(time);
                from_module(
                    M::SubscriptionRecovered {
                        subId: sub_id,
                        nextChargeAt: next,
                    }
                    .encode_log_data(),
                    EventKind::SubscriptionRecovered {
                        subscription,
                        next_charge_at: next,
                    },
                )
            }
            985..993 => from_module(
                M::SubscriberBlocked { subscriber }.encode_log_data(),
                EventKind::SubscriberBlocked {
                    subscriber: Wallet(subscriber),
                },
            ),
            _ => from_module(
                M::SubscriberUnblocked { subscriber }.encode_log_data(),
                EventKind::SubscriberUnblocked {
                    subscriber: Wallet(subscriber),
                },
            ),
        }
    }

    fn next_payment(
        &mut self,
        subscriptions: u64,
        time: u64,
    ) -> (Address, Address, LogData, EventKind) {
        let modules = self.spec.modules as u64;
        let made: u64 = self.subscribers.iter().map(|of| of.len() as u64).sum();
        if made < subscriptions {
            return self.subscribe((made % modules) as usize);
        }
        // A prime: it comes by every subscription before it comes by one again.
        let next = self.paid * 7_919 % subscriptions;
        self.paid += 1;
        self.pay((next % modules) as usize, next / modules, time)
    }

    /// A payment of the module's subscription with this index.
    fn pay(&self, number: usize, id: u64, time: u64) -> (Address, Address, LogData, EventKind) {
        let module = module(number);
        let subscriber = self.subscribers[number][id as usize];
        let subscription = SubscriptionId::from(id + 1);
        let amount = U256::from(5_000_000 + id);
        let data = PaymentProcessor::ExecutionExecuted {
            module,
            id: subscription.0,
            payer: subscriber,
            token: TOKEN,
            amount,
            protocolFee: amount / U256::from(100),
            keeper: Address::repeat_byte(0x4e),
            executionTime: U256::from(time),
            windowId: U256::from(time / INTERVAL),
        };
        let kind = EventKind::ExecutionExecuted {
            subscription,
            payer: subscriber,
            amount,
            execution_time: Timestamp(time),
        };
        (PROCESSOR, module, data.encode_log_data(), kind)
    }

    fn create_plan(&mut self) -> (Address, Address, LogData, EventKind) {
        let module = module((self.plans_made / PLANS) as usize);
        let plan = self.plans_made % PLANS + 1;
        self.plans_made += 1;
        let price = U256::from(5_000_000 * plan);
        let data = SubscriptionModule::PlanCreated {
            planId: U256::from(plan),
            token: TOKEN,
            price,
            interval: INTERVAL,
            gracePeriod: 3 * 86_400,
        };
        let kind = EventKind::PlanCreated {
            plan: PlanId::from(plan),
            token: TOKEN,
            price,
            interval: INTERVAL,
            grace_period: 3 * 86_400,
        };
        (module, module, data.encode_log_data(), kind)
    }

    fn subscribe(&mut self, number: usize) -> (Address, Address, LogData, EventKind) {
        let module = module(number);
        let subscriber = Address::from_word(keccak256(self.random(u64::MAX).to_be_bytes()));
        self.subscribers[number].push(subscriber);
        let id = self.subscribers[number].len() as u64;
        let plan = self.random(PLANS) + 1;
        let data = SubscriptionModule::SubscriptionCreated {
            subId: U256::from(id),
            subscriber,
            planId: U256::from(plan),
            executionBudget: U256::from(12),
            allowanceExpiry: U256::from(2_000_000_000_u64),
        };
        let kind = EventKind::SubscriptionCreated {
            subscription: SubscriptionId::from(id),
            subscriber: Wallet(subscriber),
            plan: PlanId::from(plan),
            execution_budget: U256::from(12),
            allowance_expiry: U256::from(2_000_000_000_u64),
        };
        (module, module, data.encode_log_data(), kind)
    }

    fn foreign(&mut self) -> (Address, LogData) {
        let data = PaymentProcessor::ExecutionExecuted {
            module: Address::repeat_byte(0xee),
            id: U256::from(self.random(1_000_000)),
            payer: Address::repeat_byte(0xed),
            token: TOKEN,
            amount: U256::from(1_000_000),
            protocolFee: U256::ZERO,
            keeper: Address::repeat_byte(0x4e),
            executionTime: U256::from(1),
            windowId: U256::from(1),
        };
        (PROCESSOR, data.encode_log_data())
    }
}

impl Iterator for Story {
    type Item = MadeLog;

    fn next(&mut self) -> Option<MadeLog> {
        while self.index >= *self.spec.logs_per_block.get(self.block)? {
            self.block += 1;
            self.index = 0;
        }
        let block = self.spec.first_block + self.block as u64;
        let log_index = self.index as u32;
        self.index += 1;
        // Two logs share a transaction, as an execution and the token's transfer would.
        let transaction =
            keccak256([block.to_be_bytes(), u64::from(log_index / 2).to_be_bytes()].concat());
        let (emitter, data, event) = if self.random(100) < self.spec.foreign_percent {
            let (emitter, data) = self.foreign();
            (emitter, data, None)
        } else {
            let (emitter, module, data, kind) = self.next_event(block_time(block));
            let event = ChainEvent {
                module: ModuleAddress(module),
                position: Position { block, log_index },
                transaction,
                timestamp: Some(Timestamp(block_time(block))),
                kind,
            };
            (emitter, data, Some(event))
        };
        Some(MadeLog {
            emitter,
            data,
            event,
            block,
            log_index,
            transaction,
        })
    }
}
