//! One program: its plan, the state that its inputs made, its model and policy, and the rows of the drain under way.
//! `rungs.rs` answers them.

mod blind;
mod reviewed;
mod rungs;

pub use blind::Blind;
pub use reviewed::Reviewed;

use crate::{
    admit::{Admitted, Gate, Mode},
    assessment::{MadeWith, Version},
    features::{FeatureSet, Seen},
    history::History,
    journal::{Draft, draft::Unsaid, record::Stated},
    key::HashKey,
    known::Place,
    ladder::{Admission, Cause},
    model::{Model, Runner, Size},
    plan::Plan,
    policy::{Cap, Policy, Segment, Verdict},
    rescore::{self, Rescored, Row},
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Transaction},
    wire,
};
use rungs::Rows;

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
    /// What is answered where no model can, and what was approved so.
    pub blind: Blind,
    /// What the cloud said of it.
    pub reviewed: Reviewed,
    policy: Policy,
    model: Option<Model>,
    /// Features without which no model is asked.
    required: FeatureSet,
    /// Whether it answers for one that can.
    stands_in: bool,
    versions: Vec<Version>,
    place: u16,
    row: Vec<f64>,
    rows: Vec<f32>,
    /// The rows as they were computed, where someone keeps them.
    kept: Option<Vec<f64>>,
    waiting: Vec<Waiting>,
    /// Which of a student's rows wait, and its scores.
    chosen: Rows,
}

/// A transaction whose features are read and whose score is not.
struct Waiting {
    whose: Whose,
    id: KeyHash,
    unsaid: Option<Unsaid>,
    seen: Seen,
    dropped: u16,
    mirror_behind: bool,
    asks: bool,
    admission: Admission,
    segment: Segment,
    event_time: EventTime,
    /// What is exposed where it is approved blind; an amount that is not known cannot be counted.
    exposed: Option<AmountMinor>,
}

impl Waiting {
    /// A row of which nothing is journaled, and which the features that it needs admit to `available`.
    fn new(whose: Whose, admitted: &Admitted, seen: Seen, available: Admission) -> Waiting {
        let transaction = &admitted.transaction;
        Waiting {
            whose,
            id: admitted.id,
            unsaid: None,
            seen,
            dropped: admitted.dropped,
            mirror_behind: admitted.mirror_behind,
            asks: admitted.asks,
            admission: admitted.admission.or_lower(available),
            segment: admitted.segment,
            event_time: transaction.event_time,
            // An event moves no money.
            exposed: transaction
                .amount
                .or((transaction.kind == Kind::Event).then_some(AmountMinor(0))),
        }
    }
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
    /// A program with a state that nothing was taken into yet.
    pub fn new(
        place: u16,
        gate: Gate,
        name: &str,
        plan: Plan,
        policy: Policy,
        model: Option<Model>,
        history: History,
    ) -> Result<Program, String> {
        let model_digest = model.as_ref().map_or(&[][..], |model| &model.digest);
        let version = Version::new(&plan, &policy.digest, model_digest);
        let blind = Blind::new(&policy);
        blind.declared.check_plan(&plan)?;
        let mut required = FeatureSet::default();
        for name in &policy.required_features {
            let feature = plan.features.iter().position(|feature| feature.name == *name);
            required.insert(feature.ok_or("required_features: names what is no feature of the plan")?);
        }
        Ok(Program {
            name: name.to_owned(),
            gate,
            complete_since: history.complete_since(),
            history,
            row: vec![f64::NAN; plan.features.len()],
            plan,
            blind,
            reviewed: Reviewed::default(),
            policy,
            model,
            required,
            stands_in: false,
            versions: vec![version],
            place,
            rows: Vec::new(),
            kept: None,
            waiting: Vec::new(),
            chosen: Rows::default(),
        })
    }

    /// Whether it can answer: with a model, or with what it declares.
    pub fn answers(&self) -> bool {
        self.model.is_some() || self.policy.declared.is_some() || self.stands_in
    }

