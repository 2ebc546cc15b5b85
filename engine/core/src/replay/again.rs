//! What comes out again of a journal: the features that a transaction would see in the state before it, and what they
//! would be answered. Whoever audits compares that with what is journaled. Nothing changes but caches.

use super::{Place, Replay};
use crate::{admit::Admitted, assessment::Assessment, features::Seen, model::Model, program::Program};

impl Replay<'_> {
    /// Writes the features that a transaction would see if it came next, as they are scored, to `row`, and says the rest.
    /// `None` when its program is not replayed, or folded under another plan now.
    pub fn would_see(&mut self, admitted: &Admitted, row: &mut Vec<f32>) -> Option<Seen> {
        let (_, program) = self.as_it_was(admitted)?;
        row.clear();
        Some(program.would_see(&admitted.transaction, row))
    }

    /// What a row would be answered if it came next, by `model` and on the rung that the journaled answer stood on: the
    /// policy is the one that is replayed under. `None` as above.
    pub fn would_answer(
        &mut self,
        model: Option<&mut Model>,
        admitted: &Admitted,
        seen: Seen,
        row: &[f32],
    ) -> Option<Assessment> {
        let (place, program) = self.as_it_was(admitted)?;
        let mut assessment = program.would_answer(model, admitted, seen, row);
        assessment.made_with = place.made_with;
        Some(assessment)
    }

    fn as_it_was(&mut self, admitted: &Admitted) -> Option<(&Place, &mut Program)> {
        let place = self.stated.get(usize::from(admitted.program))?.as_ref()?;
        if place.moved.is_some() {
            return None;
        }
        Some((place, &mut self.engine.programs[usize::from(place.made_with.program)]))
    }
}
