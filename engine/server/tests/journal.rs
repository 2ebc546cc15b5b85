//! The journal's files under failing disks, restarts, rotation and retention: what was acknowledged comes back.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::faulty::Faults;
use crate::journaled::{
    SECRET, copy, flip, left_with, look, lose, never_synced, newest, send, settings, settle, start,
};
use crate::shop::engine;
use crate::waited::until;
use fraudgate_core::wire::Durability;
use fraudgate_server::journal::{
    Settings,
    disk::{Disk, Folder},
    keyring::rotate,
};
use tempfile::TempDir;

/// Whether an input is in a file. One that was not taken is not.
fn is_on_disk(durability: &Durability) -> bool {
    matches!(durability, Durability::Written | Durability::Synced)
}

#[test]
fn lives_follow_each_other_over_many_segments_and_a_death_at_any_moment() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    // Whatever the machine does meanwhile, no input finds the journal full.
    let settings = Settings {
        buffer_bytes: 1 << 20,
        ..settings(folder.path())
    };
    let mut digest = engine(0).digest();
    for life in 1..=4_u32 {
        let (mut engine, recovered) = start(folder.path(), &settings, &faults).unwrap();
        assert_eq!(engine.digest(), digest);
        assert_eq!(recovered.epoch, u64::from(life));
        assert_eq!(recovered.inputs, u64::from(life - 1) * 120);
        assert_eq!(recovered.fresh.is_empty(), life > 1);
        for part in 0..6 {
            let from = (life - 1) * 120 + part * 20;
            let durable = send(&mut engine, from..from + 20);
            assert!(durable.iter().all(is_on_disk), "{durable:?}");
            // What is on disk now is what a process leaves that is killed now.
            let (left, found) = look(folder.path()).unwrap();
            assert_eq!(left.digest(), engine.digest());
            assert!(found.segments >= life as usize);
        }
        digest = engine.digest();
    }
    let (_, recovered) = start(folder.path(), &settings, &faults).unwrap();
    assert!(recovered.segments > 8 && recovered.torn == 0, "{recovered:?}");
}

#[test]
fn a_file_whose_sync_failed_is_left_and_all_that_was_not_synced_in_it_is_written_anew() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::<Faults>::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    settle(&mut engine);
    for round in 1..6 {
        faults.meanwhile(&faults.sync, || {
            send(&mut engine, round * 10..round * 10 + 7);
        });
        send(&mut engine, round * 10 + 7..round * 10 + 10);
        settle(&mut engine);
        let (left, _) = look(folder.path()).unwrap();
        assert_eq!(left.digest(), engine.digest(), "round {round}");
    }
    assert_eq!(engine.sequence(), 60);
}

#[test]
fn a_full_disk_keeps_answers_in_memory_then_reads_only_and_all_is_written_when_there_is_room() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::<Faults>::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    settle(&mut engine);
    faults.write.store(true, Ordering::SeqCst);
    faults.create.store(true, Ordering::SeqCst);
    let durable = send(&mut engine, 10..300);
    let taken = durable.iter().filter(|&&durable| durable == Durability::Memory).count();
    assert!(
        durable[..taken].iter().all(|&durable| durable == Durability::Memory) && taken > 20,
        "{durable:?}"
    );
    assert!(durable[taken..].iter().all(|&durable| durable == Durability::NotTaken) && taken < 200);
    assert_eq!(engine.sequence(), 10 + taken as u64);
    let (left, _) = look(folder.path()).unwrap();
    assert_eq!(left.sequence(), 10);
    faults.write.store(false, Ordering::SeqCst);
    faults.create.store(false, Ordering::SeqCst);
    settle(&mut engine);
    let durable = send(&mut engine, 300..310);
    assert!(durable.iter().all(is_on_disk));
    let (left, _) = look(folder.path()).unwrap();
    assert_eq!(left.digest(), engine.digest());
    drop(engine);
    assert_eq!(
        start(folder.path(), &settings(folder.path()), &faults)
            .unwrap()
            .0
            .digest(),
        left.digest()
    );
}

#[test]
fn keys_are_rotated_without_rewriting_a_segment_and_another_key_is_named() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    let digest = engine.digest();
    drop(engine);
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder.path()));
    let before = disk.read(1, u64::MAX).unwrap();
    assert!(rotate(&disk, &SECRET, &[4; 32]).unwrap() >= 1);
    let error = start(folder.path(), &settings(folder.path()), &faults)
        .map(|_| ())
        .unwrap_err();
    assert!(
        error.to_string().contains("is wrapped under key-encryption key"),
        "{error}"
    );
    rotate(&disk, &[4; 32], &SECRET).unwrap();
    assert_eq!(disk.read(1, u64::MAX).unwrap(), before);
    assert_eq!(
        start(folder.path(), &settings(folder.path()), &faults)
            .unwrap()
            .0
            .digest(),
        digest
    );
}

