//! The local chain: a real anvil with the protocol's contracts deployed, driven as merchants, subscribers and keepers
//! would drive it.
//!
//! Every account is impersonated and gas is free, so any address can act without a key or a balance of ether. `other` does
//! the same on nodes that are not anvil.

mod funds;
mod life;
mod module;
mod other;
mod process;
mod send;
mod time;

use std::sync::Arc;

use alloy::network::Ethereum;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::providers::{Provider as _, ProviderBuilder, RootProvider};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolEvent;
use anyhow::{Context, Result};
use url::Url;

use crate::abi::{
    DriftedModule, Layouts, LookAlike, PaymentProcessor, RAIModuleFactory, SubscriptionModule,
    TestToken,
};

pub use life::Execution;
pub use module::{PlanTerms, SubscriptionState, logged};
pub use other::{NodeKind, NodeProgram};
pub use process::anvil_program;
pub use send::{Reverted, transaction};
pub use time::Head;

/// The factory's id for subscription modules.
pub const SUBSCRIPTION_MODULE_ID: u64 = 0;
/// The local factory's id for modules with another ABI, `abi/DriftedModule.json`; amser has no such id.
pub const DRIFTED_MODULE_ID: u64 = 1_000;
/// The protocol fee of the local processors, in basis points.
pub const PROTOCOL_FEE_BPS: u16 = 100;

/// How the local chain makes its blocks.
#[derive(Clone, Debug)]
pub struct ChainOptions {
    /// The chain id; anvil's usual 31337.
    pub chain_id: u64,
    /// The loopback port; 0 lets the system choose.
    pub port: u16,
    /// A block every so many seconds once the contracts are deployed; `None` makes one for each transaction.
    pub block_time_seconds: Option<u64>,
    /// Seconds between the timestamps of one block and the next, so that a story is the same on every run; `None`
    /// follows the machine's clock.
    pub timestamp_step_seconds: Option<u64>,
    /// How many blocks' states are kept: how deep a reorg can go.
    pub kept_states: usize,
    /// The EVM's rules by anvil's name for them, such as `shanghai`; `None` for anvil's newest.
    pub hardfork: Option<&'static str>,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            port: 0,
            block_time_seconds: None,
            timestamp_step_seconds: Some(2),
            kept_states: 1_000,
            hardfork: None,
        }
    }
}

/// A running local chain. Dropping it stops its node.
#[derive(Debug)]
pub struct LocalChain {
    /// The chain id it answers with.
    pub chain_id: u64,
    /// A TestToken with six decimals.
    pub token: Address,
    /// The processor that new modules start with.
    pub processor: Address,
    /// The RAIModuleFactory.
    pub factory: Address,
    /// The block in which the factory was deployed: nothing of the protocol is older.
    pub factory_block: u64,
    /// How all modules that can be deployed here are read.
    layouts: Arc<Layouts>,
    provider: RootProvider<Ethereum>,
    /// Which methods the node has.
    kind: NodeKind,
    process: process::NodeProcess,
}

impl LocalChain {
    /// Starts anvil and deploys the token, the processor, the factory and the module implementations.
    ///
    /// # Errors
    /// When anvil is not installed or does not start.
    pub async fn start(options: ChainOptions) -> Result<Self> {
        let node = NodeProgram {
            program: anvil_program()?,
            arguments: options.arguments(),
            folder: ".".into(),
            kind: NodeKind::Anvil,
        };
        let mut chain = Self::without_contracts(node).await?;
        if let Some(seconds) = options.timestamp_step_seconds {
            chain.set_timestamp_step(seconds).await?;
        }
        chain.deploy_protocol().await?;
        if let Some(seconds) = options.block_time_seconds {
            chain.set_block_time(seconds).await?;
        }
        Ok(chain)
    }

    /// Another chain with the same id that shares this one's blocks up to `block` and goes its own way from there. It asks
    /// this one for them, so it lives no longer.
    ///
    /// # Errors
    /// When anvil does not start.
    pub async fn fork(&self, block: u64) -> Result<Self> {
        let options = ChainOptions {
            chain_id: self.chain_id,
            ..ChainOptions::default()
        };
        let mut arguments = options.arguments();
        arguments.extend([
            "--fork-url".to_owned(),
            self.http_url(),
            "--fork-block-number".to_owned(),
            block.to_string(),
            "--no-storage-caching".to_owned(),
        ]);
        let forked = Self::without_contracts(NodeProgram {
            program: anvil_program()?,
            arguments,
            folder: ".".into(),
            kind: NodeKind::Anvil,
        })
        .await?;
        Ok(Self {
            token: self.token,
            processor: self.processor,
            factory: self.factory,
            factory_block: self.factory_block,
            ..forked
        })
    }

    /// Starts a node that has no contracts yet.
    async fn without_contracts(node: NodeProgram) -> Result<Self> {
        let process =
            process::NodeProcess::start(&node.program, &node.arguments, &node.folder).await?;
        let url: Url = format!("http://{}", process.address)
            .parse()
            .context("the node's address as a URL")?;
        // On this machine, whatever proxy the environment names.
        let direct = crate::http::local_client().build();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_reqwest(direct.context("making an HTTP client")?, url);
        let chain_id = provider.get_chain_id().await.context("ask the chain id")?;
        Ok(Self {
            chain_id,
            token: Address::ZERO,
            processor: Address::ZERO,
            factory: Address::ZERO,
            factory_block: 0,
            layouts: layouts()?,
            provider,
            kind: node.kind,
            process,
        })
    }

