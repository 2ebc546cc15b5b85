//! The one road. Every door hands what arrived to [`Engine::drain`]: each input in order is read and then folded, so that
//! two payments of one card in one drain see each other; then each model runs once; then answers leave in order. How
//! inputs were cut into drains never shows in an assessment.

mod answer;
mod apart;
mod asked;
mod counts;
mod history;
mod question;
mod stand_in;
mod step;

use question::Uncertain;
use step::Step;
pub use {
    answer::Answer,
    asked::{Asked, Refused},
    counts::{Answers, Counts, Rescores},
    question::Question,
};

use crate::{
    admit::Gate,
    assessment::Assessment,
    history::{Bounds, History},
    journal::{Draft, Journal, segment::End},
    key::HashKey,
    known::Known,
    ladder::{Admission, Cause},
    model::Model,
    origin::Offsets,
    plan::Plan,
    policy::Policy,
    program::{Program, Whose},
    rescore::Spool,
    snapshot::Buffers,
    transaction::{Clock, EventTime},
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

impl Limits {
    /// How many ids are known at most: answers of one drain must outlive it.
    fn most_known(&self) -> usize {
        self.known_ids.max(self.drain)
    }
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
    /// For pieces of snapshots.
    pub(crate) buffers: Buffers,
    draft: Draft,
    steps: Vec<Step>,
    /// Answers of the drain under way that are not to be found among the known ids: to transactions that were read and not
    /// taken, and to retransmissions, whose ids others of the drain may push out.
    read: Vec<Option<Assessment>>,
    /// Rows of the drain under way of which the cloud is to be asked, and the questions that they made.
    uncertain: Vec<Uncertain>,
    questions: Vec<Question>,
    /// Why no model is asked, whatever a transaction is admitted to. While state is being recovered, nothing is taken.
    held: Option<Cause>,
    /// Other places' transactions are folded here, and too far behind them.
    mirror_behind: bool,
    counts: Counts,
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
        Engine::knowing(Known::new(limits.most_known()), key, epoch, limits)
    }

    /// The same for a history, for which nobody waits: what it holds is touched as it is needed.
    pub fn of_history(key: HashKey, limits: Limits) -> Engine {
        Engine::knowing(Known::untouched(limits.most_known()), key, 0, limits)
    }

    fn knowing(known: Known, key: HashKey, epoch: u64, limits: Limits) -> Engine {
        Engine {
            known,
            key,
            limits,
            epochs: vec![(1, epoch)],
            sequence: 0,
            programs: Vec::new(),
            offsets: Offsets::default(),
            journal: None,
            buffers: Buffers::default(),
            draft: Draft::default(),
            steps: Vec::new(),
            read: Vec::new(),
            uncertain: Vec::new(),
            questions: Vec::new(),
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
        let spool = match &self.journal {
            Some(journal) if takes => journal.spool(self.sequence),
            Some(_) | None => Spool::None,
        };
        for program in &mut self.programs {
            self.counts.model_failures += program.score(clock, spool, |whose, unsaid, assessment, row| {
                self.counts.answers.count(&assessment.tier);
                self.counts.rescores.count(assessment.rescore);
                if let Some(unsaid) = unsaid {
                    self.draft.say(unsaid, &assessment);
                }
                match whose {
                    Whose::Taken(place) => {
                        self.uncertain.extend(row.map(|row| Uncertain::new(place, row)));
                        self.known.answer(place, assessment);
                    }
                    Whose::Read(place) => self.read[place] = Some(assessment),
                }
            });
        }
        self.ask_of_uncertain(asked, &steps);
        asked.clear();
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

    /// Lets the journal write what it could not write before; for when nothing arrives.
    pub fn tend_journal(&mut self, now: Clock) {
        if let Some(journal) = &mut self.journal {
            journal.takes(now, &self.programs);
        }
    }

    /// Lets the journal do what could wait until answers have left.
    pub fn rest(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.rest();
        }
    }

    /// Journals every input from now on.
    pub fn journal_to(&mut self, journal: Box<dyn Journal>) {
        self.journal = Some(journal);
    }

    /// Has the journal end its segment here; see [`Journal::cut`].
    pub fn cut_journal(&mut self) -> Option<End> {
        let journal = self.journal.as_mut()?;
        journal.cut(&self.programs)
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
}