#[test]
fn a_rotten_line_of_the_key_file_is_named_by_its_number_whatever_it_says() {
    let folder = TempDir::new().unwrap();
    for life in 0..2 {
        let (mut engine, _) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
        send(&mut engine, life * 10..life * 10 + 10);
    }
    let keys = std::fs::read_to_string(folder.path().join("keys")).unwrap();
    let lines: Vec<&str> = keys.lines().collect();
    let mut at = 0;
    for (number, line) in lines[..lines.len() - 1].iter().enumerate() {
        for what in ["segment", "epoch", "under", "key", "begun", "bytes", "end", "digest"] {
            let Some(place) = line.find(&format!("\"{what}\":")) else {
                continue;
            };
            let value = place + what.len() + 3 + usize::from(line.as_bytes()[place + what.len() + 3] == b'"');
            let digit = line.as_bytes()[value];
            // Another digit, which reads as well as the one that was written.
            let other = if digit == b'7' { b'6' } else { b'7' };
            let rot = |path: &Path| {
                let mut rotten = keys.clone().into_bytes();
                rotten[at + value] = other;
                std::fs::write(path.join("keys"), rotten).unwrap();
            };
            let error = left_with(folder.path(), rot).map(|_| ()).unwrap_err().0;
            assert_eq!(
                error,
                format!("keys, line {}: it is not as it was written", number + 1),
                "{what}"
            );
        }
        at += line.len() + 1;
    }
}

#[test]
fn a_key_that_was_written_in_part_is_followed_by_none() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::<Faults>::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    // Into the second segment: the one after it is prepared then, and its key cannot be written whole.
    faults.meanwhile(&faults.keys, || {
        send(&mut engine, 0..60);
    });
    // Until the next segment is ready, however busy the machine is; then what comes goes on in it.
    let first = newest(folder.path());
    let mut sent = 60;
    while newest(folder.path()) == first && sent < 20_000 {
        std::thread::sleep(Duration::from_millis(10));
        send(&mut engine, sent..sent + 10);
        sent += 10;
    }
    settle(&mut engine);
    let digest = engine.digest();
    drop(engine);
    let (engine, recovered) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    assert_eq!(engine.digest(), digest);
    assert!(recovered.segments >= 2, "{recovered:?}");
}

#[test]
fn a_header_or_a_key_that_reached_the_disk_in_part_is_a_write_that_was_under_way() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    let digest = engine.digest();
    drop(engine);
    // The next life has opened its segment and written nothing to it.
    let (engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    let newest = newest(folder.path());
    let torn_header = |path: &Path| {
        never_synced(path, newest);
        lose(&path.join(format!("{newest:016}.segment")), 40, 30);
    };
    assert_eq!(left_with(folder.path(), torn_header).unwrap().0.digest(), digest);
    let torn_key = |path: &Path| {
        let keys = path.join("keys");
        let length = std::fs::metadata(&keys).unwrap().len();
        lose(&keys, length - 60, 40);
    };
    // Whether the torn line is the key of the segment that is ready or of the one that is open, nothing of it was synced.
    let torn = |path: &Path| {
        torn_header(path);
        torn_key(path);
    };
    assert_eq!(left_with(folder.path(), torn).unwrap().0.digest(), digest);
    drop(engine);
}

#[test]
fn damage_that_a_later_chunk_of_the_same_segment_knew_synced_is_named_though_the_next_segment_says_nothing() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    drop(engine);
    let (engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    let newest = newest(folder.path());
    let harm = |path: &Path| {
        never_synced(path, newest);
        flip(&path.join(format!("{:016}.segment", 1)), 400);
        flip(&path.join(format!("{newest:016}.segment")), 200);
    };
    let error = left_with(folder.path(), harm).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("segment 1 at offset"), "{error}");
    drop(engine);
}

#[test]
fn damage_to_what_a_recovery_made_sure_of_is_named_though_nothing_that_came_after_is_left() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    send(&mut engine, 0..10);
    // The process is killed; the next life takes in what is there, and the machine loses its power before more is synced.
    let killed = copy(folder.path());
    let (next, recovered) = start(killed.path(), &settings(killed.path()), &faults).unwrap();
    let end = recovered.end.unwrap();
    let newest = newest(killed.path());
    let harm = |path: &Path| {
        never_synced(path, newest);
        lose(&path.join(format!("{newest:016}.segment")), 0, 8_192);
        flip(&path.join(format!("{:016}.segment", end.segment)), end.offset - 20);
    };
    let error = left_with(killed.path(), harm).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("segment 1 at offset"), "{error}");
    drop((engine, next));
}

#[test]
fn damage_before_the_end_is_named_and_nothing_is_taken_in_over_it() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    for life in 0..2 {
        let (mut engine, _) = start(folder.path(), &settings(folder.path()), &faults).unwrap();
        send(&mut engine, life * 10..life * 10 + 10);
    }
    let path = folder.path().join(format!("{:016}.segment", 1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[2_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = start(folder.path(), &settings(folder.path()), &faults)
        .map(|_| ())
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("segment 1 at offset") && error.contains("are lost"),
        "{error}"
    );
}

#[test]
fn the_oldest_segments_go_and_what_is_left_says_since_when_it_is_complete() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let mut settings = settings(folder.path());
    settings.retain_bytes = Some(5 * settings.segment_bytes);
    let (mut engine, _) = start(folder.path(), &settings, &faults).unwrap();
    for part in 0..40 {
        send(&mut engine, part * 20..part * 20 + 20);
        settle(&mut engine);
    }
    // The keeper looks once a second.
    let disk = Folder::look(folder.path());
    until("few segments are left", || {
        let numbers = disk.segments().unwrap();
        numbers.len() <= 7 && numbers[0] > 1
    });
    let last = engine.sequence();
    drop(engine);
    let (engine, recovered) = start(folder.path(), &settings, &faults).unwrap();
    assert_eq!(engine.sequence(), last);
    assert!(recovered.inputs < last);
    assert!(engine.programs()[0].complete_since.0 > crate::shop::START_US);
}

#[test]
fn a_folder_belongs_to_one_process() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let _engine = start(folder.path(), &settings(folder.path()), &faults).unwrap();
    let error = Folder::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}
