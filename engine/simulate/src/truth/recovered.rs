//! What must have come back after a death, and that the state is the one that it makes.

use std::ops::Range;

use fraudgate_core::{
    journal::{
        Durability,
        record::{Record, Stated},
    },
    replay::Replay,
    road::{Answer, Asked, Engine},
    transaction::{Clock, EventTime},
};
use fraudgate_server::journal::Recovered;
use prost::Message;

use super::{Checked, Entry, Truth, must};
use crate::{
    random::Random,
    scenario::{Rows, START_US, Scenario},
};

/// What a death left, as the disk tells it.
pub struct Left<'a> {
    /// How many of the inputs that are in the state the journal still holds.
    pub inputs: u64,
    /// What a receipt had to say for its input to be there.
    pub needed: Durability,
    /// The sequence from which on bit rot may have taken inputs.
    pub rotten: Option<u64>,
    /// The inputs whose segments were rewritten, with the erasure that each honours.
    pub rewritten: &'a [(Range<u64>, u64)],
    /// What the recovery found.
    pub recovered: &'a Recovered,
}

impl Truth {
    /// A new life has taken in what was left.
    pub fn recovered(&mut self, scenario: &Scenario, engine: &Engine, left: Left, random: &mut Random) -> Checked {
        let Left {
            inputs,
            needed,
            rotten,
            rewritten,
            recovered,
        } = left;
        let gone = self.entries.iter().map(|entry| entry.gone_from_state).collect();
        self.lives.insert(self.numbers_from, (self.before, gone));
        self.numbers_from = recovered.next_segment;
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
        self.rewrite(rewritten)?;
        self.state_of(recovered.snapshot);
        self.fold_again(scenario)?;
        // A receipt would say so from now on.
        self.entries
            .iter_mut()
            .for_each(|entry| entry.told = Durability::Synced);
        self.begun_whole = self.whole();
        self.compare(scenario, engine, random)
    }

    /// What rewriting took from the journal's records.
    fn rewrite(&mut self, rewritten: &[(Range<u64>, u64)]) -> Checked {
        for (inputs, through) in rewritten {
            if *through > self.newest() {
                return Err(format!(
                    "an erasure is gone, input {through}, that rewritten segments honour"
                ));
            }
            let erasures: Vec<_> = (self.before + 1..)
                .zip(&self.entries)
                .filter_map(|(sequence, entry)| {
                    let Asked::Erasure(erasure) = &entry.input else {
                        return None;
                    };
                    (sequence <= *through).then(|| (sequence, erasure.clone()))
                })
                .collect();
            for (sequence, entry) in (self.before + 1..).zip(&mut self.entries) {
                let later = erasures.iter().filter(|(erased, _)| *erased > sequence);
                for (_, erasure) in later.filter(|_| inputs.contains(&sequence)) {
                    entry.gone |= entry.names(erasure).unwrap_or(0);
                }
            }
        }
        Ok(())
    }

    /// The state is a snapshot's and the journal behind it, or the journal's alone.
    fn state_of(&mut self, snapshot: Option<(u64, u64)>) {
        let (through, number) = snapshot.unwrap_or((0, 0));
        let then = self.lives.range(..=number).next_back().map(|(_, life)| life.clone());
        for (sequence, entry) in (self.before + 1..).zip(&mut self.entries) {
            let of_then = then.as_ref().filter(|_| sequence <= through);
            let of_then = of_then.and_then(|(before, gone)| gone.get(sequence.checked_sub(before + 1)? as usize));
            entry.gone_from_state = of_then.copied().unwrap_or(entry.gone);
        }
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
            asked.extend(now.iter().map(Entry::taken));
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
        let is_whole = |entry: &Entry| entry.of_whole && entry.gone_from_state == 0;
        self.before == 0
            && self.complete_since.iter().all(|since| since.0 == START_US)
            && self.entries.iter().all(is_whole)
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
