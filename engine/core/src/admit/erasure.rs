//! An erasure: whose history is to go, by name and value as transactions give them.

use prost::bytes::Bytes;

use super::{Gate, text::Text};
use crate::{plan::Plan, refusal::Refusal, transaction::KeyHash, wire};

/// An erasure that may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedErasure {
    /// The program's place in the engine.
    pub program: u16,
    /// The entity's slot in the plan.
    pub entity: u8,
    /// The key.
    pub key: KeyHash,
    /// Where the door read it; see [`Admitted::position`](super::Admitted::position).
    pub position: Option<Box<[u8]>>,
    /// The bytes that it came as; see [`Admitted::unanswered`](super::Admitted::unanswered).
    pub unanswered: Option<Bytes>,
}

impl Gate {
    /// Checks an erasure. A card number is taken too where transactions with one are refused: an earlier policy may have
    /// taken it.
    pub fn erasure(&self, plan: &Plan, sent: &wire::EraseRequest) -> Result<AdmittedErasure, Refusal> {
        let Some(entity) = &sent.entity else {
            return Err(Refusal::invalid("entity", "is required"));
        };
        let Some(slot) = plan.entity(&entity.name) else {
            return Err(Refusal::invalid(
                "entity.name",
                format!("is not an entity of the plan, which has {}", plan.entities.join(", ")),
            ));
        };
        Text {
            shortest: 1,
            longest: 128,
        }
        .check("value", &entity.value)
        .map_err(|refusal| refusal.within("entity"))?;
        Ok(AdmittedErasure {
            program: self.program,
            // A plan declares at most 8 entities.
            entity: slot as u8,
            key: self.entity(slot, &entity.value),
            position: None,
            unanswered: None,
        })
    }
}
