//! The one road. Every door hands what arrived to [`Engine::drain`]: each input in order is read and then folded, so that
//! two payments of one card in one drain see each other; then each model runs once; then answers leave in order. How
//! inputs were cut into drains never shows in an assessment.

use prost::{Message, bytes::Bytes};
use sha2::{Digest, Sha256};

use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome, Gate, Mode},
    assessment::{Assessment, Tier},
    broken::{self, Broken},
    history::{Bounds, History},
    journal::{
        Draft, Durability, Journal,
        record::{Again, Passed},
        segment::End,
    },
    key::HashKey,
    known::{Known, Place},
    ladder::{Admission, Cause},
    model::Model,
    origin::Offsets,
    plan::Plan,
    policy::Policy,
    program::{Program, Whose},
    refusal::{Refusal, Violation},
    rescore::{self, Rescore, Rescored, Spool, Why},
    transaction::{Clock, EventTime, KeyHash, Labelled, Transaction},
    wire,
};

/// How many inputs are announced together: enough to overlap the cache misses of one with those of the others, few enough
/// that what is fetched is still there when it is read.
const ANNOUNCED: usize = 16;

/// What bounds an engine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many ids are remembered with their answers.
    pub known_ids: usize,
    /// The most inputs of one drain.
    pub drain: usize,
    /// What bounds the state of each program.
    pub history: Bounds,
    /// How far ahead of the clock an event time may lie, in microseconds; `None` when history is replayed.
    pub ahead_us: Option<i64>,
}

/// The scorer: a plain value, owned by whichever thread a door runs it on.
pub struct Engine {
    key: HashKey,
    limits: Limits,
    /// The lives of the scorer whose inputs are known, each with the sequence of its first; the last is this one.
    pub(crate) epochs: Vec<(u64, u64)>,
    pub(crate) sequence: u64,
    pub(crate) programs: Vec<Program>,
    pub(crate) known: Known,
    /// How far streams were taken in.
    pub(crate) offsets: Offsets,
    journal: Option<Box<dyn Journal>>,
    draft: Draft,
    steps: Vec<Step>,
    /// Answers of the drain under way that are not to be found among the known ids: to transactions that were read and not
    /// taken, and to retransmissions, whose ids others of the drain may push out.
    read: Vec<Option<Assessment>>,
    /// Why no model is asked, whatever a transaction is admitted to. While state is being recovered, nothing is taken.
    held: Option<Cause>,
    /// Other places' transactions are folded here, and too far behind them.
    mirror_behind: bool,
    counts: Counts,
}

/// What an engine has done since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Transactions taken.
    pub transactions: u64,
    /// Retransmissions answered.
    pub replayed: u64,
    /// Labels taken.
    pub labels: u64,
    /// Outcomes taken.
    pub outcomes: u64,
    /// Erasures taken.
    pub erasures: u64,
    /// Transactions read and not taken, because the journal was full.
    pub unfolded: u64,
    /// Inputs refused on the road.
    pub refused: u64,
    /// Records of streams refused, for whose answer nobody waited; they are among those.
    pub passed: u64,
    /// First answers by tier and cause.
    pub answers: Answers,
    /// Runs of a model that failed.
    pub model_failures: u64,
    /// What is to be scored again.
    pub rescores: Rescores,
}

/// How many answers are to be scored again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescores {
    /// In the spool, by [`Why::ALL`].
    pub queued: [u64; Why::ALL.len()],
    /// Not taken, because the spool was at its bound.
    pub full: u64,
}

impl Rescores {
    fn count(&mut self, rescore: Rescore) {
        match rescore {
            Rescore::Not => {}
            Rescore::Queued(why) => self.queued[why as usize - 1] += 1,
            Rescore::Full(_) => self.full += 1,
        }
    }
}

/// How many answers stood on each rung of the ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// In full.
    pub full: u64,
    /// By the reduced model, by [`Cause::ALL`].
    pub reduced: [u64; Cause::ALL.len()],
    /// By the declared default, likewise.
    pub default: [u64; Cause::ALL.len()],
}

impl Answers {
    fn add(&mut self, others: &Answers) {
        self.full += others.full;
        let counts = self.reduced.iter_mut().chain(&mut self.default);
        let others = others.reduced.iter().chain(&others.default);
        counts.zip(others).for_each(|(count, other)| *count += other);
    }

