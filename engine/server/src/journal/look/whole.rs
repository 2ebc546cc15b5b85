//! The journal as a whole: its segments, and the digest of its head.

use std::path::Path;

use fraudgate_core::{
    journal::{
        record::{Record, Records},
        segment::Header,
    },
    model::hex,
};
use serde_json::{Value, json};

use super::{
    super::{
        JournalError,
        disk::Folder,
        recovery::{Visit, chain, headers},
    },
    walk,
};

/// The segments, as their headers say; needs no key.
pub fn info(folder: &Path) -> Result<Value, JournalError> {
    let disk = Folder::look(folder);
    let headers = headers(&disk)?;
    let chain = chain(&headers)?;
    let chained = |header: &Header| chain.iter().any(|other| other.segment == header.segment);
    let segments = headers.values().map(|header| {
        json!({
            "segment": header.segment,
            "epoch": header.epoch,
            "first": header.first,
            "opened_at_us": header.opened_at_us,
            "abandoned": !chained(header),
            "previous": header.previous.map(|end| json!({
                "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
            })),
        })
    });
    Ok(json!({"segments": segments.collect::<Vec<_>>()}))
}

/// Reads everything: what there is, and the digest of its head, which stands for all before it.
pub fn verify(folder: &Path, secret: &[u8; 32]) -> Result<Value, JournalError> {
    struct Count(u64, u64);
    impl Visit for Count {
        fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
            Ok(())
        }
        fn drain(&mut self, _: u64, records: Records) -> Result<(), JournalError> {
            self.0 += 1;
            self.1 += records
                .filter(|record| !matches!(record, Ok(Record::Program(_))))
                .count() as u64;
            Ok(())
        }
    }
    let mut count = Count(0, 0);
    let recovered = walk(folder, secret, &mut count, &mut |_, _| {})?;
    Ok(json!({
        "segments": recovered.segments,
        "drains": count.0,
        "inputs": count.1,
        "torn_bytes": recovered.torn,
        "head": recovered.end.map(|end| json!({
            "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
        })),
    }))
}
