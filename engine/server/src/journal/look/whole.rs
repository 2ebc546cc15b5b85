//! The journal as a whole: its segments, and the digest of its head.

use std::{path::Path, sync::Arc};

use fraudgate_core::{
    journal::{
        gap::Gap,
        record::{Record, Records},
        segment::Header,
    },
    key::HashKey,
    model::hex,
    road::{Engine, Limits},
    snapshot::file,
};
use serde_json::{Value, json};

use super::{
    super::{
        JournalError,
        chain::{all_headers, chain},
        disk::{Disk, Folder},
        failed,
        keyring::{Keyring, begun_and_ends, gaps},
        recovery::Visit,
        snapshot::load,
    },
    walk,
};

/// The segments, as their headers say; needs no key.
pub fn info(folder: &Path) -> Result<Value, JournalError> {
    let disk = Folder::look(folder);
    let (begun, ends) = begun_and_ends(&disk)?;
    let headers = all_headers(&disk, &begun, &ends)?;
    let gaps = gaps(&disk)?;
    let chain = chain(&headers, &gaps)?;
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
    let all = disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
    let snapshots = all.into_iter().map(|(number, bytes)| {
        let head = disk.read_snapshot(number, 0, file::HEADER);
        let header = head.ok().and_then(|head| file::Header::read(&head).ok());
        let Some(header) = header else {
            return json!({"snapshot": number, "bytes": bytes, "damaged": true});
        };
        json!({
            "snapshot": number,
            "bytes": bytes,
            "epoch": header.epoch,
            "sequence": header.sequence,
            "place": header.place.map(|end| json!({
                "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
            })),
        })
    });
    Ok(
        json!({"segments": segments.collect::<Vec<_>>(), "snapshots": snapshots.collect::<Vec<_>>(), "gaps": lost(&gaps)}),
    )
}

/// Reads everything: what there is, and the digest of its head, which stands for all before it.
pub fn verify(folder: &Path, secret: &[u8; 32]) -> Result<Value, JournalError> {
    struct Count(u64, u64);
    impl Visit for Count {
        fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
            Ok(())
        }
        fn drain(&mut self, _: u64, records: &mut Records) -> Result<(), JournalError> {
            self.0 += 1;
            self.1 += records
                .filter(|record| !matches!(record, Ok(Record::Program(_))))
                .count() as u64;
            Ok(())
        }
    }
    let snapshots = snapshots(folder, secret)?;
    let mut count = Count(0, 0);
    let recovered = walk(folder, secret, &mut count, &mut |_, _| {})?;
    Ok(json!({
        "segments": recovered.segments,
        "snapshots": snapshots,
        "drains": count.0,
        "inputs": count.1,
        "torn_bytes": recovered.torn,
        "gaps": lost(&recovered.gaps),
        "head": recovered.end.map(|end| json!({
            "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
        })),
    }))
}

/// Opens every snapshot to its end, for an engine that serves nothing: what each is, or why it is not good.
fn snapshots(folder: &Path, secret: &[u8; 32]) -> Result<Vec<Value>, JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder));
    let keyring = Keyring::open(disk.clone(), secret)?;
    let all = disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
    let verified = all.into_iter().map(|(number, _)| {
        let limits = Limits {
            known_ids: 0,
            drain: 0,
            history: fraudgate_core::history::Bounds::NONE,
            ahead_us: None,
        };
        let nobody = HashKey {
            version: 0,
            secret: [0; 32],
        };
        let mut engine = Engine::new(nobody, 0, limits);
        match load::load(&*disk, &keyring, &mut engine, number, |_| Ok(()), &mut |_| {}) {
            Ok((header, _)) => json!({"snapshot": number, "sequence": header.sequence}),
            Err(JournalError(why)) => json!({"snapshot": number, "damaged": why}),
        }
    });
    Ok(verified.collect())
}

/// What is lost, as a person accepted.
fn lost(gaps: &[Gap]) -> Vec<Value> {
    let told = |gap: &Gap| json!({"first": gap.first, "last": gap.last, "inputs": gap.inputs(), "behind": gap.segment});
    gaps.iter().map(told).collect()
}
