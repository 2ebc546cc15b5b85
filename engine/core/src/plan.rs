//! A feature plan: what a program's features are, as Python compiles them, read once when a program is loaded.
//!
//! JSON bytes go in; out comes a [`Plan`] whose every slot, window and filter is resolved and in range, so that nothing is
//! looked up by name on a transaction's way. The digest is that of the bytes as given.

mod attributes;
mod declared;
mod layout;

use std::fmt;

use sha2::{Digest, Sha256};

pub use layout::{Amounts, Column, EntityLayout, Measure, OwnFeature, OwnOp, WindowFeature, WindowOp};

use crate::{
    currency::Currency,
    transaction::{Kind, Kinds},
    wire::LabelClass,
};

/// Most features a plan may declare.
pub const MAX_FEATURES: usize = 256;
/// Longest window, delay or lateness, in microseconds: a hundred years of 365.25 days.
pub const MAX_SPAN_US: i64 = 3_155_760_000_000_000;

/// A validated plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// SHA-256 of the JSON bytes that it was read from.
    pub digest: [u8; 32],
    /// Those bytes: the journal states them.
    pub json: Box<[u8]>,
    /// Its name.
    pub name: String,
    /// The reference currency: the only one that windows sum.
    pub currency: Currency,
    /// Entities by slot.
    pub entities: Vec<String>,
    /// Numeric attributes by slot.
    pub numbers: Vec<String>,
    /// Text attributes by slot.
    pub texts: Vec<String>,
    /// The label classes that count as fraud.
    pub fraud: Vec<LabelClass>,
    /// How far behind the newest folded event time a transaction may come and still be folded, in microseconds.
    pub lateness_us: i64,
    /// The features, in the order of a row.
    pub features: Vec<Feature>,
    /// Features of the transaction's own fields.
    pub own: Vec<OwnFeature>,
    /// Features over an entity's history, and what that history holds, by entity slot.
    pub layouts: Vec<EntityLayout>,
}

impl Plan {
    /// Reads a compiled plan. Unknown members, slots out of range and attributes that must never be stored are refused.
    pub fn parse(json: &[u8]) -> Result<Plan, PlanError> {
        declared::parse(json, Sha256::digest(json).into())
    }

    /// The slot of an entity.
    pub fn entity(&self, name: &str) -> Option<usize> {
        self.entities.iter().position(|known| known == name)
    }

    /// The slot of a numeric attribute.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.iter().position(|known| known == name)
    }

    /// The slot of a text attribute.
    pub fn text(&self, name: &str) -> Option<usize> {
        self.texts.iter().position(|known| known == name)
    }

    /// Whether a label of this class counts as fraud.
    pub fn counts_as_fraud(&self, class: LabelClass) -> bool {
        self.fraud.contains(&class)
    }
}

/// A feature as others speak of it; what it computes stands in [`Plan::own`] or [`Plan::layouts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: String,
}

/// Why a plan was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The member at fault: `features[3].window_us`. Empty when the bytes are no plan at all.
    pub member: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl PlanError {
    fn new(member: impl Into<String>, problem: impl Into<String>) -> PlanError {
        PlanError {
            member: member.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.member.is_empty() {
            write!(f, "plan: {}", self.problem)
        } else {
            write!(f, "plan: {}: {}", self.member, self.problem)
        }
    }
}

impl std::error::Error for PlanError {}

/// The kinds that a filter names.
fn kinds_of(names: &[String], member: &str) -> Result<Kinds, PlanError> {
    if names.is_empty() {
        return Err(PlanError::new(
            member,
            "names no kind; a filter that lets nothing pass counts nothing",
        ));
    }
    let mut kinds = Kinds(0);
    for (place, name) in names.iter().enumerate() {
        let kind = Kind::parse(name)
            .ok_or_else(|| PlanError::new(format!("{member}[{place}]"), "is not a kind of transaction"))?;
        if kinds.contains(kind) {
            return Err(PlanError::new(format!("{member}[{place}]"), "is named twice"));
        }
        kinds.0 |= 1 << kind as u16;
    }
    Ok(kinds)
}
