//! The oracle: what was accepted, in order, and what that obliges the scorer to. It predicts every answer from the list of
//! accepted inputs alone, and after a death compares what came back with what was promised.

use std::collections::VecDeque;

use fraudgate_core::{
    admit::{Admitted, AdmittedErasure, Mode},
    history::Costs,
    journal::{
        Durability,
        record::{Record, Stated},
    },
    refusal::Refusal,
    replay::Replay,
    road::{Answer, Asked, Engine},
    transaction::{Clock, EventTime},
    wire,
};
use prost::Message;

use crate::{
    brute::{Brute, Comes, Value},
    random::Random,
    scenario::{Row, Rows, START_US, Scenario, calibrated, log_odds},
};

/// One input that was accepted.
struct Entry {
    input: Asked,
    /// The first answer's bytes.
    assessment: Option<Vec<u8>>,
    epoch: u64,
    /// The most that a receipt said of it.
    told: Durability,
    /// Whether its drain ended with it.
    ends_drain: bool,
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

    /// Compares the answers to a drain with what they must be, and takes note of what was accepted.
    pub fn drained(
        &mut self,
        scenario: &Scenario,
        (clock, epoch): (Clock, u64),
        asked: &[Asked],
        answers: &[Answer],
        rows: &Rows,
    ) -> Checked {
        if asked.len() != answers.len() {
            return Err(format!("{} answers to {} inputs", answers.len(), asked.len()));
        }
        let mut rows = rows.take();
        let began = self.entries.len();
        let mut takes = None;
        for (asked, answer) in asked.iter().zip(answers) {
            let taken = self
                .answered(scenario, (clock, epoch), asked, answer, &mut rows)
                .map_err(|wrong| format!("input {}: {wrong}", self.newest() + 1))?;
            if let Some(taken) = taken
                && takes.replace(taken).is_some_and(|before| before != taken)
            {
                return Err("one drain took a part of its inputs and was full for others".to_owned());
            }
        }
        if !rows.is_empty() {
            return Err("a row was scored for nobody".to_owned());
        }
        if self.entries.len() > began
            && let Some(last) = self.entries.last_mut()
        {
            last.ends_drain = true;
        }
        Ok(())
    }

