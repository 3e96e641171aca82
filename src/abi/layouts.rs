//! The layouts of all known events: those of `abi/` and those of the files in `chain.abi`. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use alloy::primitives::B256;
use alloy_json_abi::{Function, JsonAbi};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::guess;
use super::layout::{Fields, Layout};
use super::plan::{PlanAnswerError, PlanLayout, PlanLayouts};
use super::wanted::{Contract, KnownEvent, Need, WANTED, Wanted};
use crate::domain::Plan;

/// The ABIs that need no configuration.
const BUILT_IN: [(&str, &str); 3] = [
    (
        "abi/SubscriptionModule.json",
        include_str!("../../abi/SubscriptionModule.json"),
    ),
    (
        "abi/PaymentProcessor.json",
        include_str!("../../abi/PaymentProcessor.json"),
    ),
    (
        "abi/RAIModuleFactory.json",
        include_str!("../../abi/RAIModuleFactory.json"),
    ),
];

/// How the logs of the protocol's contracts, and the answers of `getPlan`, are read.
#[derive(Debug)]
pub struct Layouts {
    /// In the order of their keys.
    layouts: Vec<Layout>,
    topics: Vec<B256>,
    /// The signature of every event of the files, whether it is followed or not.
    names: FxHashMap<B256, String>,
    /// Signatures that the followed events might have elsewhere; made when the first unknown topic is met.
    guesses: OnceLock<FxHashMap<B256, String>>,
    plans: PlanLayouts,
    notes: Vec<String>,
}

/// Why ABI files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AbiError {
    /// The index of the file; `None` where it is all of them together.
    pub file: Option<usize>,
    /// One sentence or two: what is wrong, in which file, what to do.
    pub message: String,
}

/// What one file says.
struct File {
    layouts: Vec<Layout>,
    /// Followed events that lack a field.
    unusable: Vec<(&'static Wanted, String)>,
    plan: Option<Result<PlanLayout, String>>,
    names: FxHashMap<B256, String>,
}

impl Layouts {
    /// Those of `abi/` alone.
    pub fn built_in() -> Arc<Self> {
        Self::with(&[]).expect("abi/ has every event that is followed (a test reads it)")
    }

    /// Those of `abi/` and of these files, each a name for error messages and a JSON text: an ABI as block explorers
    /// give it, or an artifact with a member `abi`. Where a file and `abi/` read the same logs differently, the file
    /// counts.
    ///
    /// # Errors
    /// A file that is no ABI, two files that read the same logs differently, and files in which an event that the
    /// rules need is missing or lacks a needed field.
    pub fn with(files: &[(String, String)]) -> Result<Arc<Self>, AbiError> {
        let mut all = Self {
            layouts: Vec::new(),
            topics: Vec::new(),
            names: FxHashMap::default(),
            guesses: OnceLock::new(),
            plans: PlanLayouts::built_in(),
            notes: Vec::new(),
        };
        let mut configured: BTreeMap<(B256, usize), (Layout, usize)> = BTreeMap::new();
        let mut unusable = Vec::new();
        for (index, (name, text)) in files.iter().enumerate() {
            let wrong = |message| AbiError {
                file: Some(index),
                message,
            };
            let file = File::parse(name, text).map_err(wrong)?;
            for layout in file.layouts {
                if let Some((other, from)) = configured.get(&layout.key())
                    && !other.reads_like(&layout)
                {
                    let (event, from) = (&file.names[&layout.key().0], &files[*from].0);
                    return Err(wrong(format!(
                        "{name} and {from} give the parameters of {event} different names or places, and their logs cannot be told apart; remove one of the two"
                    )));
                }
                configured.insert(layout.key(), (layout, index));
            }
            match file.plan {
                Some(Ok(layout)) => all.plans.add(layout),
                Some(Err(lack)) => all.notes.push(format!(
                    "getPlan of {name} cannot be used: {lack}; the built-in layouts are tried instead"
                )),
                None => {}
            }
            unusable.extend(
                file.unusable
                    .into_iter()
                    .map(|(wanted, lack)| (index, wanted, lack)),
            );
            all.names.extend(file.names);
        }
        if !files.is_empty() {
            all.check_complete(files, &configured, unusable)?;
        }
        for (name, text) in BUILT_IN {
            let file = File::parse(name, text).map_err(|message| AbiError {
                file: None,
                message,
            })?;
            for layout in file.layouts {
                match configured.get(&layout.key()) {
                    Some((other, from)) if !other.reads_like(&layout) => all.notes.push(format!(
                        "{} is read as {} has it, not as {name}",
                        file.names[&layout.key().0],
                        files[*from].0
                    )),
                    Some(_) => {}
                    None => all.layouts.push(layout),
                }
            }
            for (topic, signature) in file.names {
                all.names.entry(topic).or_insert(signature);
            }
        }
        all.layouts
            .extend(configured.into_values().map(|(layout, _)| layout));
        all.layouts.sort_by_key(Layout::key);
        all.topics = all.layouts.iter().map(|layout| layout.key().0).collect();
        all.topics.dedup();
        Ok(Arc::new(all))
    }

    /// The first topics of all followed events, in order: what a filter by topic asks for.
    pub fn topics(&self) -> &[B256] {
        &self.topics
    }

    /// The signature of the event with this first topic, such as `TierChanged(uint256,uint256)`: any event of the files, or a likely
    /// variant of one that is followed.
    pub fn name_of(&self, topic: &B256) -> Option<&str> {
        let names = self.names.get(topic);
        let name = names.or_else(|| self.guesses.get_or_init(guess::signatures).get(topic));
        name.map(String::as_str)
    }

