//! What leaves for the cloud of what a cursor visits: transactions that are marked to be scored again, and what the cloud
//! turned around. Everything else is passed over.

use fraudgate_core::{
    journal::{
        record::{Record, Records},
        segment::Header,
    },
    rescore::Gathering,
};
use prost::Message;

use super::{JournalError, failed, recovery::Visit};

/// The name of the cursor whose place bounds the spool.
pub const CURSOR: &str = "rescore";

/// Gathers what leaves.
pub struct Forwarding(pub Gathering);

/// One message that leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// What it is.
    pub what: What,
    /// The PoP: what one PoP says comes in order.
    pub key: String,
    /// The message's bytes.
    pub value: Vec<u8>,
}

/// What leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A `RescoreRequest`.
    Request,
    /// A `Reversal`.
    Reversal,
}

impl Forwarding {
    /// Takes away what was gathered: how many rows are to be scored again, and the messages.
    pub fn take(&mut self) -> (usize, Vec<Leaving>) {
        let gathered = self.0.give();
        let requests = gathered.requests.iter().map(|request| Leaving {
            what: What::Request,
            key: request.pop.clone(),
            value: request.encode_to_vec(),
        });
        let reversals = gathered.reversals.iter().map(|reversal| Leaving {
            what: What::Reversal,
            key: reversal.pop.clone(),
            value: reversal.encode_to_vec(),
        });
        (gathered.rows, requests.chain(reversals).collect())
    }
}

impl Visit for Forwarding {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.0.segment(header.epoch);
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let mut sequence = first;
        for record in records {
            let record = record.map_err(|_| JournalError(format!("input {sequence} is in a format unknown here")))?;
            self.0.record(sequence, &record).map_err(|e| failed("program")(&e))?;
            sequence += u64::from(!matches!(record, Record::Program(_)));
        }
        Ok(())
    }
}
