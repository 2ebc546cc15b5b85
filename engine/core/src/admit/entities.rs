//! Entity keys: names become slots, values become hashes.

use super::{Gate, text};
use crate::{
    card_number,
    plan::Plan,
    policy::CardNumberInKey,
    refusal::Refusal,
    transaction::{KeyHash, MAX_ENTITIES},
    wire,
};

impl Gate {
    /// The keys by the plan's slot. `place` is the field that holds them.
    pub(super) fn entities(
        &self,
        plan: &Plan,
        place: &str,
        sent: &[wire::EntityKey],
    ) -> Result<[Option<KeyHash>; MAX_ENTITIES], Refusal> {
        let mut keys = [None; MAX_ENTITIES];
        for (i, entity) in sent.iter().enumerate() {
            // The path is written only when it is needed: this loop is on every transaction's way.
            let refuse = |field: &str, what: String| Err(Refusal::invalid(format!("{place}[{i}].{field}"), what));
            let Some(slot) = plan.entities.iter().position(|name| *name == entity.name) else {
                return refuse(
                    "name",
                    format!("is not an entity of the plan, which has {}", plan.entities.join(", ")),
                );
            };
            if keys[slot].is_some() {
                return refuse("name", "is given twice".to_owned());
            }
            text::ID
                .check("value", &entity.value)
                .map_err(|refusal| refusal.within(&format!("{place}[{i}]")))?;
            if self.card_number_in_key == CardNumberInKey::Refuse && card_number::is_within(&entity.value) {
                return refuse(
                    "value",
                    "is a card number, which this program refuses: send a token".to_owned(),
                );
            }
            keys[slot] = Some(self.entity(slot, &entity.value));
        }
        Ok(keys)
    }
}
