//! The last inputs.

use std::{collections::VecDeque, path::Path};

use fraudgate_core::journal::{record::Records, segment::Header};
use serde_json::Value;

use super::{
    super::{JournalError, recovery::Visit},
    told::Programs,
    walk,
};

/// The last inputs.
pub fn tail(folder: &Path, secret: &[u8; 32], inputs: usize) -> Result<Value, JournalError> {
    struct Last {
        programs: Programs,
        kept: VecDeque<Value>,
        inputs: usize,
    }
    impl Visit for Last {
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
                if self.kept.len() == self.inputs {
                    self.kept.pop_front();
                }
                if self.inputs > 0 {
                    self.kept.push_back(self.programs.tell(sequence, clock, &record));
                }
                sequence += 1;
            }
            Ok(())
        }
    }
    let mut last = Last {
        programs: Programs::default(),
        kept: VecDeque::new(),
        inputs,
    };
    walk(folder, secret, &mut last, &mut |_, _| {})?;
    Ok(Value::from(Vec::from(last.kept)))
}
