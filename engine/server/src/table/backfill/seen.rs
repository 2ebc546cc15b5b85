//! Rows whose features were seen elsewhere are answered as the road answers them: in full, or by what is declared.

use arrow_array::{Array, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch};
use fraudgate_core::{
    admit::{Admitted, Mode},
    ladder::Admission,
    policy::Segment,
    program::Whose,
    rescore::Spool,
    transaction::{AmountMinor, Clock, EventTime, KeyHash, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

use super::{
    super::{
        Input, TableError,
        answers::{Answers, Of, Wanted},
        apart::{self, Carried, column, hash},
    },
    Backfill, DRAIN, failed,
};

struct Rows {
    rows: Int64Array,
    sequences: Int64Array,
    replayed: BooleanArray,
    event_times: Int64Array,
    kinds: Int32Array,
    counted: Int64Array,
    segments: Int32Array,
    dropped: Int32Array,
    keys: Vec<BinaryArray>,
    carried: Carried,
}

impl Backfill {
    /// Answers rows that `Apart` has seen, in their order: a row for each, as `take` gives them. A retransmission has the
    /// features of its first, and gives none.
    pub fn answer(&mut self, batch: &RecordBatch, wanted: Wanted) -> Result<RecordBatch, TableError> {
        let rows = self.rows(batch)?;
        let asks = wanted.assessments || wanted.bytes;
        let width = self.features.len();
        let mut answers = Answers::new(wanted, batch.num_rows());
        let [program] = self.engine.programs_mut() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        let mut assessments = Vec::new();
        for begin in (0..batch.num_rows()).step_by(DRAIN) {
            let block = begin..batch.num_rows().min(begin + DRAIN);
            assessments.clear();
            if asks {
                for row in block.clone() {
                    let (seen, values) = rows.carried.seen(row, width)?;
                    program.wait_seen(Whose::Read(row), &rows.admitted(row)?, seen, &values);
                }
                let failures = program.score(Clock(0), Spool::None, |_, _, assessment, _| {
                    assessments.push(assessment)
                });
                if failures > 0 {
                    return Err(failed());
                }
            }
            let mut given = assessments.iter();
            for row in block {
                let replayed = rows.replayed.value(row);
                let place = (!replayed).then_some(answers.features.len() / width);
                if !replayed && answers.wants_features() {
                    answers.features.extend(rows.carried.seen(row, width)?.1);
                }
                let sequence = rows.sequences.value(row).unsigned_abs();
                answers.push(&rows.of(row), sequence, replayed, place);
                if let Some(assessment) = given.next() {
                    answers.say(assessment, program.version(assessment.made_with));
                }
            }
        }
        answers.into_batch(&self.entities, &self.features)
    }

    fn rows(&self, batch: &RecordBatch) -> Result<Rows, TableError> {
        let keys = self.entities.iter().map(|name| column(batch, &format!("key.{name}")));
        Ok(Rows {
            rows: column(batch, "row")?,
            sequences: column(batch, "sequence")?,
            replayed: column(batch, "replayed")?,
            event_times: column(batch, "event_time_us")?,
            kinds: column(batch, "kind")?,
            counted: column(batch, "counted_minor")?,
            segments: column(batch, "segment")?,
            dropped: column(batch, "dropped")?,
            keys: keys.collect::<Result<_, _>>()?,
            carried: Carried::of(batch)?,
        })
    }
}

impl Rows {
    fn of(&self, row: usize) -> Of {
        Of {
            input: Input::Transaction,
            row: self.rows.value(row),
            keys: self.hashes(row),
        }
    }

    fn hashes(&self, row: usize) -> [Option<KeyHash>; MAX_ENTITIES] {
        let mut keys = [None; MAX_ENTITIES];
        for (key, column) in keys.iter_mut().zip(&self.keys) {
            *key = hash(column, row);
        }
        keys
    }

    /// The row as the gate left it, as far as an answer depends on it.
    fn admitted(&self, row: usize) -> Result<Admitted, TableError> {
        Ok(Admitted {
            program: 0,
            id: KeyHash(0),
            payload: KeyHash(0),
            mode: Mode::Score,
            decide_by: None,
            dropped: self.dropped.value(row) as u16,
            mirror_behind: false,
            position: None,
            unanswered: None,
            asks: false,
            admission: Admission::Full,
            segment: Segment(self.segments.value(row) as u8),
            transaction: Transaction {
                event_time: EventTime(self.event_times.value(row)),
                utc_offset_minutes: 0,
                kind: apart::kind(&self.kinds, row)?,
                amount: self.counted.is_valid(row).then(|| AmountMinor(self.counted.value(row))),
                entities: self.hashes(row),
                numbers: [f64::NAN; MAX_NUMBERS],
            },
        })
    }
}
