//! State as a fold over the journal: what was journaled is taken in again, in order, with the answers that were given. No
//! model runs, no clock is read; the same records give the same state, and the digest of both is equal.
//!
//! The programs are those that are configured now. Records of one that is not are passed over; when a program's plan has
//! changed, its state is folded anew under the plan of now, entities and numbers by their names.

mod again;
mod ahead;
mod digest;
mod error;
mod moved;

pub use ahead::Ahead;
pub use error::ReplayError;
use moved::{Moved, Place};

use crate::{
    assessment::{Assessment, MadeWith, Tier, Version},
    features::Lateness,
    journal::{
        gap::Gap,
        record::{Record, Scored, Stated},
    },
    known::Taken,
    plan::Plan,
    policy::{Policy, Verdict},
    road::Engine,
    snapshot::Loaded,
    transaction::{AmountMinor, EventTime},
};

/// Takes a journal in again. Segments come in their order.
pub struct Replay<'e> {
    engine: &'e mut Engine,
    /// By the number that a program has in the segment.
    stated: Vec<Option<Place>>,
    /// Whether a program's state was begun, by its place in the engine.
    begun: Vec<bool>,
    /// Whether the journal is there from its beginning: then what is folded must be what was.
    whole: bool,
    /// By a program's place in the engine, the newest input that its state holds already.
    held: Vec<u64>,
    /// The newest input whose id is known already, with its answer.
    known_through: u64,
    /// Whether no segment came yet.
    first: bool,
    /// Inputs taken in.
    pub inputs: u64,
}

