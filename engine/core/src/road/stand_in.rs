//! Answering without a model, for a while: while state is recovered, or memory is short.

use super::{Engine, Limits, ProgramError};
use crate::ladder::Cause;

impl Engine {
    /// An engine that answers in this one's place while its state is recovered: by the declared defaults, taking nothing.
    pub fn stand_in(&self) -> Result<Engine, ProgramError> {
        let limits = Limits {
            known_ids: 0,
            ..self.limits.clone()
        };
        let mut engine = Engine::new(
            self.key.clone(),
            self.epochs.last().map_or(0, |&(_, epoch)| epoch),
            limits,
        );
        for program in &self.programs {
            engine.programs.push(program.stand_in(&self.key).map_err(ProgramError)?);
        }
        engine.held = Some(Cause::Recovering);
        Ok(engine)
    }

    /// Takes over from the engine that stood in for it: what that counted goes on.
    pub fn take_over(&mut self, stand_in: &Engine) {
        self.counts.answers.add(&stand_in.counts.answers);
        self.counts.unfolded += stand_in.counts.unfolded;
        self.counts.refused += stand_in.counts.refused;
        for (program, stood_in) in self.programs.iter_mut().zip(&stand_in.programs) {
            program.blind.take_over(&stood_in.blind);
        }
    }

    /// Asks no model from now on, and says why, or asks them again: for whoever sees memory run short.
    pub fn hold_to_default(&mut self, cause: Option<Cause>) {
        self.held = cause;
    }

    pub(super) fn recovers(&self) -> bool {
        self.held == Some(Cause::Recovering)
    }

    /// From now on answers say, or not, that other places' transactions are folded here too far behind them.
    pub fn mirror_behind(&mut self, behind: bool) {
        self.mirror_behind = behind;
    }
}
