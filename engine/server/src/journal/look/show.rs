//! One transaction: what it saw, what it was answered, and what comes out of the journal before it again.

use std::path::Path;

use fraudgate_core::{
    history::Bounds,
    journal::{
        gap::Gap,
        record::{Record, Records},
        segment::Header,
    },
    key::HashKey,
    plan::Plan,
    policy::Policy,
    replay::{Replay, ReplayError},
    road::{Engine, Limits},
    transaction::{EventTime, KeyHash},
};
use serde_json::{Value, json};

use super::{
    super::{JournalError, failed, recovery::Visit},
    again::{Again, Outcome, again},
    models::{Models, Shelf},
    told::Programs,
    walk,
};

/// What a transaction saw and was answered, and whether the journal before it gives that again, bit for bit: `again` holds how
/// features and assessment come out. Null when it is not there. An id that was forgotten and taken again is shown as it was
/// taken last.
pub fn show(
    folder: &Path,
    secret: &[u8; 32],
    key: &HashKey,
    program: &str,
    id: &str,
    models: &mut dyn Models,
) -> Result<Value, JournalError> {
    let wanted = key.namespace(program, "transaction id").hash(id.as_bytes());
    let mut find = Find {
        program,
        wanted,
        programs: Programs::default(),
        found: None,
        before: Vec::new(),
    };
    walk(folder, secret, &mut find, &mut |_, _| {})?;
    let (Some(mut found), before) = (find.found, find.before) else {
        return Ok(Value::Null);
    };
    if !before.is_empty() {
        found.told["taken_before"] = json!(before);
    }
    let limits = Limits {
        known_ids: 1,
        drain: 1,
        history: found.bounds,
        ahead_us: None,
    };
    let mut engine = Engine::new(key.clone(), 0, limits);
    engine
        .add_program(program, found.plan, found.policy, None, EventTime(i64::MIN))
        .map_err(|e| failed("program")(&e))?;
    let mut compute = Compute {
        replay: Replay::new(&mut engine),
        programs: Programs::default(),
        shelf: Shelf::new(models),
        wanted: found.sequence,
        beginning: None,
        outcome: None,
        stopped: None,
    };
    walk(folder, secret, &mut compute, &mut |_, _| {})?;
    if let Some(outcome) = compute.outcome {
        found.told["again"] = json!({
            "features": outcome.features.to_json(),
            "assessment": outcome.assessment.map(|again| again.to_json()),
        });
    }
    Ok(found.told)
}

/// Finds where it stands, and how its program was stated there.
struct Find<'n> {
    program: &'n str,
    wanted: KeyHash,
    programs: Programs,
    found: Option<Found>,
    /// The sequences at which its id was taken before.
    before: Vec<u64>,
}

struct Found {
    sequence: u64,
    plan: Plan,
    policy: Policy,
    bounds: Bounds,
    told: Value,
}

impl Visit for Find<'_> {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.programs.segment(header);
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let clock = records.clock.0;
        let mut sequence = first;
        for record in records.flatten() {
            if self.programs.state(&record)? {
                continue;
            }
            if let Record::Transaction(admitted, _) = &record
                && admitted.id == self.wanted
                && let Some(stated) = self.programs.of(admitted.program)
                && stated.name == self.program
            {
                let (plan, policy, bounds) = (stated.plan.clone(), stated.policy.clone(), stated.bounds);
                let told = self.programs.tell(sequence, clock, &record);
                let found = Found {
                    sequence,
                    plan,
                    policy,
                    bounds,
                    told,
                };
                self.before
                    .extend(self.found.replace(found).map(|earlier| earlier.sequence));
            }
            sequence += 1;
        }
        Ok(())
    }
}

/// Replays all that was before it, under the plan and the policy of then, and computes it again.
struct Compute<'e, 'm> {
    replay: Replay<'e>,
    programs: Programs,
    shelf: Shelf<'m>,
    wanted: u64,
    /// The sequence of the first input that is left.
    beginning: Option<u64>,
    outcome: Option<Outcome>,
    /// Why what was before it makes no state.
    stopped: Option<ReplayError>,
}

impl Visit for Compute<'_, '_> {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.programs.segment(header);
        self.beginning.get_or_insert(header.first);
        if self.stopped.is_none() {
            self.stopped = self.replay.segment(header.epoch, header.first).err();
        }
        Ok(())
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), JournalError> {
        self.beginning = Some(gap.last + 1);
        if self.stopped.is_none() {
            self.stopped = self.replay.gap(gap).err();
        }
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let mut sequence = first;
        for record in records.flatten() {
            if sequence > self.wanted {
                return Ok(());
            }
            if self.programs.state(&record)? {
                self.follow(&record);
                continue;
            }
            if sequence == self.wanted
                && let Record::Transaction(admitted, Some(scored)) = &record
                && let Some(stated) = self.programs.of(admitted.program)
            {
                self.outcome = Some(match &self.stopped {
                    None => again(
                        &mut self.replay,
                        Some(&mut self.shelf),
                        stated,
                        self.beginning.unwrap_or(1),
                        (admitted, scored),
                        &mut Vec::new(),
                    )?,
                    Some(stopped) => unknown(stopped),
                });
            }
            self.follow(&record);
            sequence += 1;
        }
        Ok(())
    }
}

impl Compute<'_, '_> {
    fn follow(&mut self, record: &Record) {
        if self.stopped.is_none() {
            self.stopped = self.replay.record(record).err();
        }
    }
}

fn unknown(stopped: &ReplayError) -> Outcome {
    let unknown = || Again::Unknown {
        why: format!("what was before it cannot be replayed: {stopped}"),
    };
    Outcome {
        features: unknown(),
        assessment: Some(unknown()),
    }
}
