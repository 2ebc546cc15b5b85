//! One digest for a whole state: what a replay must come to.

use prost::Message;

use crate::{rescore::Answered, road::Engine, transaction::EventTime};

impl Engine {
    /// The digest of the whole state in a canonical order, caches left out: equal digests are equal states. Programs in their
    /// order, in each the entities by slot, keys sorted, rows by time, what was approved blind, and through where the cloud has
    /// spoken; then how far streams were taken in, and the known ids with their answers, by sequence.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut write = |bytes: &[u8]| {
            hasher.update(bytes);
        };
        write(&self.sequence.to_le_bytes());
        for program in &self.programs {
            write(&(program.name.len() as u64).to_le_bytes());
            write(program.name.as_bytes());
            write(&program.plan.digest);
            let EventTime(complete_since) = program.complete_since;
            write(&complete_since.to_le_bytes());
            program.history.write_canonical(&program.plan, &mut write);
            for (time, minor) in program.blind.exposure() {
                write(&time.0.to_le_bytes());
                write(&minor.to_le_bytes());
            }
            let Answered { epoch, sequence } = program.reviewed.through;
            write(&epoch.to_le_bytes());
            write(&sequence.to_le_bytes());
        }
        for at in self.offsets.iter() {
            write(&(at.topic.len() as u64).to_le_bytes());
            write(at.topic.as_bytes());
            write(&at.partition.to_le_bytes());
            write(&at.highest.to_le_bytes());
        }
        let mut answer = Vec::new();
        for taken in self.known.iter() {
            write(&taken.id.0.to_le_bytes());
            write(&taken.payload.0.to_le_bytes());
            write(&taken.sequence.to_le_bytes());
            answer.clear();
            if let Some(assessment) = &taken.assessment {
                let program = &self.programs[usize::from(assessment.made_with.program)];
                let sent = assessment.to_wire(program.version(assessment.made_with));
                answer.extend_from_slice(&sent.encode_to_vec());
            }
            write(&(answer.len() as u64).to_le_bytes());
            write(&answer);
        }
        *hasher.finalize().as_bytes()
    }
}