    fn count(&mut self, tier: &Tier) {
        let of = |cause: Cause| cause as usize - 1;
        *match *tier {
            Tier::Full(_) => &mut self.full,
            Tier::Reduced(_, cause) => &mut self.reduced[of(cause)],
            Tier::Default(_, cause) => &mut self.default[of(cause)],
        } += 1;
    }
}

/// One thing that is asked, as the gate admitted it.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A transaction.
    Transaction(Box<Admitted>),
    /// A label.
    Label(Box<AdmittedLabel>),
    /// An outcome.
    Outcome(Box<AdmittedOutcome>),
    /// What the cloud said of a transaction.
    Rescored(Box<Rescored>),
    /// An erasure.
    Erasure(AdmittedErasure),
    /// Something refused before: it keeps its place among the answers.
    Refused(Refusal),
    /// A record of a stream that the door refused, and for whose answer nobody waits.
    Passed(Box<Refused>),
}

/// A record of a stream that the door refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Where it stood.
    pub position: Box<[u8]>,
    /// Its bytes.
    pub sent: Bytes,
    /// Why.
    pub refusal: Refusal,
}

impl Asked {
    /// Where it stood.
    fn position(&self) -> Option<&[u8]> {
        match self {
            Asked::Transaction(admitted) => admitted.position.as_deref(),
            Asked::Label(admitted) => admitted.position.as_deref(),
            Asked::Outcome(admitted) => admitted.position.as_deref(),
            Asked::Rescored(rescored) => rescored.position.as_deref(),
            Asked::Passed(refused) => Some(&refused.position),
            Asked::Erasure(_) | Asked::Refused(_) => None,
        }
    }

    /// Its bytes, where nobody waits for its answer.
    fn unanswered(&self) -> Option<&Bytes> {
        match self {
            Asked::Transaction(admitted) => admitted.unanswered.as_ref(),
            Asked::Label(admitted) => admitted.unanswered.as_ref(),
            Asked::Outcome(admitted) => admitted.unanswered.as_ref(),
            Asked::Passed(refused) => Some(&refused.sent),
            // What the cloud said may be said again: it waits for no position.
            Asked::Rescored(_) | Asked::Erasure(_) | Asked::Refused(_) => None,
        }
    }
}

/// The answer to one thing.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a transaction.
    Decision(Box<wire::Decision>),
    /// To a label, an outcome, or what the cloud said.
    Receipt(wire::Receipt),
    /// To an erasure.
    Erased(wire::EraseResponse),
    /// Nothing was changed.
    Refused(Refusal),
}

/// What the first pass of a drain leaves for the last one.
enum Step {
    Taken {
        place: Place,
        program: u16,
        sequence: u64,
    },
    Again {
        answer: First,
        program: u16,
        sequence: u64,
        /// The hash of its id and where it stood, when nobody waits for its answer.
        stood: Option<(KeyHash, Box<[u8]>)>,
    },
    Read {
        place: usize,
        program: u16,
    },
    Told {
        sequence: u64,
    },
    /// What the cloud said, and had said before.
    ToldAgain,
    Erased {
        sequence: u64,
        held: bool,
    },
    Refused(Refusal),
}

/// Where the first answer to a retransmission is.
#[derive(Clone, Copy)]
enum First {
    /// Given in an earlier drain: kept in this place until this one ends.
    Kept(usize),
    /// Given in this drain, whose ids are all known at its end.
    Known(Place),
}

/// A program that cannot be added.
#[derive(Debug, PartialEq)]
pub struct ProgramError(pub String);

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProgramError {}

impl Engine {
    /// An engine that serves no program yet. `epoch` is higher than that of any engine before it.
    pub fn new(key: HashKey, epoch: u64, limits: Limits) -> Engine {
        Engine {
            // Answers of one drain must outlive it.
            known: Known::new(limits.known_ids.max(limits.drain)),
            key,
            limits,
            epochs: vec![(1, epoch)],
            sequence: 0,
            programs: Vec::new(),
            offsets: Offsets::default(),
            journal: None,
            draft: Draft::default(),
            steps: Vec::new(),
            read: Vec::new(),
            held: None,
            mirror_behind: false,
            counts: Counts::default(),
        }
    }

