//! One program: its plan, the state that its inputs made, its model and policy, and the rows of the drain under way.

use crate::{
    admit::{Admitted, Gate, Mode},
    assessment::{Assessment, MadeWith, Tier, Version},
    features::Seen,
    history::History,
    journal::{Draft, draft::Unsaid, record::Stated},
    known::Place,
    model::Model,
    plan::Plan,
    policy::{Policy, Verdict},
    transaction::{EventTime, Transaction},
};

/// A tenant or portfolio that the engine serves.
pub struct Program {
    /// Its name on the wire.
    pub name: String,
    /// Its compiled plan.
    pub plan: Plan,
    /// What its inputs pass first.
    pub gate: Gate,
    /// The state that they made.
    pub history: History,
    /// Since when it is complete.
    pub complete_since: EventTime,
    policy: Policy,
    model: Option<Model>,
    versions: Vec<Version>,
    place: u16,
    row: Vec<f64>,
    rows: Vec<f32>,
    waiting: Vec<Waiting>,
    log_odds: Vec<f32>,
}

/// A transaction whose features are read and whose score is not.
struct Waiting {
    whose: Whose,
    unsaid: Option<Unsaid>,
    seen: Seen,
    dropped: u16,
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// That of an id that was taken.
    Taken(Place),
    /// That of the transaction at this place among those that were read and not taken.
    Read(usize),
}

impl Program {
    /// A program with nothing in its state, complete since a time.
    pub fn new(
        place: u16,
        gate: Gate,
        name: &str,
        plan: Plan,
        policy: Policy,
        model: Option<Model>,
        complete_since: EventTime,
    ) -> Program {
        let model_digest = model.as_ref().map_or(&[][..], |model| &model.digest);
        let version = Version::new(&plan, &policy.digest, model_digest);
        Program {
            name: name.to_owned(),
            gate,
            history: History::new(&plan, complete_since),
            complete_since,
            row: vec![f64::NAN; plan.features.len()],
            plan,
            policy,
            model,
            versions: vec![version],
            place,
            rows: Vec::new(),
            waiting: Vec::new(),
            log_odds: Vec::new(),
        }
    }

    /// Whether it can score.
    pub fn scores(&self) -> bool {
        self.model.is_some()
    }

    /// What an assessment refers to.
    pub fn version(&self, made_with: MadeWith) -> &Version {
        &self.versions[made_with.version as usize]
    }

    /// The number of a version that an earlier life of the scorer answered with.
    pub(crate) fn know_version(&mut self, version: Version) -> u32 {
        let known = self.versions.iter().position(|known| *known == version);
        known.unwrap_or_else(|| {
            self.versions.push(version);
            self.versions.len() - 1
        }) as u32
    }

    /// Begins its state anew, complete since another time.
    pub(crate) fn begin(&mut self, complete_since: EventTime) {
        self.history = History::new(&self.plan, complete_since);
        self.complete_since = complete_since;
    }

    /// The program as it stands.
    pub fn stated(&self) -> Stated<'_> {
        Stated {
            program: self.place,
            name: &self.name,
            complete_since: self.complete_since,
            watermark: self.history.watermark(),
            plan: &self.plan.json,
            policy: &self.policy.json,
            model_digest: self.model.as_ref().map_or(&[], |model| &model.digest),
        }
    }

    /// Reads the features of a transaction, then folds it in; where a score is asked its row waits for `score`.
    pub fn take(&mut self, place: Place, admitted: &Admitted, draft: Option<&mut Draft>) {
        match admitted.mode {
            Mode::Fold => {
                if let Some(draft) = draft {
                    draft.folded(admitted);
                }
            }
            Mode::Score => self.read(Whose::Taken(place), admitted, draft),
        }
        self.fold(&admitted.transaction);
    }

    /// Folds a transaction in, unless it comes too late for that.
    pub(crate) fn fold(&mut self, transaction: &Transaction) {
        if !self.history.is_beyond(&self.plan, transaction.event_time) {
            self.history.fold(&self.plan, transaction);
        }
    }

    /// Reads the features of a transaction; its row waits for `score`.
    pub fn read(&mut self, whose: Whose, admitted: &Admitted, draft: Option<&mut Draft>) {
        let seen = self.history.see(&self.plan, &admitted.transaction, &mut self.row);
        let begin = self.rows.len();
        // The one rounding: what is scored is what is journaled and remembered.
        self.rows.extend(self.row.iter().map(|&value| value as f32));
        self.waiting.push(Waiting {
            whose,
            unsaid: draft.map(|draft| draft.scored(admitted, &seen, &self.rows[begin..])),
            seen,
            dropped: admitted.dropped,
        });
    }

    /// Runs the model once for all that wait, and hands each assessment over, in order.
    pub fn score(&mut self, mut hand_over: impl FnMut(Whose, Option<Unsaid>, Assessment)) {
        if self.waiting.is_empty() {
            return;
        }
        let ran = match &mut self.model {
            Some(model) => model.score(&self.rows, self.waiting.len(), &mut self.log_odds).is_ok(),
            None => false,
        };
        for (i, waiting) in self.waiting.drain(..).enumerate() {
            let scored = if ran {
                self.log_odds.get(i).filter(|log_odds| log_odds.is_finite())
            } else {
                None
            };
            let (tier, own) = match (&self.model, scored) {
                (Some(model), Some(&log_odds)) => {
                    let (fraud_probability, risk_score) = model.calibrate(log_odds);
                    (
                        Tier::Full {
                            fraud_probability,
                            risk_score,
                        },
                        self.policy.verdict(risk_score),
                    )
                }
                _ => (Tier::Default, Verdict::Approve),
            };
            let (verdict, overridden) = self.policy.overrule(own);
            let assessment = Assessment {
                verdict,
                policy_verdict: own,
                overridden,
                tier,
                lateness: waiting.seen.lateness,
                missing: waiting.seen.missing,
                incomplete: waiting.seen.incomplete,
                dropped: waiting.dropped,
                made_with: MadeWith {
                    program: self.place,
                    version: 0,
                },
            };
            hand_over(waiting.whose, waiting.unsaid, assessment);
        }
        self.rows.clear();
    }
}
