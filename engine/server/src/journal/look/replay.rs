//! Everything again: the whole journal is replayed, and every row and every answer that it holds is compared with what the
//! state before it gives.
//!
//! A program is replayed under the plan and the policy that it was answered with, so a journal in which those changed is
//! walked once for each set of them, and compared where that set was stated.

use std::{collections::HashMap, path::Path};

use fraudgate_core::{
    history::Bounds,
    journal::{
        gap::Gap,
        record::{Record, Records},
        segment::Header,
    },
    key::HashKey,
    model::hex,
    plan::Plan,
    policy::Policy,
    replay::Replay,
    road::{Engine, Limits},
    transaction::EventTime,
};
use serde_json::{Value, json};

use super::{
    super::{JournalError, failed, recovery::Visit},
    again::{Again, again},
    models::{Models, Shelf},
    told::Programs,
    walk,
};

/// Replays all of a journal and compares: every journaled row of features, and with `models` every assessment. `known_ids` is how many
/// ids the scorer remembers, which the digest of the state covers. `progress` is told how many bytes are read and how many there
/// are.
pub fn replay(
    folder: &Path,
    secret: &[u8; 32],
    known_ids: usize,
    mut models: Option<&mut dyn Models>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Value, JournalError> {
    let mut eras = Eras::default();
    walk(folder, secret, &mut eras, &mut |_, _| {})?;
    let mut count = Count::default();
    let (mut inputs, mut digest, mut sequence) = (0, None, 0);
    let passes = eras.found.len() as u64;
    for (pass, era) in eras.found.iter().enumerate() {
        // Nothing is hashed anew.
        let key = HashKey {
            version: 0,
            secret: [0; 32],
        };
        let limits = Limits {
            known_ids,
            drain: 1,
            history: era.bounds,
            ahead_us: None,
        };
        let mut engine = Engine::new(key, 0, limits);
        for (name, plan, policy) in &era.programs {
            let plan = Plan::parse(plan).map_err(|e| failed("plan")(&e))?;
            let policy = Policy::parse(policy).map_err(|e| failed("policy")(&e))?;
            engine
                .add_program(name, plan, policy, None, EventTime(i64::MIN))
                .map_err(|e| failed("program")(&e))?;
        }
        let mut compare = Compare {
            replay: Replay::new(&mut engine),
            programs: Programs::default(),
            shelf: models.as_mut().map(|models| Shelf::new(&mut **models)),
            segments: &era.segments,
            is_compared: false,
            beginning: None,
            count: &mut count,
            row: Vec::new(),
        };
        walk(folder, secret, &mut compare, &mut |done, all| {
            progress(pass as u64 * all + done, passes * all);
        })?;
        inputs = compare.replay.inputs;
        compare.replay.finish(0);
        (digest, sequence) = (Some(hex(&engine.digest())), engine.sequence());
    }
    Ok(json!({
        "inputs": inputs,
        "sequence": sequence,
        "passes": passes,
        // That of the state under the plans and policies that were stated last.
        "digest": digest,
        "features": count.features.to_json(),
        "assessments": count.assessments.to_json(),
    }))
}

/// Programs by name, plan and policy, what bounds each of them, and the segments that state them.
struct Era {
    bounds: Bounds,
    programs: Vec<(String, Vec<u8>, Vec<u8>)>,
    segments: Vec<u64>,
}

/// Finds what was stated together. The last one found was stated last.
#[derive(Default)]
struct Eras {
    found: Vec<Era>,
    segment: u64,
}

impl Visit for Eras {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.segment = header.segment;
        Ok(())
    }

    fn drain(&mut self, _: u64, records: &mut Records) -> Result<(), JournalError> {
        let (mut programs, mut bounds) = (Vec::new(), Bounds::NONE);
        for record in records.flatten() {
            let Record::Program(stated) = record else { break };
            bounds = stated.bounds;
            programs.push((stated.name.to_owned(), stated.plan.to_vec(), stated.policy.to_vec()));
        }
        if programs.is_empty() {
            return Ok(());
        }
        let known = self
            .found
            .iter()
            .position(|era| era.programs == programs && era.bounds == bounds);
        let mut era = known.map_or_else(
            || Era {
                bounds,
                programs,
                segments: Vec::new(),
            },
            |known| self.found.remove(known),
        );
        era.segments.push(self.segment);
        self.found.push(era);
        Ok(())
    }
}

/// What was compared of one kind.
#[derive(Default)]
struct Tally {
    same: u64,
    differing: u64,
    /// Those that nobody can compute again, by why.
    unknown: HashMap<String, u64>,
    first: Option<Value>,
}

impl Tally {
    fn count(&mut self, sequence: u64, again: Again) {
        match again {
            Again::Same => self.same += 1,
            Again::Differs { .. } => {
                self.differing += 1;
                self.first.get_or_insert_with(|| {
                    let mut first = again.to_json();
                    first["sequence"] = json!(sequence);
                    first
                });
            }
            Again::Unknown { why } => *self.unknown.entry(why).or_default() += 1,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "same": self.same,
            "differing": self.differing,
            "first_difference": self.first,
            "unknown": self.unknown,
        })
    }
}

#[derive(Default)]
struct Count {
    features: Tally,
    assessments: Tally,
}

struct Compare<'e, 'm> {
    replay: Replay<'e>,
    programs: Programs,
    shelf: Option<Shelf<'m>>,
    /// Those whose answers were given under what is replayed.
    segments: &'e [u64],
    is_compared: bool,
    beginning: Option<u64>,
    count: &'e mut Count,
    row: Vec<f32>,
}

impl Visit for Compare<'_, '_> {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.programs.segment(header);
        self.is_compared = self.segments.contains(&header.segment);
        self.beginning.get_or_insert(header.first);
        let begun = self.replay.segment(header.epoch, header.first);
        begun.map_err(|e| failed(&format!("segment {}", header.segment))(&e))
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), JournalError> {
        // What is compared behind it is what the scorer saw before anything was lost.
        self.beginning = Some(gap.last + 1);
        self.replay.gap(gap).map_err(|e| failed("gap")(&e))
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        self.replay.expect(first).map_err(|e| failed("replay")(&e))?;
        let mut sequence = first;
        for record in records.flatten() {
            let is_input = !self.programs.state(&record)?;
            if self.is_compared
                && let Record::Transaction(admitted, Some(scored)) = &record
                && let Some(stated) = self.programs.of(admitted.program)
            {
                let outcome = again(
                    &mut self.replay,
                    self.shelf.as_mut(),
                    stated,
                    self.beginning.unwrap_or(1),
                    (admitted, scored),
                    &mut self.row,
                )?;
                self.count.features.count(sequence, outcome.features);
                if let Some(assessment) = outcome.assessment {
                    self.count.assessments.count(sequence, assessment);
                }
            }
            self.replay.record(&record).map_err(|e| failed("replay")(&e))?;
            sequence += u64::from(is_input);
        }
        Ok(())
    }
}
