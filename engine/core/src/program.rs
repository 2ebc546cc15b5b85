//! One program: its plan, the state that its inputs made, its model and policy, and the rows of the drain under way.

use prost::bytes::Bytes;

use crate::{
    admit::{Admitted, Gate, Mode},
    assessment::{Assessment, MadeWith, Tier, Version},
    features::Seen,
    history::History,
    known::Place,
    model::Model,
    plan::Plan,
    policy::{Policy, Verdict},
    transaction::EventTime,
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
    place: Place,
    seen: Seen,
    dropped: u16,
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
        let version = Version {
            model_digest: model
                .as_ref()
                .map_or_else(Bytes::new, |model| Bytes::copy_from_slice(&model.digest)),
            plan_digest: Bytes::copy_from_slice(&plan.digest),
            policy_digest: Bytes::copy_from_slice(&policy.digest),
            features: plan.features.iter().map(|feature| feature.name.clone()).collect(),
            texts: plan.texts.clone(),
        };
        Program {
            name: name.to_owned(),
            gate,
            history: History::new(&plan, complete_since),
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

    /// Reads the features of a transaction, then folds it in; where a score is asked its row waits for `score`.
    pub fn take(&mut self, place: Place, admitted: &Admitted) {
        let transaction = &admitted.transaction;
        let beyond = match admitted.mode {
            Mode::Fold => self.history.is_beyond(&self.plan, transaction.event_time),
            Mode::Score => {
                let seen = self.history.see(&self.plan, transaction, &mut self.row);
                // The one rounding: what is scored is what is remembered.
                self.rows.extend(self.row.iter().map(|&value| value as f32));
                let beyond = seen.is_beyond();
                self.waiting.push(Waiting {
                    place,
                    seen,
                    dropped: admitted.dropped,
                });
                beyond
            }
        };
        if !beyond {
            self.history.fold(&self.plan, transaction);
        }
    }

    /// Runs the model once for all that wait, and hands each assessment over, in order.
    pub fn score(&mut self, mut hand_over: impl FnMut(Place, Assessment)) {
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
            hand_over(waiting.place, assessment);
        }
        self.rows.clear();
    }
}