    /// Serves a program from now on. Its state is complete for events after `complete_since`.
    pub fn add_program(
        &mut self,
        name: &str,
        plan: Plan,
        policy: Policy,
        model: Option<Model>,
        complete_since: EventTime,
    ) -> Result<(), ProgramError> {
        let place = u16::try_from(self.programs.len()).map_err(|_| ProgramError("too many programs".to_owned()))?;
        if name.is_empty() || self.programs.iter().any(|program| program.name == name) {
            return Err(ProgramError("a program needs a name of its own".to_owned()));
        }
        let gate = Gate::new(place, name, &plan, &self.key, policy.card_number_in_key);
        let history = History::new(&plan, complete_since, self.limits.history);
        let program = Program::new(place, gate, name, plan, policy, model, history);
        self.programs.push(program.map_err(ProgramError)?);
        Ok(())
    }

    /// Checks a transaction; changes nothing.
    pub fn admit(&self, sent: &wire::Transaction) -> Result<Admitted, Refusal> {
        let program = self.program(&sent.program)?;
        let mut admitted = program.gate.transaction(&program.plan, sent)?;
        let declared = &program.blind.declared;
        admitted.segment = declared.segment(&admitted.transaction, &sent.attributes);
        Ok(admitted)
    }

    /// Checks a label; changes nothing.
    pub fn admit_label(&self, sent: &wire::Label) -> Result<AdmittedLabel, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.label(&program.plan, sent)
    }

    /// Checks an outcome; changes nothing.
    pub fn admit_outcome(&self, sent: &wire::Outcome) -> Result<AdmittedOutcome, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.outcome(&program.plan, sent)
    }

    /// Checks what the cloud said of transactions; changes nothing.
    pub fn admit_rescored(&self, sent: &wire::RescoredDecisions) -> Result<Vec<Rescored>, Refusal> {
        let program = self.program(&sent.program)?;
        rescore::read(sent, program.place(), &program.plan, program.labels_rescored())
    }

    /// Checks an erasure; changes nothing.
    pub fn admit_erasure(&self, sent: &wire::EraseRequest) -> Result<AdmittedErasure, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.erasure(&program.plan, sent)
    }

    /// The program of a name.
    pub fn program(&self, name: &str) -> Result<&Program, Refusal> {
        self.programs
            .iter()
            .find(|program| program.name == name)
            .ok_or_else(|| {
                let what = if name.is_empty() {
                    "is required"
                } else {
                    "is not served here"
                };
                Refusal::invalid("program", what)
            })
    }

    /// Takes what was asked, in order, and answers each, in order. `asked` is left empty; answers are appended.
    pub fn drain(&mut self, clock: Clock, asked: &mut Vec<Asked>, answers: &mut Vec<Answer>) {
        let mut steps = std::mem::take(&mut self.steps);
        // State and journal never part: what the journal does not take is read and not folded.
        let takes = !self.recovers()
            && self
                .journal
                .as_mut()
                .is_none_or(|journal| journal.takes(clock, &self.programs));
        self.draft.begin(clock, self.sequence + 1);
        if self.mirror_behind {
            for asked in &mut *asked {
                if let Asked::Transaction(admitted) = asked {
                    admitted.mirror_behind = true;
                }
            }
        }
        if let Some(cause) = self.held {
            for asked in &mut *asked {
                if let Asked::Transaction(admitted) = asked {
                    admitted.admission = admitted.admission.or_lower(Admission::Default(cause));
                }
            }
        }
        for block in asked.chunks(ANNOUNCED) {
            self.announce(block);
            steps.extend(block.iter().map(|asked| self.step(clock, asked, takes)));
        }
        asked.clear();
        let spool = match &self.journal {
            Some(journal) if takes => journal.spool(self.sequence),
            Some(_) | None => Spool::None,
        };
        for program in &mut self.programs {
            self.counts.model_failures += program.score(clock, spool, |whose, unsaid, assessment| {
                self.counts.answers.count(&assessment.tier);
                self.counts.rescores.count(assessment.rescore);
                if let Some(unsaid) = unsaid {
                    self.draft.say(unsaid, &assessment);
                }
                match whose {
                    Whose::Taken(place) => self.known.answer(place, assessment),
                    Whose::Read(place) => self.read[place] = Some(assessment),
                }
            });
        }
        self.repeat(clock, &steps);
        if let Some(journal) = &mut self.journal
            && !self.draft.is_empty()
        {
            journal.append(&mut self.draft, &self.programs);
        }
        answers.extend(steps.drain(..).map(|step| self.answer(clock, step)));
        self.steps = steps;
        self.read.clear();
    }

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

    /// Lets the journal write what it could not write before; for when nothing arrives.
    pub fn tend_journal(&mut self, now: Clock) {
        if let Some(journal) = &mut self.journal {
            journal.takes(now, &self.programs);
        }
    }

    /// Brings an answer's receipt up to date with what its input survives by now.
    pub fn tell_survival(&self, answer: &mut Answer) {
        let receipt = match answer {
            Answer::Decision(decision) => decision.receipt.as_mut(),
            Answer::Receipt(receipt) => Some(receipt),
            Answer::Erased(erased) => erased.receipt.as_mut(),
            Answer::Refused(_) => None,
        };
        if let Some(receipt) = receipt {
            receipt.durability = self.durability(receipt.sequence) as i32;
        }
    }

    /// What the input at a sequence survives by now.
    pub fn survives(&self, sequence: u64) -> Durability {
        let journal = self.journal.as_ref();
        journal.map_or(Durability::Memory, |journal| journal.durability(sequence))
    }

    /// Journals every input from now on.
    pub fn journal_to(&mut self, journal: Box<dyn Journal>) {
        self.journal = Some(journal);
    }

    /// Where the journal ends, when all that was taken stands there.
    pub fn journal_end(&self) -> Option<End> {
        self.journal.as_ref().and_then(|journal| journal.end())
    }

    /// Asks no model from now on, and says why, or asks them again: for whoever sees memory run short.
    pub fn hold_to_default(&mut self, cause: Option<Cause>) {
        self.held = cause;
    }

    /// From now on answers say, or not, that other places' transactions are folded here too far behind them.
    pub fn mirror_behind(&mut self, behind: bool) {
        self.mirror_behind = behind;
    }

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

    /// The position of the newest input that was taken; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How far streams were taken in.
    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// The programs, in the order in which they were added.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Likewise, for those who fold history into them.
    pub fn programs_mut(&mut self) -> &mut [Program] {
        &mut self.programs
    }

    /// How many ids are known, whose retransmissions get their first answer, and how many at most.
    pub fn known_ids(&self) -> (usize, usize) {
        (self.known.len(), self.known.capacity())
    }

    /// What the engine has done.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Has the memory fetched that a block of inputs will read. No answer depends on it.
    fn announce(&mut self, block: &[Asked]) {
        if block.len() < 2 {
            return; // a lone transaction has nothing to overlap its fetches with
        }
        for (place, program) in self.programs.iter_mut().enumerate() {
            program.history.announce(
                &program.plan,
                block.iter().filter_map(move |asked| match asked {
                    Asked::Transaction(admitted) if usize::from(admitted.program) == place => {
                        Some(&admitted.transaction)
                    }
                    _ => None,
                }),
            );
        }
    }

    fn step(&mut self, clock: Clock, asked: &Asked, takes: bool) -> Step {
        let unanswered = asked.unanswered();
        if unanswered.is_some() && !takes {
            // It waits where it stands.
            return Step::Refused(self.takes_nothing());
        }
        match self.take(clock, asked, takes) {
            Ok(step) => {
                match step {
                    Step::Taken { .. } | Step::Told { .. } => self.offsets.take(asked.position()),
                    // What is not journaled moves no position, or does so when it is.
                    Step::Again { .. }
                    | Step::Read { .. }
                    | Step::ToldAgain
                    | Step::Erased { .. }
                    | Step::Refused(_) => {}
                }
                step
            }
            Err(refusal) => {
                self.counts.refused += 1;
                if let (Some(position), Some(sent)) = (asked.position(), unanswered) {
                    self.pass(position, sent, &refusal);
                }
                Step::Refused(refusal)
            }
        }
    }

    /// Journals that a record of a stream was refused.
    fn pass(&mut self, position: &[u8], sent: &[u8], refusal: &Refusal) {
        if self.journal.is_some() {
            self.draft.passed(&Passed {
                position: position.into(),
                // Codes are below 17.
                code: refusal.code() as u8,
                reason: &refusal.message(),
                digest: Sha256::digest(sent).into(),
            });
        }
        self.offsets.take(Some(position));
        self.counts.passed += 1;
        self.next();
    }

    /// Journals which records of streams repeated a transaction, with the first answer to it: behind all else that was taken,
    /// as that answer may be one of this drain's.
    fn repeat(&mut self, clock: Clock, steps: &[Step]) {
        for step in steps {
            let &Step::Again {
                answer,
                program,
                sequence,
                stood: Some((id, ref position)),
            } = step
            else {
                continue;
            };
            if self.journal.is_some() {
                let again = Step::Again {
                    answer,
                    program,
                    sequence,
                    stood: None,
                };
                let decision = match self.answer(clock, again) {
                    Answer::Decision(decision) if decision.assessment.is_some() => decision.encode_to_vec(),
                    Answer::Decision(_) | Answer::Receipt(_) | Answer::Erased(_) | Answer::Refused(_) => Vec::new(),
                };
                self.draft.again(&Again {
                    id,
                    position: (&**position).into(),
                    decision: &decision,
                });
            }
            self.offsets.take(Some(position));
            self.next();
        }
    }

    fn take(&mut self, clock: Clock, asked: &Asked, takes: bool) -> Result<Step, Refusal> {
        match asked {
            Asked::Passed(refused) => Err(refused.refusal.clone()),
            Asked::Transaction(admitted) => self.transaction(clock, admitted, takes),
            Asked::Refused(refusal) => Err(refusal.clone()),
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) if !takes => {
                Err(self.takes_nothing())
            }
            Asked::Label(admitted) => self.label(clock, admitted),
            Asked::Outcome(admitted) => self.outcome(clock, admitted),
            Asked::Rescored(rescored) => self.rescored(clock, rescored),
            Asked::Erasure(admitted) => Ok(self.erase(admitted)),
        }
    }

    fn recovers(&self) -> bool {
        self.held == Some(Cause::Recovering)
    }

    fn takes_nothing(&self) -> Refusal {
        match self.recovers() {
            true => Refusal::Recovering,
            false => Refusal::JournalFull,
        }
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn transaction(&mut self, clock: Clock, admitted: &Admitted, takes: bool) -> Result<Step, Refusal> {
        let program = admitted.program;
        if let Some(place) = self.known.find(admitted.id) {
            return match self.known.at(place) {
                Some(taken) if taken.payload == admitted.payload => {
                    self.counts.replayed += 1;
                    let sequence = taken.sequence;
                    let answer = if sequence < self.draft.first {
                        self.read.push(taken.assessment.clone());
                        First::Kept(self.read.len() - 1)
                    } else {
                        First::Known(place)
                    };
                    Ok(Step::Again {
                        answer,
                        program,
                        sequence,
                        stood: admitted
                            .unanswered
                            .as_ref()
                            .and(admitted.position.clone())
                            .map(|position| (admitted.id, position)),
                    })
                }
                _ => {
                    if broken::is(Broken::FoldRefused) {
                        self.programs[usize::from(program)].fold(&admitted.transaction);
                    }
                    Err(Refusal::IdReused)
                }
            };
        }
        self.check_ahead(clock, admitted.transaction.event_time, "event_time_us")?;
        if admitted.mode == Mode::Score && !self.programs[usize::from(program)].answers() {
            return Err(Refusal::NoModel);
        }
        if !takes {
            return self.read(admitted);
        }
        let sequence = self.next();
        let place = self.known.take(admitted.id, admitted.payload, sequence);
        let draft = self.journal.is_some().then_some(&mut self.draft);
        self.programs[usize::from(program)].take(place, admitted, draft);
        self.counts.transactions += 1;
        Ok(Step::Taken {
            place,
            program,
            sequence,
        })
    }

    /// Scores a transaction and leaves no trace of it.
    fn read(&mut self, admitted: &Admitted) -> Result<Step, Refusal> {
        if admitted.mode == Mode::Fold {
            return Err(self.takes_nothing());
        }
        let (place, program) = (self.read.len(), admitted.program);
        self.read.push(None);
        self.programs[usize::from(program)].read(Whose::Read(place), admitted, None);
        self.counts.unfolded += 1;
        Ok(Step::Read { place, program })
    }

    fn label(&mut self, clock: Clock, admitted: &AdmittedLabel) -> Result<Step, Refusal> {
        self.check_ahead(clock, admitted.label.event_time, "subject.event_time_us")?;
        if admitted.folds {
            let program = &mut self.programs[usize::from(admitted.program)];
            program.history.label(&program.plan, &admitted.label);
        }
        if self.journal.is_some() {
            self.draft.label(admitted);
        }
        self.counts.labels += 1;
        Ok(Step::Told { sequence: self.next() })
    }

    fn outcome(&mut self, clock: Clock, admitted: &AdmittedOutcome) -> Result<Step, Refusal> {
        self.check_ahead(clock, admitted.subject.event_time, "subject.event_time_us")?;
        if self.journal.is_some() {
            self.draft.outcome(admitted);
        }
        self.counts.outcomes += 1;
        Ok(Step::Told { sequence: self.next() })
    }

    fn rescored(&mut self, clock: Clock, rescored: &Rescored) -> Result<Step, Refusal> {
        let place = usize::from(rescored.program);
        if self.programs[place].reviewed.knows(rescored) {
            return Ok(Step::ToldAgain);
        }
        self.check_ahead(clock, rescored.subject.event_time, "event_time_us")?;
        self.programs[place].review(rescored);
        if self.journal.is_some() {
            self.draft.rescored(rescored);
        }
        Ok(Step::Told { sequence: self.next() })
    }

    /// Erases a key: as what it did had never been told, but for ids, which name nobody, and for what was answered.
    fn erase(&mut self, admitted: &AdmittedErasure) -> Step {
        let program = &mut self.programs[usize::from(admitted.program)];
        let slot = usize::from(admitted.entity);
        let held = program.history.erase(&program.plan, slot, admitted.key);
        if self.journal.is_some() {
            self.draft.erasure(admitted);
        }
        self.counts.erasures += 1;
        Step::Erased {
            sequence: self.next(),
            held,
        }
    }

    fn check_ahead(&self, clock: Clock, event_time: EventTime, field: &str) -> Result<(), Refusal> {
        match self.limits.ahead_us {
            Some(ahead_us) if event_time.0.saturating_sub(clock.0) > ahead_us => Err(Refusal::TooFarAhead(Violation {
                field: field.to_owned(),
                description: format!("lies more than {ahead_us} us ahead of the scorer's clock").into(),
            })),
            _ => Ok(()),
        }
    }

    /// The life of the scorer that gave a sequence number.
    fn epoch(&self, sequence: u64) -> u64 {
        let given = self.epochs.iter().rev().find(|&&(first, _)| first <= sequence);
        given.or(self.epochs.last()).map_or(0, |&(_, epoch)| epoch)
    }

    fn durability(&self, sequence: u64) -> wire::Durability {
        let Some(journal) = self.journal.as_ref().filter(|_| sequence > 0) else {
            return if sequence > 0 {
                wire::Durability::Memory
            } else {
                wire::Durability::NotTaken
            };
        };
        match journal.durability(sequence) {
            Durability::Memory => wire::Durability::Memory,
            Durability::Written => wire::Durability::Written,
            Durability::Synced => wire::Durability::Synced,
        }
    }

    fn answer(&self, clock: Clock, step: Step) -> Answer {
        let receipt = |sequence, replayed| wire::Receipt {
            epoch: self.epoch(sequence),
            sequence,
            durability: self.durability(sequence) as i32,
            replayed,
            rescore_queued: false,
            received_at_us: clock.0,
            rescore_spool_full: false,
        };
        let decision = |program, assessment: Option<&Assessment>, mut receipt: wire::Receipt| {
            let program: &Program = &self.programs[usize::from(program)];
            assessment
                .map_or(Rescore::Not, |assessment| assessment.rescore)
                .tell(&mut receipt);
            Answer::Decision(Box::new(wire::Decision {
                assessment: assessment.map(|assessment| assessment.to_wire(program.version(assessment.made_with))),
                receipt: Some(receipt),
            }))
        };
        let known = |place| self.known.at(place).and_then(|taken| taken.assessment.as_ref());
        let read = |place: usize| self.read.get(place).and_then(Option::as_ref);
        match step {
            Step::Refused(refusal) => Answer::Refused(refusal),
            Step::Told { sequence } => Answer::Receipt(receipt(sequence, false)),
            Step::ToldAgain => Answer::Receipt(receipt(0, true)),
            Step::Erased { sequence, held } => Answer::Erased(wire::EraseResponse {
                receipt: Some(receipt(sequence, false)),
                held,
            }),
            Step::Read { place, program } => decision(program, read(place), receipt(0, false)),
            Step::Taken {
                place,
                program,
                sequence,
            } => decision(program, known(place), receipt(sequence, false)),
            Step::Again {
                answer,
                program,
                sequence,
                stood: _,
            } => {
                let first = match answer {
                    First::Kept(place) => read(place),
                    First::Known(place) => known(place),
                };
                decision(program, first, receipt(sequence, true))
            }
        }
    }
}
