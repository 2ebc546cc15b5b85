//! A history that is folded in before a program is served: it takes sequences and is journaled, and nobody is answered.

use super::Engine;
use crate::{
    admit::AdmittedLabel,
    journal::Draft,
    transaction::{Clock, Labelled, Transaction},
    wire,
};

impl Engine {
    /// Folds a transaction of a history into the program at a place, before it is served. It takes a sequence and is
    /// journaled, but no id is remembered.
    pub fn fold_history(&mut self, program: usize, transaction: &Transaction) {
        let Some(served) = self.programs.get_mut(program) else {
            return;
        };
        served.fold(transaction);
        self.tell_history(|draft| draft.history(program as u16, transaction));
    }

    /// Takes in a label of a history; see [`Engine::fold_history`].
    pub fn label_history(&mut self, program: usize, label: &Labelled) {
        let Some(served) = self.programs.get_mut(program) else {
            return;
        };
        served.history.label(&served.plan, label);
        self.tell_history(|draft| {
            draft.label(&AdmittedLabel {
                program: program as u16,
                folds: true,
                class: wire::LabelClass::Unspecified,
                source: wire::LabelSource::Unspecified,
                position: None,
                unanswered: None,
                label: label.clone(),
            });
        });
    }

    fn tell_history(&mut self, tell: impl FnOnce(&mut Draft)) {
        /// Inputs of a history that are sealed together.
        const TOGETHER: u32 = 1_024;
        self.sequence += 1;
        if self.journal.is_none() {
            return;
        }
        if self.draft.is_empty() || self.draft.count >= TOGETHER {
            self.flush_history();
            // A history has no clock of its own.
            self.draft.begin(Clock(0), self.sequence);
        }
        tell(&mut self.draft);
    }

    /// Journals what of a history waits for more.
    pub fn flush_history(&mut self) {
        if let Some(journal) = &mut self.journal
            && !self.draft.is_empty()
        {
            journal.append(&mut self.draft, &self.programs);
            self.draft.bytes.clear();
        }
    }
}
