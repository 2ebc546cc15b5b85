//! What leaves for the cloud: the journal's records that are marked, as messages of columns. Gets records in their order,
//! gives one message for each program whose transactions it met; hashes, features and amounts go out, and nothing that was
//! sent.

use prost::bytes::{BufMut, Bytes};

use super::{Rescore, Rescored, Why};
use crate::{
    admit::{Admitted, AdmittedErasure},
    assessment::{Assessment, Version},
    journal::record::{Record, Stated},
    plan::Plan,
    policy::{Policy, Verdict},
    wire,
};

/// The most bytes of a message's columns: with its head it stays below the megabyte that a broker takes.
const MOST: usize = 900_000;

/// Gathers what is marked of a journal.
#[derive(Debug)]
pub struct Gathering {
    pop: String,
    epoch: u64,
    /// By the number that a program has in the segment.
    programs: Vec<Option<Columns>>,
    done: Vec<wire::RescoreRequest>,
    reversals: Vec<wire::Reversal>,
    rows: usize,
}

/// What was gathered.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What is to be scored again, by program, in the order of the sequence.
    pub requests: Vec<wire::RescoreRequest>,
    /// What the cloud turned around.
    pub reversals: Vec<wire::Reversal>,
    /// Rows and erasures of all requests.
    pub rows: usize,
}

/// One transaction that is to be scored again.
pub struct Row<'a, F> {
    /// The life of the scorer that took it.
    pub epoch: u64,
    /// Its position.
    pub sequence: u64,
    /// What was asked.
    pub admitted: &'a Admitted,
    /// What was answered.
    pub assessment: &'a Assessment,
    /// Why it is to be scored again.
    pub why: Why,
    /// The features that were scored.
    pub features: F,
}

/// A message of one transaction, for a cloud that is asked at once. The PoP's name is for whoever sends it to fill in.
pub fn of_one(
    program: &str,
    plan: &Plan,
    policy: &Policy,
    model_digest: &[u8],
    row: Row<impl Iterator<Item = f32>>,
) -> Option<wire::RescoreRequest> {
    let mut columns = Columns::new("", program, plan, policy, model_digest);
    columns.push(row);
    columns.finish()
}

/// A stated plan or policy cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

#[derive(Debug)]
struct Columns {
    /// What the columns are of; its own columns are empty.
    head: wire::RescoreRequest,
    entities: usize,
    sequence: Vec<u8>,
    epoch: Vec<u8>,
    transaction: Vec<u8>,
    event_time: Vec<u8>,
    kind: Vec<u8>,
    amount: Vec<u8>,
    keys: Vec<u8>,
    rows: Vec<u8>,
    policy_verdict: Vec<u8>,
    tier: Vec<u8>,
    cause: Vec<u8>,
    reason: Vec<u8>,
    probability: Vec<u8>,
    risk: Vec<u8>,
    erasures: Vec<wire::RescoreErasure>,
}

impl Gathering {
    /// Nothing is gathered yet, for the PoP of a name.
    pub fn new(pop: &str) -> Gathering {
        Gathering {
            pop: pop.to_owned(),
            epoch: 0,
            programs: Vec::new(),
            done: Vec::new(),
            reversals: Vec::new(),
            rows: 0,
        }
    }

    /// The next segment, of a life of the scorer.
    pub fn segment(&mut self, epoch: u64) {
        let before = std::mem::take(&mut self.programs);
        self.done
            .extend(before.into_iter().flatten().filter_map(Columns::finish));
        self.epoch = epoch;
    }