impl<'e> Replay<'e> {
    /// Takes a journal in to an engine that serves its programs and has taken nothing yet.
    pub fn new(engine: &'e mut Engine) -> Replay<'e> {
        engine.epochs.clear();
        Replay {
            begun: vec![false; engine.programs.len()],
            held: vec![0; engine.programs.len()],
            engine,
            stated: Vec::new(),
            whole: false,
            known_through: 0,
            first: true,
            inputs: 0,
        }
    }

    /// Takes the rest of a journal in to an engine whose state is a snapshot's. Segments begin with that in which the
    /// snapshot's place is, or before, for a program that could not be taken from it.
    pub fn behind(engine: &'e mut Engine, loaded: &Loaded) -> Replay<'e> {
        let held = |&is_loaded: &bool| if is_loaded { loaded.sequence } else { 0 };
        Replay {
            begun: loaded.programs.clone(),
            held: loaded.programs.iter().map(held).collect(),
            engine,
            stated: Vec::new(),
            whole: false,
            known_through: loaded.sequence,
            first: true,
            inputs: 0,
        }
    }

    /// The next segment: its epoch and the sequence of its first input. Only the first of a journal may begin late: what
    /// stood before it was removed.
    pub fn segment(&mut self, epoch: u64, first: u64) -> Result<(), ReplayError> {
        self.stated.clear();
        if std::mem::take(&mut self.first) {
            self.engine.sequence = first.saturating_sub(1);
            self.whole = first <= 1;
            if first > self.known_through.saturating_add(1) && self.known_through > 0 {
                let expected = self.known_through + 1;
                return Err(ReplayError::Gap { expected, found: first });
            }
        }
        self.expect(first)?;
        if self.engine.epochs.last().is_none_or(|&(_, last)| last < epoch) {
            self.engine.epochs.push((first, epoch));
        }
        Ok(())
    }

    /// Inputs that are lost come next. What features see begins anew behind them, as when all before was removed: a window
    /// that reaches into the gap is unknown. The ids before it are known still.
    pub fn gap(&mut self, gap: &Gap) -> Result<(), ReplayError> {
        self.expect(gap.first)?;
        if gap.inputs() == 0 {
            return Ok(());
        }
        self.engine.sequence = gap.last;
        self.whole = false;
        for ((program, begun), held) in self.engine.programs.iter_mut().zip(&mut self.begun).zip(&mut self.held) {
            // A snapshot from behind the gap holds what was lost.
            if *begun && *held < gap.last {
                program.begin(program.history.watermark().max(EventTime(gap.through_us)));
                *held = 0;
                // Who resumes states since when it is complete.
                *begun = gap.resumes.is_none();
            }
        }
        Ok(())
    }

    /// The next record.
    pub fn record(&mut self, record: &Record) -> Result<(), ReplayError> {
        if let Record::Program(stated) = record {
            return self.program(stated);
        }
        self.engine.sequence += 1;
        self.engine.offsets.take(record.position());
        let sequence = self.engine.sequence;
        self.inputs += u64::from(sequence > self.known_through);
        let number = match record {
            Record::Passed(_) | Record::Again(_) => return Ok(()),
            Record::Program(stated) => stated.program,
            Record::Transaction(admitted, _) => admitted.program,
            Record::History(program, _) => *program,
            Record::Label(admitted) => admitted.program,
            Record::Outcome(admitted) => admitted.program,
            Record::Rescored(rescored) => rescored.program,
            Record::Erasure(admitted) => admitted.program,
        };
        let Some(place) = self.stated.get(usize::from(number)) else {
            return Err(ReplayError::Unstated { sequence });
        };
        let Some(place) = place else { return Ok(()) };
        let held = self.held[usize::from(place.made_with.program)];
        if sequence <= held {
            return Ok(());
        }
        // Behind a snapshot, what was taken was taken in the state that it holds.
        let whole = self.whole || held > 0;
        let program = &mut self.engine.programs[usize::from(place.made_with.program)];
        match record {
            Record::Transaction(admitted, scored) => {
                let beyond = program
                    .history
                    .is_beyond(&program.plan, admitted.transaction.event_time);
                if let Some(Scored { assessment, .. }) = scored {
                    // What was removed may have been later than all that is left.
                    if whole && place.moved.is_none() && beyond != (assessment.lateness == Lateness::Beyond) {
                        return Err(ReplayError::Diverged { sequence });
                    }
                    if let (Tier::Default(..), Verdict::Approve, Some(AmountMinor(minor))) =
                        (assessment.tier, assessment.policy_verdict, admitted.transaction.amount)
                    {
                        program.blind.count_again(admitted.transaction.event_time, minor);
                    }
                }
                if sequence > self.known_through {
                    let made_with = place.made_with;
                    let answer = scored.as_ref().map(|Scored { assessment, .. }| Assessment {
                        made_with,
                        ..assessment.clone()
                    });
                    let known = &mut self.engine.known;
                    known.remember(Taken {
                        id: admitted.id,
                        payload: admitted.payload,
                        sequence,
                        assessment: answer,
                    });
                }
                match &place.moved {
                    None => program.fold(&admitted.transaction),
                    Some(moved) => program.fold(&moved.transaction(&admitted.transaction)),
                }
            }
            Record::History(_, transaction) => match &place.moved {
                None => program.fold(transaction),
                Some(moved) => program.fold(&moved.transaction(transaction)),
            },
            Record::Label(admitted) if admitted.folds => match &place.moved {
                None => program.history.label(&program.plan, &admitted.label),
                Some(moved) => {
                    let mut label = admitted.label.clone();
                    label.entities = moved.entities(&label.entities);
                    program.history.label(&program.plan, &label);
                }
            },
            Record::Rescored(rescored) => match &place.moved {
                None => program.review(rescored),
                Some(moved) => {
                    let mut rescored = rescored.clone();
                    rescored.subject.entities = moved.entities(&rescored.subject.entities);
                    program.review(&rescored);
                }
            },
            Record::Erasure(admitted) => {
                let then = usize::from(admitted.entity);
                let now = place.moved.as_ref().map_or(Some(then), |moved| moved.entities[then]);
                if let Some(slot) = now {
                    program.history.erase(&program.plan, slot, admitted.key);
                }
            }
            Record::Label(_) | Record::Outcome(_) | Record::Program(_) | Record::Passed(_) | Record::Again(_) => {}
        }
        Ok(())
    }

    /// The inputs of a chunk begin with this sequence.
    pub fn expect(&self, first: u64) -> Result<(), ReplayError> {
        let expected = self.engine.sequence + 1;
        if first == expected {
            Ok(())
        } else {
            Err(ReplayError::Gap { expected, found: first })
        }
    }

    /// Whether the next input is held already, whichever program it is of: then nothing of it will be touched.
    fn holds_next(&self) -> bool {
        let holds = |&held: &u64| self.engine.sequence < held;
        holds(&self.known_through) && self.held.iter().all(holds)
    }

    /// All is taken in: what comes next belongs to `epoch`. Gives the programs of which nothing was journaled.
    pub fn finish(self, epoch: u64) -> Vec<String> {
        self.engine.epochs.push((self.engine.sequence + 1, epoch));
        let programs = self.engine.programs.iter().zip(self.begun);
        programs
            .filter(|(_, begun)| !begun)
            .map(|(program, _)| program.name.clone())
            .collect()
    }

    fn program(&mut self, stated: &Stated) -> Result<(), ReplayError> {
        let number = usize::from(stated.program);
        if number >= self.stated.len() {
            self.stated.resize_with(number + 1, || None);
        }
        let Some(place) = self
            .engine
            .programs
            .iter()
            .position(|program| program.name == stated.name)
        else {
            self.stated[number] = None;
            return Ok(());
        };
        let plan = Plan::parse(stated.plan).map_err(|e| ReplayError::Program(e.to_string()))?;
        let policy = Policy::parse(stated.policy).map_err(|e| ReplayError::Program(e.to_string()))?;
        let program = &mut self.engine.programs[place];
        if !std::mem::replace(&mut self.begun[place], true) {
            // What was journaled before and removed since is not known to this state. Where nothing was removed, what was folded
            // before this statement comes behind it: it was written anew with the first segment, which had failed.
            let removed = match self.whole {
                true => EventTime(i64::MIN),
                false => stated.watermark,
            };
            program.begin(stated.complete_since.max(removed));
        }
        let version = program.know_version(Version::new(&plan, &policy.digest, stated.model_digest));
        self.stated[number] = Some(Place {
            made_with: MadeWith {
                // There are no more programs than this counts.
                program: place as u16,
                version,
            },
            moved: (plan.digest != program.plan.digest).then(|| Moved::new(&plan, &program.plan)),
        });
        Ok(())
    }
}