    /// The JSON-RPC endpoint over HTTP.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.process.address)
    }

    /// The JSON-RPC endpoint over WebSocket, on the same port.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.process.address)
    }

    /// A plain provider on this chain, for reads that have no function here.
    pub fn provider(&self) -> &RootProvider<Ethereum> {
        &self.provider
    }

    /// Deploys a contract that emits any log from an address of its own.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn deploy_look_alike(&self) -> Result<Address> {
        self.deploy(&LookAlike::BYTECODE, &[]).await
    }

    /// Logs an event from a contract of `deploy_look_alike`.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn emit<E: SolEvent>(
        &self,
        look_alike: Address,
        event: &E,
    ) -> Result<TransactionReceipt> {
        let log = event.encode_log_data();
        let call = LookAlike::emitLogCall {
            topics: log.topics().to_vec(),
            data: log.data.clone(),
        };
        self.send(protocol_owner(), look_alike, &call).await
    }

    /// Deploys one more PaymentProcessor that serves this chain's factory.
    ///
    /// # Errors
    /// When the chain refuses.
    pub async fn deploy_processor(&self) -> Result<Address> {
        let processor = self.deploy_unattached_processor().await?;
        self.send(
            protocol_owner(),
            processor,
            &PaymentProcessor::setFactoryCall {
                factory_: self.factory,
            },
        )
        .await?;
        Ok(processor)
    }

    async fn deploy_protocol(&mut self) -> Result<()> {
        self.place_permit2().await?;
        self.token = self.deploy(&TestToken::BYTECODE, &[]).await?;
        self.processor = self.deploy_unattached_processor().await?;
        let arguments = RAIModuleFactory::constructorCall {
            paymentProcessor_: self.processor,
        };
        let receipt = self
            .deploy_with(&RAIModuleFactory::BYTECODE, &arguments)
            .await?;
        self.factory = receipt
            .contract_address
            .context("the factory's receipt names no contract")?;
        self.factory_block = receipt
            .block_number
            .context("the factory's receipt names no block")?;
        let owner = protocol_owner();
        self.send(
            owner,
            self.processor,
            &PaymentProcessor::setFactoryCall {
                factory_: self.factory,
            },
        )
        .await?;
        for (module_id, code) in [
            (SUBSCRIPTION_MODULE_ID, &SubscriptionModule::BYTECODE),
            (DRIFTED_MODULE_ID, &DriftedModule::BYTECODE),
        ] {
            let implementation = self.deploy(code, &[]).await?;
            let call = RAIModuleFactory::setImplementationCall {
                moduleId: U256::from(module_id),
                implementation,
            };
            self.send(owner, self.factory, &call).await?;
        }
        Ok(())
    }

    async fn deploy_unattached_processor(&self) -> Result<Address> {
        let arguments = PaymentProcessor::constructorCall {
            feeRecipient_: fee_recipient(),
            feeBps_: PROTOCOL_FEE_BPS,
        };
        let receipt = self
            .deploy_with(&PaymentProcessor::BYTECODE, &arguments)
            .await?;
        receipt
            .contract_address
            .context("the processor's receipt names no contract")
    }
}

impl ChainOptions {
    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--host",
            "127.0.0.1",
            "--accounts",
            "1",
            "--auto-impersonate",
            // Free gas: no account needs ether, so any address can act.
            "--gas-price",
            "0",
            "--block-base-fee-per-gas",
            "0",
            "--disable-min-priority-fee",
            "--gas-limit",
            "10000000000",
        ]
        .map(String::from)
        .into();
        let pairs = [
            ("--port", self.port.to_string()),
            ("--chain-id", self.chain_id.to_string()),
            // States beyond the limit are dropped, not written to the home directory.
            ("--prune-history", self.kept_states.to_string()),
        ];
        let hardfork = self.hardfork.map(|name| ("--hardfork", name.to_owned()));
        for (name, value) in pairs.into_iter().chain(hardfork) {
            arguments.extend([name.to_owned(), value]);
        }
        arguments
    }
}

fn layouts() -> Result<Arc<Layouts>> {
    let drifted = include_str!("../../abi/DriftedModule.json").to_owned();
    let files = [("abi/DriftedModule.json".to_owned(), drifted)];
    Layouts::with(&files).context("read abi/")
}

/// The account that deploys the protocol and may migrate modules.
pub fn protocol_owner() -> Address {
    wallet("protocol owner").address()
}

/// The account that receives the protocol's fees.
pub fn fee_recipient() -> Address {
    wallet("fee recipient").address()
}

/// The account that calls `execute` here; anyone else could.
pub fn keeper() -> Address {
    wallet("keeper").address()
}

/// A key that is the same on every run for the same name. Worth nothing outside a local chain.
pub fn wallet(name: &str) -> PrivateKeySigner {
    let seed = keccak256(format!("amser-roles local chain: {name}"));
    PrivateKeySigner::from_bytes(&B256::from(seed))
        .expect("a Keccak hash is a valid key but for odds of 1 in 2^127")
}