    /// The next record; `sequence` is that of its input.
    pub fn record(&mut self, sequence: u64, record: &Record) -> Result<(), Unreadable> {
        match record {
            Record::Program(stated) => self.program(stated),
            Record::Transaction(admitted, Some(scored)) => {
                if let Rescore::Queued(why) = scored.assessment.rescore
                    && let Some(Some(columns)) = self.programs.get_mut(usize::from(admitted.program))
                {
                    columns.push(Row {
                        epoch: self.epoch,
                        sequence,
                        admitted,
                        assessment: &scored.assessment,
                        why,
                        features: scored.row(),
                    });
                    self.rows += 1;
                    if columns.is_full() {
                        self.done.extend(columns.renew().finish());
                    }
                }
                Ok(())
            }
            Record::Rescored(rescored) => {
                if rescored.reverses() && !rescored.asked {
                    self.reversal(rescored);
                }
                Ok(())
            }
            Record::Erasure(erased) => {
                self.erasure(sequence, erased);
                Ok(())
            }
            Record::Transaction(_, None) | Record::History(..) | Record::Label(_) | Record::Outcome(_) => Ok(()),
            Record::Passed(_) | Record::Again(_) => Ok(()),
        }
    }

    /// Rows and erasures that were gathered since the last were given out.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Gives out what was gathered, and goes on.
    pub fn give(&mut self) -> Gathered {
        let open = self.programs.iter_mut().flatten();
        let open: Vec<_> = open.filter_map(|columns| columns.renew().finish()).collect();
        let mut requests = std::mem::take(&mut self.done);
        requests.extend(open);
        Gathered {
            requests,
            reversals: std::mem::take(&mut self.reversals),
            rows: std::mem::take(&mut self.rows),
        }
    }

    fn program(&mut self, stated: &Stated) -> Result<(), Unreadable> {
        let plan = Plan::parse(stated.plan).map_err(|e| Unreadable(e.to_string()))?;
        let policy = Policy::parse(stated.policy).map_err(|e| Unreadable(e.to_string()))?;
        let number = usize::from(stated.program);
        if number >= self.programs.len() {
            self.programs.resize_with(number + 1, || None);
        }
        let columns = Columns::new(&self.pop, stated.name, &plan, &policy, stated.model_digest);
        let before = self.programs[number].replace(columns);
        self.done.extend(before.and_then(Columns::finish));
        Ok(())
    }

    /// Who keeps rows of before has to take the key from them.
    fn erasure(&mut self, sequence: u64, erased: &AdmittedErasure) {
        let program = self.programs.get_mut(usize::from(erased.program));
        let Some(columns) = program.and_then(Option::as_mut) else {
            return;
        };
        let Some(entity) = columns.head.entities.get(usize::from(erased.entity)) else {
            return;
        };
        columns.erasures.push(wire::RescoreErasure {
            entity: entity.clone(),
            key: Bytes::copy_from_slice(&erased.key.0.to_le_bytes()),
            epoch: self.epoch,
            sequence,
        });
        self.rows += 1;
    }

    fn reversal(&mut self, rescored: &Rescored) {
        let program = self.programs.get(usize::from(rescored.program));
        let Some(program) = program.and_then(Option::as_ref) else {
            return;
        };
        self.reversals.push(wire::Reversal {
            pop: self.pop.clone(),
            program: program.head.program.clone(),
            transaction: Bytes::copy_from_slice(&rescored.subject.transaction.0.to_le_bytes()),
            event_time_us: rescored.subject.event_time.0,
            amount_minor: rescored.amount.map(|amount| amount.0),
            epoch: rescored.answered.epoch,
            sequence: rescored.answered.sequence,
            fraud_probability: rescored.scores.fraud_probability,
            risk_score: rescored.scores.risk_score,
            model_digest: Bytes::copy_from_slice(&rescored.model_digest),
        });
    }
}

