//! The oracle: what was accepted, in order, and what that obliges the scorer to. It predicts every answer from the list of
//! accepted inputs alone, and after a death compares what came back with what was promised.

mod answers;
mod recovered;

pub use recovered::Left;

use std::collections::{BTreeMap, VecDeque};

use fraudgate_core::{
    admit::{Admitted, AdmittedErasure},
    history::Costs,
    journal::Durability,
    road::{Answer, Asked},
    transaction::EventTime,
    wire,
};

use crate::{
    brute::Brute,
    scenario::{Rows, START_US, Scenario},
};

/// One input that was accepted.
struct Entry {
    input: Asked,
    /// The entities whose keys an erasure took since, a bit each: from the journal's record, and from what the state holds
    /// that was made of it.
    gone: u8,
    gone_from_state: u8,
    /// It was answered in a state of which nothing was gone.
    of_whole: bool,
    /// The first answer's bytes.
    assessment: Option<Vec<u8>>,
    epoch: u64,
    /// The most that a receipt said of it.
    told: Durability,
    /// Whether its drain ended with it.
    ends_drain: bool,
}

impl Entry {
    /// What the state was made of.
    fn taken(&self) -> Asked {
        let mut taken = self.input.clone();
        let entities = match &mut taken {
            Asked::Transaction(admitted) => &mut admitted.transaction.entities,
            Asked::Label(admitted) => &mut admitted.label.entities,
            // Nothing of these is in a key's history.
            Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) | Asked::Refused(_) | Asked::Passed(_) => {
                return taken;
            }
        };
        for (slot, key) in entities.iter_mut().enumerate() {
            if self.gone_from_state >> slot & 1 == 1 {
                *key = None;
            }
        }
        taken
    }

    /// The slot of an entity in which it names a key that is erased.
    fn names(&self, erasure: &AdmittedErasure) -> Option<u8> {
        let (program, entities) = match &self.input {
            Asked::Transaction(admitted) => (admitted.program, &admitted.transaction.entities),
            Asked::Label(admitted) => (admitted.program, &admitted.label.entities),
            Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) | Asked::Refused(_) | Asked::Passed(_) => {
                return None;
            }
        };
        let is_it = program == erasure.program && entities[usize::from(erasure.entity)] == Some(erasure.key);
        is_it.then_some(1 << erasure.entity)
    }
}

/// What was accepted.
pub struct Truth {
    /// The sequence before the first entry: what was before was removed.
    before: u64,
    entries: Vec<Entry>,
    /// Places of the transactions whose ids must be known, oldest first.
    known: VecDeque<usize>,
    brutes: Vec<Brute>,
    complete_since: Vec<EventTime>,
    /// By program, the newest event time of what was removed.
    gone_through: Vec<i64>,
    /// By the first number that a life gave, the sequence before its first entry, and what was gone from its state.
    lives: BTreeMap<u64, (u64, Vec<u8>)>,
    /// Nothing was gone from this life's state when it began.
    begun_whole: bool,
    /// The first number that this life may give.
    numbers_from: u64,
    /// What was checked.
    pub seen: Seen,
}

/// What was met, to tell whether a run was worth its while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Inputs taken.
    pub taken: u64,
    /// Retransmissions answered.
    pub replayed: u64,
    /// Ids sent with another payload.
    pub reused: u64,
    /// Other refusals.
    pub refused: u64,
    /// Transactions scored and not taken, because the journal was full.
    pub unfolded: u64,
    /// Keys erased of which something was held.
    pub erased: u64,
    /// Features compared.
    pub features: u64,
    /// Those of them that were approximate, and that were incomplete.
    pub approximate: u64,
    /// Likewise.
    pub incomplete: u64,
    /// Transactions that came late, or too late.
    pub late: u64,
    /// Inputs lost in a death, of which nobody was promised that they survive it.
    pub lost: u64,
}

/// What is wrong.
pub type Checked = Result<(), String>;

