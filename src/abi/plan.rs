//! What `getPlan` answers. Its selector says nothing of the outputs, so every known layout is tried, and each accepts
//! only an answer that it explains whole.

use alloy::primitives::{Address, B256, U256};
use alloy_json_abi::Function;

use super::wanted::{Field, PLAN_FIELDS};
use super::words::{Check, Parameter, WORD, find, head, lacks};
use crate::domain::{EventKind, Plan};

/// The struct of amser's public documentation, member by member: a static struct is encoded so.
const DOCUMENTED: &str = "function getPlan(uint256 planId) view returns (uint256 price, uint256 interval, uint256 gracePeriod, address token, bytes32 metadataHash, bool active)";
/// What was assumed before, kept for modules that answer so.
const ASSUMED: &str = "function getPlan(uint256 planId) view returns (address token, uint256 price, uint64 interval, uint64 gracePeriod, bool active)";

/// The protocol's shortest interval, in seconds.
const SHORTEST_INTERVAL: u64 = 3_600;
/// A thousand years, in seconds: a longer interval or grace period is a word that means something else.
const LONGEST_PERIOD: u64 = 31_557_600_000;

/// One way in which `getPlan` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlanLayout {
    /// The word of each of [`PLAN_FIELDS`].
    words_of: [usize; PLAN_FIELDS.len()],
    checks: Vec<(usize, Check)>,
    words: usize,
    is_dynamic: bool,
    /// Whether the answer is one struct of unknown length, which is preceded by where it begins.
    is_wrapped: bool,
}

/// Why an answer of `getPlan` gives no terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanAnswerError {
    /// Nothing at all: there is no contract, or one without `getPlan`.
    #[error("answers nothing")]
    Empty,
    /// Zeros alone.
    #[error("answers zeros, as for a plan that does not exist")]
    NoSuchPlan,
    /// No known layout explains it.
    #[error("answers with another shape (add the contract's ABI file to chain.abi)")]
    OtherShape,
    /// Several of the configured layouts explain it, with different terms.
    #[error("answers what two files of chain.abi read differently")]
    Ambiguous,
}

/// The layouts of `getPlan`: those of the configuration go before the built-in ones, since a configured file is about
/// the contracts that are really deployed.
#[derive(Clone, Debug, Default)]
pub(super) struct PlanLayouts {
    configured: Vec<PlanLayout>,
    built_in: Vec<PlanLayout>,
}

impl PlanLayouts {
    /// Those that need no file.
    pub(super) fn built_in() -> Self {
        let layout = |signature| {
            let function = Function::parse(signature).expect("a constant signature is valid");
            PlanLayout::of(&function).expect("a constant signature has every field")
        };
        Self {
            configured: Vec::new(),
            built_in: [DOCUMENTED, ASSUMED].map(layout).into(),
        }
    }

    /// One more, of a configured file.
    pub(super) fn add(&mut self, layout: PlanLayout) {
        if !self.configured.contains(&layout) {
            self.configured.push(layout);
        }
    }

    /// Whether a configured file has a usable `getPlan`.
    pub(super) fn are_configured(&self) -> bool {
        !self.configured.is_empty()
    }

    pub(super) fn decode(&self, answer: &[u8]) -> Result<Plan, PlanAnswerError> {
        if answer.is_empty() {
            return Err(PlanAnswerError::Empty);
        }
        if answer.iter().all(|byte| *byte == 0) {
            return Err(PlanAnswerError::NoSuchPlan);
        }
        for layouts in [&self.configured, &self.built_in] {
            let mut read = layouts.iter().filter_map(|layout| layout.decode(answer));
            if let Some(plan) = read.next() {
                return match read.all(|other| other == plan) {
                    true => Ok(plan),
                    false => Err(PlanAnswerError::Ambiguous),
                };
            }
        }
        Err(PlanAnswerError::OtherShape)
    }
}

impl PlanLayout {
    /// By the names of the function's outputs, which may be a struct or stand alone.
    ///
    /// # Errors
    /// A half-sentence on the first output that is missing.
    pub(super) fn of(function: &Function) -> Result<Self, String> {
        let flat = head(function.outputs.iter().map(Parameter::from));
        let (head, is_wrapped) = match function.outputs.as_slice() {
            [only] if only.ty == "tuple" && flat.is_dynamic => {
                (head(only.components.iter().map(Parameter::from)), true)
            }
            _ => (flat, false),
        };
        let mut words_of = [0; PLAN_FIELDS.len()];
        for (word, field) in words_of.iter_mut().zip(PLAN_FIELDS) {
            let found = find(field, &head.leaves).ok_or_else(|| lacks(field, &head.leaves))?;
            *word = head.leaves[found].word;
        }
        let checks = head.leaves.iter();
        Ok(Self {
            words_of,
            checks: checks
                .filter_map(|leaf| Some((leaf.word, leaf.check?)))
                .collect(),
            words: head.words,
            is_dynamic: head.is_dynamic,
            is_wrapped,
        })
    }

    fn decode(&self, answer: &[u8]) -> Option<Plan> {
        let body = match self.is_wrapped {
            false => answer,
            true => {
                let (offset, body) = answer.split_first_chunk::<WORD>()?;
                (U256::from_be_bytes(*offset) == U256::from(WORD)).then_some(body)?
            }
        };
        let length = self.words.saturating_mul(WORD);
        if body.len() < length || (!self.is_dynamic && body.len() != length) {
            return None;
        }
        let word = |index: usize| body.get(index * WORD..)?.first_chunk::<WORD>();
        for (index, check) in &self.checks {
            word(*index).filter(|word| check.passes(word))?;
        }
        let at = |field: Field| {
            let index = PLAN_FIELDS.iter().position(|other| *other == field)?;
            word(self.words_of[index])
        };
        let seconds = |field, least| {
            let seconds = u64::try_from(U256::from_be_bytes(*at(field)?)).ok()?;
            (least..=LONGEST_PERIOD)
                .contains(&seconds)
                .then_some(seconds)
        };
        let token = Address::from_word(B256::new(*at(Field::Token)?));
        Some(Plan {
            token: (!token.is_zero()).then_some(token)?,
            price: U256::from_be_bytes(*at(Field::Price)?),
            interval: seconds(Field::Interval, SHORTEST_INTERVAL)?,
            grace_period: seconds(Field::GracePeriod, 0)?,
            active: at(Field::Active)?[WORD - 1] == 1,
        })
    }
}

/// In which term `getPlan` contradicts the `PlanCreated` of the same plan: then one of the two is read by the wrong
/// layout. `None` where they agree, or `created` is another event.
pub fn contradiction(plan: &Plan, created: &EventKind) -> Option<String> {
    let EventKind::PlanCreated {
        token,
        price,
        interval,
        grace_period,
        ..
    } = created
    else {
        return None;
    };
    let terms = [
        ("token", plan.token.to_string(), token.to_string()),
        ("price", plan.price.to_string(), price.to_string()),
        ("interval", plan.interval.to_string(), interval.to_string()),
        (
            "gracePeriod",
            plan.grace_period.to_string(),
            grace_period.to_string(),
        ),
    ];
    let (name, read, told) = terms.into_iter().find(|(_, read, told)| read != told)?;
    Some(format!(
        "getPlan says {name} = {read}, PlanCreated says {told}: one of them is read by the wrong ABI"
    ))
}

#[cfg(test)]
mod tests;