impl Columns {
    fn new(pop: &str, program: &str, plan: &Plan, policy: &Policy, model_digest: &[u8]) -> Columns {
        let version = Version::new(plan, &policy.digest, model_digest);
        let threshold = |verdict| {
            let found = policy.thresholds().iter().find(|&&(_, of)| of == verdict);
            found.map(|&(risk_score, _)| risk_score)
        };
        Columns::of(wire::RescoreRequest {
            pop: pop.to_owned(),
            program: program.to_owned(),
            plan_digest: version.plan_digest,
            policy_digest: version.policy_digest,
            model_digest: version.model_digest,
            thresholds: Some(wire::Thresholds {
                challenge: threshold(Verdict::Challenge),
                hold: threshold(Verdict::Hold),
                decline: threshold(Verdict::Decline),
            }),
            entities: plan.entities.clone(),
            // At most 256.
            features: plan.features.len() as u32,
            ..wire::RescoreRequest::default()
        })
    }

    fn of(head: wire::RescoreRequest) -> Columns {
        Columns {
            entities: head.entities.len(),
            head,
            sequence: Vec::new(),
            epoch: Vec::new(),
            transaction: Vec::new(),
            event_time: Vec::new(),
            kind: Vec::new(),
            amount: Vec::new(),
            keys: Vec::new(),
            rows: Vec::new(),
            policy_verdict: Vec::new(),
            tier: Vec::new(),
            cause: Vec::new(),
            reason: Vec::new(),
            probability: Vec::new(),
            risk: Vec::new(),
            erasures: Vec::new(),
        }
    }

    fn push(&mut self, row: Row<impl Iterator<Item = f32>>) {
        let Row {
            admitted, assessment, ..
        } = row;
        let transaction = &admitted.transaction;
        self.sequence.put_u64_le(row.sequence);
        self.epoch.put_u64_le(row.epoch);
        self.transaction.put_u128_le(admitted.id.0);
        self.event_time.put_i64_le(transaction.event_time.0);
        self.kind.put_u8(transaction.kind as u8);
        self.amount.put_i64_le(transaction.amount.map_or(-1, |amount| amount.0));
        for key in transaction.entities.iter().take(self.entities) {
            self.keys.put_u128_le(key.map_or(0, |key| key.0));
        }
        row.features.for_each(|value| self.rows.put_f32_le(value));
        self.policy_verdict.put_u8(assessment.policy_verdict as u8);
        self.tier.put_u8(assessment.tier.to_wire() as u8);
        self.cause
            .put_u8(assessment.tier.cause().map_or(0, |cause| cause as u8));
        self.reason.put_u8(row.why as u8);
        let scores = assessment.tier.scores();
        self.probability
            .put_f64_le(scores.map_or(f64::NAN, |scores| scores.fraud_probability));
        self.risk
            .put_f64_le(scores.map_or(f64::NAN, |scores| scores.risk_score));
    }

    /// Whether one more row might be too many.
    fn is_full(&self) -> bool {
        /// Bytes of a row but for its keys and features.
        const FIXED: usize = 8 + 8 + 16 + 8 + 1 + 8 + 1 + 1 + 1 + 1 + 8 + 8;
        let row = FIXED + 16 * self.entities + 4 * self.head.features as usize;
        self.sequence.len() / 8 * row + row > MOST
    }

    /// What it holds; it goes on with nothing.
    fn renew(&mut self) -> Columns {
        let fresh = Columns::of(self.head.clone());
        std::mem::replace(self, fresh)
    }

    /// The message; none where there is neither a row nor an erasure.
    fn finish(self) -> Option<wire::RescoreRequest> {
        let holds = !self.sequence.is_empty() || !self.erasures.is_empty();
        holds.then(|| wire::RescoreRequest {
            sequence: self.sequence.into(),
            epoch: self.epoch.into(),
            transaction: self.transaction.into(),
            event_time_us: self.event_time.into(),
            kind: self.kind.into(),
            amount_minor: self.amount.into(),
            keys: self.keys.into(),
            rows: self.rows.into(),
            policy_verdict: self.policy_verdict.into(),
            tier: self.tier.into(),
            cause: self.cause.into(),
            reason: self.reason.into(),
            fraud_probability: self.probability.into(),
            risk_score: self.risk.into(),
            erasures: self.erasures,
            ..self.head
        })
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}