    /// Whether the event with this first topic is one of the known contracts' that no rule needs.
    pub fn is_unread(&self, topic: &B256) -> bool {
        self.names.contains_key(topic) && !self.topics.contains(topic)
    }

    /// What a log with this first topic is that could not be read, and what to do: a sentence's second half.
    pub fn explain(&self, topic: &B256) -> String {
        let add = "add the ABI file of the deployed contract (of a proxy: of its implementation) to chain.abi";
        match self.name_of(topic) {
            Some(name) if self.topics.contains(topic) => {
                format!("this is {name} with other indexed parameters or invalid values; {add}")
            }
            Some(name) if self.names.contains_key(topic) => {
                format!("this is {name}, which no rule reads")
            }
            Some(name) => {
                format!("this is probably {name}, which differs from the known ABI; {add}")
            }
            None => format!("the event is not known; {add}"),
        }
    }

    /// What is worth knowing about the configured files though they can be used, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The terms in an answer of `getPlan`.
    ///
    /// # Errors
    /// When no layout, or more than one, explains the answer.
    pub fn plan(&self, answer: &[u8]) -> Result<Plan, PlanAnswerError> {
        self.plans.decode(answer)
    }

    /// The fields of a log, if it is one of a followed event and each word of it is valid.
    pub(crate) fn read<'a>(&'a self, topics: &'a [B256], data: &'a [u8]) -> Option<Fields<'a>> {
        let key = (*topics.first()?, topics.len());
        let found = self.layouts.binary_search_by_key(&key, Layout::key).ok()?;
        self.layouts[found].read(topics, data)
    }

    /// Whether the files that are about a kind of contract have all that the rules need of it.
    fn check_complete(
        &mut self,
        files: &[(String, String)],
        configured: &BTreeMap<(B256, usize), (Layout, usize)>,
        unusable: Vec<(usize, &'static Wanted, String)>,
    ) -> Result<(), AbiError> {
        let has = |event: KnownEvent| {
            configured
                .values()
                .any(|(layout, _)| layout.event() == event)
        };
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let mut is_of_use = self.plans.are_configured();
        for contract in [Contract::Module, Contract::Processor] {
            let rows = || WANTED.iter().filter(|row| row.contract == contract);
            let lack = |row: &Wanted| {
                unusable
                    .iter()
                    .find(|(_, other, _)| other.event == row.event)
            };
            if !rows().any(|row| has(row.event) || lack(row).is_some()) {
                continue;
            }
            is_of_use = true;
            for row in rows().filter(|row| !has(row.event)) {
                match (lack(row), row.need) {
                    // The terms are then read from the contract.
                    (Some((file, _, lack)), _)
                        if row.event == KnownEvent::PlanCreated && self.plans.are_configured() =>
                    {
                        let name = &files[*file].0;
                        self.notes.push(format!(
                            "PlanCreated of {name} does not have the plan's terms ({lack}); they are read by getPlan"
                        ));
                    }
                    (Some((file, _, lack)), _) => {
                        let (name, event) = (&files[*file].0, row.name());
                        return Err(AbiError {
                            file: Some(*file),
                            message: format!("{event} of {name} cannot be used: {lack}"),
                        });
                    }
                    (None, Need::Always) => {
                        let event = row.name();
                        return Err(AbiError {
                            file: None,
                            message: format!(
                                "the event {event}, which the rules need, is not in {names}; give the ABI of the contract that emits it (of a proxy: of its implementation)"
                            ),
                        });
                    }
                    (None, Need::Optional) => {
                        let event = row.name();
                        self.notes.push(format!(
                            "the event {event} is not in {names}; it is read as abi/ has it"
                        ));
                    }
                }
            }
        }
        if !is_of_use {
            return Err(AbiError {
                file: None,
                message: format!(
                    "no event that the rules need, such as SubscriptionCreated or ExecutionExecuted, is in {names}; give the ABI of the deployed module or processor (of a proxy: of its implementation)"
                ),
            });
        }
        Ok(())
    }
}

impl File {
    /// # Errors
    /// A sentence: the text is no ABI.
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let abi = parse_abi(text).map_err(|error| {
            format!(
                "{name} is not an ABI file ({error}); give the JSON list that a block explorer shows, or an artifact with a member abi"
            )
        })?;
        let mut file = Self {
            layouts: Vec::new(),
            unusable: Vec::new(),
            plan: None,
            names: FxHashMap::default(),
        };
        for event in abi.events().filter(|event| !event.anonymous) {
            file.names.insert(event.selector(), event.signature());
            let Some(wanted) = Wanted::named(&event.name) else {
                continue;
            };
            match Layout::of(event, wanted) {
                Ok(layout) => file.layouts.push(layout),
                Err(lack) => file.unusable.push((wanted, lack)),
            }
        }
        let plans = || {
            abi.functions()
                .filter(|function| function.name == "getPlan")
        };
        let takes_an_id =
            |function: &&Function| matches!(function.inputs.as_slice(), [id] if id.ty == "uint256");
        file.plan = match plans().find(takes_an_id) {
            Some(function) => Some(PlanLayout::of(function)),
            None => plans()
                .next()
                .map(|_| Err("it does not take one uint256".to_owned())),
        };
        Ok(file)
    }
}

/// An ABI alone, or within an artifact, whose bytecode is not looked at.
fn parse_abi(text: &str) -> Result<JsonAbi, serde_json::Error> {
    #[derive(Deserialize)]
    struct Artifact<'a> {
        #[serde(borrow)]
        abi: &'a RawValue,
    }
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    let artifact: Artifact<'_> = serde_json::from_str(text)?;
    serde_json::from_str(artifact.abi.get())
}

#[cfg(test)]
mod tests;