    /// One answer. Gives whether the input was taken, where that was the journal's to say.
    fn answered(
        &mut self,
        scenario: &Scenario,
        (clock, epoch): (Clock, u64),
        asked: &Asked,
        answer: &Answer,
        rows: &mut Vec<Row>,
    ) -> Result<Option<bool>, String> {
        let ahead = |time: EventTime| scenario.ahead_us.is_some_and(|ahead| time.0 - clock.0 > ahead);
        let full = matches!(answer, Answer::Refused(Refusal::JournalFull));
        match asked {
            // No client here is a stream whose answers nobody waits for.
            Asked::Refused(_) | Asked::Passed(_) => {
                self.seen.refused += 1;
                must(matches!(answer, Answer::Refused(_)), "a refused input was answered")?;
                Ok(None)
            }
            Asked::Transaction(admitted) => {
                if let Some(place) = self.find(admitted) {
                    self.known_again(place, admitted, answer)?;
                    return Ok(None);
                }
                if ahead(admitted.transaction.event_time) {
                    self.seen.refused += 1;
                    must(
                        matches!(answer, Answer::Refused(Refusal::TooFarAhead(_))),
                        "an event ahead of the clock was taken",
                    )?;
                    return Ok(None);
                }
                if full && admitted.mode == Mode::Fold {
                    return Ok(Some(false));
                }
                let Answer::Decision(decision) = answer else {
                    return Err(format!("refused for no reason: {answer:?}"));
                };
                let receipt = decision.receipt.ok_or("a decision without a receipt")?;
                if admitted.mode == Mode::Score {
                    let place = rows
                        .iter()
                        .position(|(program, _)| *program == usize::from(admitted.program));
                    let (_, row) = place.map(|place| rows.remove(place)).ok_or("it was not scored")?;
                    let assessment = decision.assessment.as_ref().ok_or("no assessment")?;
                    self.assessed(admitted, assessment, &row)?;
                } else {
                    must(decision.assessment.is_none(), "a fold was assessed")?;
                }
                if receipt.sequence == 0 {
                    self.seen.unfolded += 1;
                    must(
                        receipt.durability() == wire::Durability::NotTaken,
                        "no sequence, and a durability",
                    )?;
                    return Ok(Some(false));
                }
                self.receipt(&receipt, clock, epoch)?;
                self.brutes[usize::from(admitted.program)].fold(&admitted.transaction);
                let assessment = decision.assessment.as_ref().map(Message::encode_to_vec);
                self.accept(scenario, asked, assessment, epoch);
                Ok(Some(true))
            }
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) if full => Ok(Some(false)),
            Asked::Label(label) if ahead(label.label.event_time) => self.ahead(answer),
            Asked::Outcome(outcome) if ahead(outcome.subject.event_time) => self.ahead(answer),
            Asked::Erasure(erasure) => {
                self.erased(erasure, answer, (clock, epoch))?;
                self.accept(scenario, asked, None, epoch);
                Ok(Some(true))
            }
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) => {
                let Answer::Receipt(receipt) = answer else {
                    return Err(format!("refused for no reason: {answer:?}"));
                };
                self.receipt(receipt, clock, epoch)?;
                if let Asked::Label(label) = asked
                    && label.folds
                {
                    self.brutes[usize::from(label.program)].label(&label.label);
                }
                self.accept(scenario, asked, None, epoch);
                Ok(Some(true))
            }
        }
    }

    /// The answer to an erasure.
    fn erased(&mut self, erasure: &AdmittedErasure, answer: &Answer, (clock, epoch): (Clock, u64)) -> Checked {
        let Answer::Erased(erased) = answer else {
            return Err(format!("refused for no reason: {answer:?}"));
        };
        self.receipt(&erased.receipt.ok_or("an erasure without a receipt")?, clock, epoch)?;
        self.seen.erased += u64::from(erased.held);
        self.brutes[usize::from(erasure.program)].erase(usize::from(erasure.entity), erasure.key);
        Ok(())
    }

    fn ahead(&mut self, answer: &Answer) -> Result<Option<bool>, String> {
        self.seen.refused += 1;
        let refused = matches!(answer, Answer::Refused(Refusal::TooFarAhead(_)));
        must(refused, "something ahead of the clock was taken")?;
        Ok(None)
    }

    /// A new input's receipt.
    fn receipt(&self, receipt: &wire::Receipt, clock: Clock, epoch: u64) -> Checked {
        let expected = (self.newest() + 1, epoch, false, clock.0);
        let told = (
            receipt.sequence,
            receipt.epoch,
            receipt.replayed,
            receipt.received_at_us,
        );
        must(
            told == expected,
            &format!("its receipt says {told:?} and must say {expected:?}"),
        )
    }

    /// The answer to an id that is known.
    fn known_again(&mut self, place: usize, admitted: &Admitted, answer: &Answer) -> Checked {
        let entry = &self.entries[place];
        let Asked::Transaction(first) = &entry.input else {
            return Err("an id of what is no transaction".to_owned());
        };
        if first.payload != admitted.payload {
            self.seen.reused += 1;
            let refused = matches!(answer, Answer::Refused(Refusal::IdReused));
            return must(refused, "a known id was taken with another payload");
        }
        self.seen.replayed += 1;
        let Answer::Decision(decision) = answer else {
            return Err(format!("a retransmission was refused: {answer:?}"));
        };
        let receipt = decision.receipt.ok_or("a decision without a receipt")?;
        let sequence = self.before + place as u64 + 1;
        let told = (receipt.replayed, receipt.sequence, receipt.epoch);
        let expected = (true, sequence, entry.epoch);
        must(
            told == expected,
            &format!("the receipt of a retransmission says {told:?} and must say {expected:?}"),
        )?;
        let again = decision.assessment.as_ref().map(Message::encode_to_vec);
        must(
            again == entry.assessment,
            "a retransmission got another answer than the first one",
        )
    }

    /// A transaction's features and all that follows from them.
    fn assessed(&mut self, admitted: &Admitted, told: &wire::Assessment, row: &[f32]) -> Checked {
        let brute = &self.brutes[usize::from(admitted.program)];
        let expected = brute.row(&admitted.transaction);
        must(expected.len() == row.len(), "the row has another length")?;
        for ((name, (expected, approximate)), &value) in brute.names().zip(expected).zip(row) {
            self.seen.features += 1;
            let listed = |names: &[String]| names.iter().any(|listed| listed == name);
            let found = if listed(&told.incomplete_features) {
                Value::Incomplete
            } else if listed(&told.missing_features) {
                Value::Missing
            } else {
                Value::Is(value)
            };
            if found != expected || matches!(found, Value::Is(_)) == value.is_nan() {
                return Err(format!(
                    "feature {name} is {found:?} ({value}) and must be {expected:?}"
                ));
            }
            self.seen.approximate += u64::from(approximate);
            self.seen.incomplete += u64::from(expected == Value::Incomplete);
            must(
                listed(&told.approximate_features) == approximate,
                &format!("feature {name} is told to be approximate, or is and is not told to be"),
            )?;
        }
        let comes = match told.lateness() {
            wire::Lateness::Unspecified => Comes::InOrder,
            wire::Lateness::Late => Comes::Late,
            wire::Lateness::Beyond => Comes::Beyond,
        };
        let expected = brute.comes(&admitted.transaction);
        self.seen.late += u64::from(expected != Comes::InOrder);
        must(
            comes == expected,
            &format!("it is said to come {comes:?} and comes {expected:?}"),
        )?;
        let (probability, risk) = calibrated(log_odds(row));
        let (told_probability, told_risk) = (told.fraud_probability(), told.risk_score());
        let close = (probability - told_probability).abs() < 1e-9 && (risk - told_risk).abs() < 1e-9;
        must(close, "its score is not what the model says of its row")?;
        let verdict = match told_risk {
            80.0.. => wire::Verdict::Decline,
            50.0.. => wire::Verdict::Challenge,
            _ => wire::Verdict::Approve,
        };
        must(
            told.verdict() == verdict,
            "its verdict is not what the policy says of its score",
        )
    }

    fn accept(&mut self, scenario: &Scenario, asked: &Asked, assessment: Option<Vec<u8>>, epoch: u64) {
        self.seen.taken += 1;
        self.entries.push(Entry {
            input: asked.clone(),
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

    /// A new life has taken in what was left. `needed` is what a receipt had to say for an input to be there. `rotten` is the
    /// sequence from which on bit rot may have taken inputs.
    pub fn recovered(
        &mut self,
        scenario: &Scenario,
        engine: &Engine,
        inputs: u64,
        needed: Durability,
        rotten: Option<u64>,
        random: &mut Random,
    ) -> Checked {
        let through = engine.sequence();
        if through > self.newest() {
            return Err(format!("{through} inputs came back of {}", self.newest()));
        }
        let promised = self.entries.iter().rposition(|entry| entry.told >= needed);
        let promised = promised.map_or(self.before, |place| self.before + place as u64 + 1);
        if through < promised && rotten != Some(through + 1) {
            return Err(format!(
                "inputs {} to {promised} were acknowledged and are gone",
                through + 1
            ));
        }
        let kept = (through - self.before) as usize;
        if kept > 0 && !self.entries[kept - 1].ends_drain {
            return Err(format!("input {through} came back without the rest of its drain"));
        }
        self.seen.lost += (self.entries.len() - kept) as u64;
        self.entries.truncate(kept);
        let before = through - inputs;
        if before < self.before {
            return Err(format!("inputs before {} came back, which were gone", self.before));
        }
        for (place, program) in engine.programs().iter().enumerate() {
            let gone = &self.entries[..(before - self.before) as usize];
            let newest = gone.iter().filter_map(|entry| event_time(&entry.input, place)).max();
            self.gone_through[place] = self.gone_through[place].max(newest.unwrap_or(i64::MIN));
            let (since, least) = (program.complete_since, self.gone_through[place].max(START_US));
            // What was stated when the first segment that is left was opened may be later than what was lost.
            if since.0 < least {
                return Err(format!(
                    "state is said to be complete since {} and is since {least}",
                    since.0
                ));
            }
            self.complete_since[place] = since;
        }
        self.entries.drain(..(before - self.before) as usize);
        self.before = before;
        self.fold_again(scenario)?;
        // A receipt would say so from now on.
        self.entries
            .iter_mut()
            .for_each(|entry| entry.told = Durability::Synced);
        self.compare(scenario, engine, random)
    }

    /// Compares an engine's state with that of a fresh one that folds what was accepted, cut into other drains.
    pub fn compare(&self, scenario: &Scenario, engine: &Engine, random: &mut Random) -> Checked {
        let rows = Rows::default();
        let mut fresh = scenario.engine(&rows, None)?;
        let stated: Vec<_> = fresh.programs().iter().map(|program| program.stated()).collect();
        let owned: Vec<_> = stated
            .iter()
            .map(|stated| {
                let parts = [stated.plan, stated.policy, stated.model_digest].map(<[u8]>::to_vec);
                (stated.program, stated.name.to_owned(), parts)
            })
            .collect();
        let mut replay = Replay::new(&mut fresh);
        replay.segment(0, self.before + 1).map_err(|e| e.to_string())?;
        for ((program, name, [plan, policy, model_digest]), &complete_since) in owned.iter().zip(&self.complete_since) {
            let stated = Stated {
                program: *program,
                name,
                complete_since,
                watermark: EventTime(i64::MIN),
                bounds: scenario.history,
                plan,
                policy,
                model_digest,
            };
            replay.record(&Record::Program(stated)).map_err(|e| e.to_string())?;
        }
        replay.finish(0);
        let (mut asked, mut answers) = (Vec::new(), Vec::new());
        let mut place = 0;
        while place < self.entries.len() {
            let size = 1 + random.below(scenario.drain);
            let now = &self.entries[place..(place + size).min(self.entries.len())];
            asked.extend(now.iter().map(|entry| entry.input.clone()));
            fresh.drain(Clock(START_US), &mut asked, &mut answers);
            for (entry, answer) in now.iter().zip(answers.drain(..)) {
                let assessment = match &answer {
                    Answer::Decision(decision) => decision.assessment.as_ref().map(Message::encode_to_vec),
                    Answer::Receipt(_) | Answer::Erased(_) => None,
                    Answer::Refused(refusal) => return Err(format!("folded again, it is refused: {refusal:?}")),
                };
                // Before something was removed, more was seen.
                let same = assessment == entry.assessment || !self.whole();
                must(same, "folded again, an input is answered otherwise")?;
            }
            place += now.len();
        }
        let same = if self.whole() {
            fresh.digest() == engine.digest()
        } else {
            fresh.sequence() == engine.sequence() && histories(&fresh) == histories(engine)
        };
        must(
            same,
            &format!(
                "the state is not that of the {} inputs after {} that were accepted",
                self.entries.len(),
                self.before
            ),
        )
    }

    /// Whether nothing was removed, so that everything was answered in a state that is known here.
    fn whole(&self) -> bool {
        self.before == 0 && self.complete_since.iter().all(|since| since.0 == START_US)
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
            match &entry.input {
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

/// The state that features read, of all programs.
fn histories(engine: &Engine) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for program in engine.programs() {
        program.history.write_canonical(&program.plan, &mut |part: &[u8]| {
            hasher.update(part);
        });
    }
    hasher.finalize()
}

/// The event time of a transaction of a program.
fn event_time(asked: &Asked, program: usize) -> Option<i64> {
    match asked {
        Asked::Transaction(admitted) if usize::from(admitted.program) == program => {
            Some(admitted.transaction.event_time.0)
        }
        Asked::Transaction(_)
        | Asked::Label(_)
        | Asked::Outcome(_)
        | Asked::Rescored(_)
        | Asked::Erasure(_)
        | Asked::Refused(_)
        | Asked::Passed(_) => None,
    }
}

fn must(holds: bool, otherwise: &str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