impl Truth {
    /// Nothing was accepted yet.
    pub fn new(scenario: &Scenario) -> Result<Truth, String> {
        let mut truth = Truth {
            before: 0,
            entries: Vec::new(),
            known: VecDeque::new(),
            brutes: Vec::new(),
            complete_since: vec![EventTime(START_US); scenario.served.len()],
            gone_through: vec![i64::MIN; scenario.served.len()],
            lives: BTreeMap::new(),
            begun_whole: true,
            numbers_from: 0,
            seen: Seen::default(),
        };
        truth.fold_again(scenario)?;
        Ok(truth)
    }

    /// The sequence of the newest input.
    pub fn newest(&self) -> u64 {
        self.before + self.entries.len() as u64
    }

    /// How many inputs a state holds that is through a sequence, where nothing more was removed.
    pub fn held(&self, through: u64) -> u64 {
        through.saturating_sub(self.before)
    }

    fn accept(&mut self, scenario: &Scenario, asked: &Asked, assessment: Option<Vec<u8>>, epoch: u64) {
        self.seen.taken += 1;
        self.entries.push(Entry {
            input: asked.clone(),
            gone: 0,
            gone_from_state: 0,
            of_whole: self.begun_whole,
            assessment,
            epoch,
            told: Durability::Memory,
            ends_drain: false,
        });
        self.know(scenario, self.entries.len() - 1);
    }

    fn know(&mut self, scenario: &Scenario, place: usize) {
        if matches!(self.entries[place].input, Asked::Transaction(_)) {
            self.known.push_back(place);
            if self.known.len() > scenario.known_ids {
                self.known.pop_front();
            }
        }
    }

    fn find(&self, admitted: &Admitted) -> Option<usize> {
        let is_it = |&&place: &&usize| match &self.entries[place].input {
            Asked::Transaction(known) => known.id == admitted.id,
            Asked::Label(_)
            | Asked::Outcome(_)
            | Asked::Rescored(_)
            | Asked::Erasure(_)
            | Asked::Refused(_)
            | Asked::Passed(_) => false,
        };
        self.known.iter().rev().find(is_it).copied()
    }

    /// An answer left.
    pub fn told(&mut self, answer: &Answer) {
        let receipt = match answer {
            Answer::Decision(decision) => decision.receipt,
            Answer::Receipt(receipt) => Some(*receipt),
            Answer::Erased(erased) => erased.receipt,
            Answer::Refused(_) => None,
        };
        if let Some(receipt) = receipt
            && let Some(place) = receipt.sequence.checked_sub(self.before + 1)
            && let Some(entry) = self.entries.get_mut(place as usize)
        {
            let told = match receipt.durability() {
                wire::Durability::Synced => Durability::Synced,
                wire::Durability::Written => Durability::Written,
                wire::Durability::Memory | wire::Durability::NotTaken | wire::Durability::Unspecified => {
                    Durability::Memory
                }
            };
            entry.told = entry.told.max(told);
        }
    }

    /// The disk lost what was written and not synced: nobody can answer for that.
    pub fn excuse_unsynced(&mut self) {
        for entry in &mut self.entries {
            if entry.told == Durability::Written {
                entry.told = Durability::Memory;
            }
        }
    }

    /// Begins the lists that follow from the entries anew.
    fn fold_again(&mut self, scenario: &Scenario) -> Checked {
        self.brutes.clear();
        let engine = scenario.engine(&Rows::default(), None)?;
        let programs = scenario.served.iter().zip(engine.programs());
        for ((served, program), since) in programs.zip(&self.complete_since) {
            let costs: Vec<Costs> = program.history.costs().collect();
            self.brutes
                .push(Brute::new(served.plan, since.0, scenario.history, &costs)?);
        }
        for entry in &self.entries {
            match &entry.taken() {
                Asked::Transaction(admitted) => {
                    self.brutes[usize::from(admitted.program)].fold(&admitted.transaction);
                }
                Asked::Label(label) if label.folds => self.brutes[usize::from(label.program)].label(&label.label),
                Asked::Erasure(erasure) => {
                    let brute = &mut self.brutes[usize::from(erasure.program)];
                    brute.erase(usize::from(erasure.entity), erasure.key);
                }
                Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) | Asked::Refused(_) | Asked::Passed(_) => {}
            }
        }
        self.known.clear();
        (0..self.entries.len()).for_each(|place| self.know(scenario, place));
        Ok(())
    }
}

fn must(holds: bool, otherwise: &str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
