//! A segment's header comes last, so one that is damaged may have been being written. Where anything says that it was synced, it is named.

use std::sync::Arc;

use crate::journaled::{copy, left_with, lose, newest, send, settings, start, start_by_hand};
use fraudgate_server::journal::JournalError;
use tempfile::TempDir;

/// What a killed process leaves that had taken five inputs and synced none.
fn killed() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (mut engine, _keeper) = start_by_hand(folder.path(), &settings(folder.path()));
    send(&mut engine, 0..5);
    copy(folder.path())
}

fn without_header(folder: &TempDir) -> Result<u64, JournalError> {
    let segment = newest(folder.path());
    let left = left_with(folder.path(), |path| {
        lose(&path.join(format!("{segment:016}.segment")), 20, 1);
    });
    left.map(|(engine, _)| engine.sequence())
}

#[test]
fn a_header_that_nothing_knew_synced_was_being_written() {
    assert_eq!(without_header(&killed()).unwrap(), 0);
}

#[test]
fn a_damaged_header_is_named_where_the_key_file_alone_knew_its_segment_synced() {
    let folder = killed();
    let segment = newest(folder.path());
    // A start makes sure of what it found and says so, and dies before anything of its own is on the disk.
    drop(start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap());
    std::fs::remove_file(folder.path().join(format!("{:016}.segment", newest(folder.path())))).unwrap();
    assert_eq!(newest(folder.path()), segment);
    let error = without_header(&folder).unwrap_err();
    assert_eq!(error.0, format!("segment {segment}: its header is damaged"));
    // Nor does it pass for one that was never written to.
    let blank = left_with(folder.path(), |path| {
        lose(&path.join(format!("{segment:016}.segment")), 0, 100);
    });
    assert_eq!(blank.map(|_| ()).unwrap_err(), error);
}