    /// Keeps the rows that are read from now on, for a door that gives them out.
    pub fn keep_rows(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// The rows kept, one after the other in the order of their inputs; whoever takes them leaves it empty.
    pub fn kept_rows(&mut self) -> &mut Vec<f64> {
        self.kept.get_or_insert_default()
    }

    /// A program that answers in this one's place by its default, without model and history.
    pub(crate) fn stand_in(&self, key: &HashKey) -> Result<Program, String> {
        /// The end of the year 9999: no window begins after it.
        const NOTHING_IS_KNOWN: EventTime = EventTime(253_402_300_799_999_999);
        let gate = Gate::new(self.place, &self.name, &self.plan, key, self.policy.card_number_in_key);
        let (plan, policy) = (self.plan.clone(), self.policy.clone());
        let history = History::new(&plan, NOTHING_IS_KNOWN, self.history.bounds());
        let mut program = Program::new(self.place, gate, &self.name, plan, policy, None, history)?;
        program.stands_in = self.answers();
        Ok(program)
    }

    /// Whether a student of a size is there, resting or not.
    pub fn has(&self, size: Size) -> bool {
        self.model.as_ref().is_some_and(|model| match size {
            Size::Full => true,
            Size::Reduced => model.has_reduced(),
        })
    }

    /// What runs each student that is there.
    pub fn runners(&self) -> impl Iterator<Item = (Size, Runner)> {
        self.model.iter().flat_map(Model::runners)
    }

    /// What an assessment refers to.
    pub fn version(&self, made_with: MadeWith) -> &Version {
        &self.versions[made_with.version as usize]
    }

    /// What assessments may refer to, by number.
    pub(crate) fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// How much may be approved blind.
    pub(crate) fn cap(&self) -> Option<Cap> {
        self.policy.cap()
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
        self.history = History::new(&self.plan, complete_since, self.history.bounds());
        self.complete_since = complete_since;
    }

    /// The program as it stands.
    pub fn stated(&self) -> Stated<'_> {
        Stated {
            program: self.place,
            name: &self.name,
            complete_since: self.complete_since,
            watermark: self.history.watermark(),
            bounds: self.history.bounds(),
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
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&self.row);
        }
        let begin = self.rows.len();
        self.rows.extend(rounded(&self.row));
        let available = match self.required.is_empty() {
            true => Admission::Full,
            false => self.available(&seen),
        };
        let unsaid = draft.map(|draft| draft.scored(admitted, &seen, &self.rows[begin..]));
        self.waiting.push(Waiting {
            unsaid,
            ..Waiting::new(whose, admitted, seen, available)
        });
    }

    /// Appends the features that a transaction would see if it came next. Only caches change.
    pub(crate) fn would_see(&mut self, transaction: &Transaction, row: &mut Vec<f32>) -> Seen {
        let seen = self.history.see(&self.plan, transaction, &mut self.row);
        row.extend(rounded(&self.row));
        seen
    }

    /// Takes in what the cloud said of a transaction. What a door asked for changes nothing: it comes by the topic too.
    pub(crate) fn review(&mut self, rescored: &Rescored) {
        if rescored.asked {
            return;
        }
        self.reviewed.take(rescored);
        if let Some(label) = rescored.label() {
            self.history.label(&self.plan, &label);
        }
    }

    /// The question that the cloud is asked of a transaction whose answer is uncertain.
    pub(crate) fn question(&self, row: Row<impl Iterator<Item = f32>>) -> Option<wire::RescoreRequest> {
        let model_digest = self.model.as_ref().map_or(&[][..], |model| &model.digest);
        rescore::of_one(&self.name, &self.plan, &self.policy, model_digest, row)
    }

    /// Whether it declares what is scored again.
    pub fn is_scored_again(&self) -> bool {
        self.policy.again.is_some()
    }

    /// The verdict that holds by the policy's own.
    pub fn overrule(&self, own: Verdict) -> Verdict {
        self.policy.overrule(own).0
    }

    /// Its place in the engine.
    pub fn place(&self) -> u16 {
        self.place
    }

    /// Whether what the cloud would decline is labelled.
    pub fn labels_rescored(&self) -> bool {
        self.policy.again.as_ref().is_some_and(|again| again.labels)
    }

    /// What the features that are required admit to.
    fn available(&self, seen: &Seen) -> Admission {
        let gone = |feature| seen.missing.contains(feature) || seen.incomplete.contains(feature);
        match self.required.iter().any(gone) {
            true => Admission::Default(Cause::Feature),
            false => Admission::Full,
        }
    }
}

/// The one rounding: what is scored is what is journaled and remembered.
fn rounded(row: &[f64]) -> impl Iterator<Item = f32> + '_ {
    row.iter().map(|&value| value as f32)
}
