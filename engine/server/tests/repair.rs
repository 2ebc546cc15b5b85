//! Repair: what is damaged is set aside only when a person says so, what is lost is named, and the journal goes on without it.

use std::{fs, path::Path, sync::Arc};

use crate::journaled::{SECRET, copy, lose, send, settings, start, start_with};
use crate::shop::{PLAN, POLICY, START_US, ask, drain, engine_knowing, purchase};
use fraudgate_core::{road::Answer, transaction::EventTime};
use fraudgate_server::journal::{
    disk::{Disk, Folder},
    look,
    repair::repair,
};
use serde_json::Value;
use tempfile::TempDir;

/// Later than everything that is sent here.
const THROUGH_US: i64 = START_US + 1_000_000_000_000;

/// A journal of several segments, ended well: 1 to 160.
fn journal() -> TempDir {
    let folder = TempDir::new().unwrap();
    for life in 0..4 {
        let (mut engine, _) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
        send(&mut engine, life * 40..life * 40 + 40);
    }
    folder
}

fn file(folder: &Path, segment: u64) -> std::path::PathBuf {
    folder.join(format!("{segment:016}.segment"))
}

/// The segments that hold inputs, each with the sequence of its first one.
fn segments(folder: &Path) -> Vec<(u64, u64)> {
    let told = look::info(folder).unwrap();
    let all = told["segments"].as_array().unwrap().iter();
    all.map(|segment| (segment["segment"].as_u64().unwrap(), segment["first"].as_u64().unwrap()))
        .collect()
}

/// Every file, with its bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

fn repaired(folder: &Path, really: bool) -> Value {
    repair(folder, &SECRET, THROUGH_US, really).unwrap()
}

fn lost(told: &Value) -> Vec<(u64, u64)> {
    let gaps = told["lost"].as_array().unwrap().iter();
    gaps.map(|gap| (gap["first"].as_u64().unwrap(), gap["last"].as_u64().unwrap()))
        .collect()
}

#[test]
fn nothing_is_done_to_a_whole_journal() {
    let folder = journal();
    let before = files(folder.path());
    let told = repaired(folder.path(), true);
    assert_eq!((lost(&told), &told["inputs"]), (vec![], &Value::from(0)));
    assert_eq!(files(folder.path()), before);
}

#[test]
fn damage_in_the_middle_is_set_aside_when_a_person_says_so_and_what_is_lost_with_it_is_named() {
    let folder = journal();
    let all = segments(folder.path());
    let (damaged, next) = (all[1], all[2]);
    let path = file(folder.path(), damaged.0);
    // Behind the statement of the programs, some drains in.
    lose(&path, 3_500, 4);
    let before = files(folder.path());

    let dry = repaired(folder.path(), false);
    assert_eq!(files(folder.path()), before, "nobody said to do it");
    let [(first, last)] = lost(&dry)[..] else {
        panic!("{dry}")
    };
    assert!(damaged.1 < first && last == next.1 - 1, "{dry}");
    assert!(
        dry["found"][0]
            .as_str()
            .unwrap()
            .contains(&format!("segment {} at offset", damaged.0))
    );
    assert!(start(folder.path(), &settings(folder.path()), &Arc::default()).is_err());

    let told = repaired(folder.path(), true);
    assert_eq!(lost(&told), lost(&dry));
    let aside = folder.path().join(told["set_aside"][0].as_str().unwrap());
    let was = |name: &str| before.iter().find(|(other, _)| other == name).unwrap().1.clone();
    assert_eq!(
        fs::read(aside).unwrap(),
        was(path.file_name().unwrap().to_str().unwrap())
    );

    let knowing = || engine_knowing(1_000, 0, PLAN, POLICY);
    let again = || start_with(knowing(), folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
    let (mut engine, recovered) = again();
    assert_eq!(engine.sequence(), 160);
    assert_eq!(recovered.inputs, 160 - (last + 1 - first));
    assert_eq!((recovered.gaps[0].first, recovered.gaps[0].last), (first, last));
    // No window that reaches into the gap is said to be known: what was lost was no later than what was folded then.
    let newest_lost = EventTime(START_US + last as i64 - 1);
    assert!(engine.programs()[0].complete_since >= newest_lost);

    // Sent again, what is left before and behind the gap gets its first answer; what is lost is taken anew.
    for id in 0..160_u64 {
        let asked = vec![ask(&engine, &purchase(&id.to_string(), id as i64, id as u8 % 5, 100))];
        let Answer::Decision(decision) = drain(&mut engine, asked).remove(0) else {
            panic!()
        };
        let receipt = decision.receipt.unwrap();
        let is_lost = (first..=last).contains(&(id + 1));
        assert_eq!(receipt.replayed, !is_lost, "{id}");
        assert!(is_lost || receipt.sequence == id + 1);
    }
    // And it stays so.
    let digest = engine.digest();
    drop(engine);
    let (engine, recovered) = again();
    assert_eq!((engine.digest(), recovered.gaps.len()), (digest, 1));
    drop(engine);
    assert_eq!(lost(&repaired(folder.path(), false)), vec![]);
}

#[test]
fn behind_a_gap_state_is_that_of_a_journal_whose_beginning_was_removed() {
    let folder = journal();
    let cut = copy(folder.path());
    let all = segments(folder.path());
    let (damaged, next) = (all[1].0, all[2].0);
    lose(&file(folder.path(), damaged), 3_500, 4);
    repaired(folder.path(), true);
    // The same journal without what is before the gap, as retention would have left it.
    let disk = Folder::look(cut.path());
    for (segment, _) in segments(cut.path()) {
        if segment < next {
            disk.remove(segment).unwrap();
        }
    }
    let canonical = |folder: &Path| {
        let (engine, _) = start(folder, &settings(folder), &Arc::default()).unwrap();
        let program = engine.program("shop").unwrap();
        let mut bytes = Vec::new();
        program
            .history
            .write_canonical(&program.plan, &mut |part: &[u8]| bytes.extend_from_slice(part));
        (bytes, program.complete_since, engine.sequence())
    };
    assert_eq!(canonical(folder.path()), canonical(cut.path()));
}

#[test]
fn damage_that_nothing_follows_leaves_room_for_every_sequence_that_may_have_been_given() {
    let folder = journal();
    let newest = crate::journaled::newest(folder.path());
    let (_, begins) = *segments(folder.path()).last().unwrap();
    lose(&file(folder.path(), newest), 3_000, 4);
    let told = repaired(folder.path(), true);
    let [(first, last)] = lost(&told)[..] else {
        panic!("{told}")
    };
    assert!(begins <= first && last >= 160, "{told}");
    assert_eq!(told["lost"][0]["is_bound"], Value::Bool(true));
    let (mut engine, recovered) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
    assert_eq!((engine.sequence(), recovered.gaps.len()), (last, 1));
    assert_eq!(engine.programs()[0].complete_since, EventTime(THROUGH_US));
    send(&mut engine, 1_000..1_040);
    let digest = engine.digest();
    drop(engine);
    let (engine, _) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
    assert_eq!((engine.digest(), engine.sequence()), (digest, last + 40));
}

#[test]
fn a_segment_whose_header_is_damaged_or_that_is_gone_is_lost_as_a_whole() {
    for gone in [false, true] {
        let folder = journal();
        let all = segments(folder.path());
        let (damaged, next) = (all[1], all[2]);
        match gone {
            true => fs::remove_file(file(folder.path(), damaged.0)).unwrap(),
            false => lose(&file(folder.path(), damaged.0), 10, 8),
        }
        let told = repaired(folder.path(), true);
        assert_eq!(lost(&told), vec![(damaged.1, next.1 - 1)], "{told}");
        assert_eq!(told["set_aside"].as_array().unwrap().len(), usize::from(!gone));
        let (engine, _) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
        assert_eq!(engine.sequence(), 160);
    }
}

#[test]
fn the_newest_segment_is_missed_when_it_is_gone_as_long_as_nobody_accepts_that() {
    let folder = journal();
    let all = segments(folder.path());
    let (newest, first) = *all.last().unwrap();
    fs::remove_file(file(folder.path(), newest)).unwrap();
    let error = start(folder.path(), &settings(folder.path()), &Arc::default()).map(|_| ());
    let error = error.unwrap_err().0;
    assert!(
        error.starts_with(&format!(
            "segment {newest} is gone, though the key file says that it was written to"
        )),
        "{error}"
    );
    assert!(look::info(folder.path()).is_err() && look::verify(folder.path(), &SECRET).is_err());

    let told = repaired(folder.path(), true);
    let [(lost_first, last)] = lost(&told)[..] else {
        panic!("{told}")
    };
    assert!(lost_first == first && last >= 160, "{told}");
    let again = || start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
    let (mut engine, recovered) = again();
    assert_eq!((engine.sequence(), recovered.gaps.len()), (last, 1));
    send(&mut engine, 1_000..1_040);
    drop(engine);
    assert_eq!(again().0.sequence(), last + 40);
    // What was written since is missed likewise: the gap was accepted for what was gone then.
    fs::remove_file(file(folder.path(), crate::journaled::newest(folder.path()))).unwrap();
    assert!(start(folder.path(), &settings(folder.path()), &Arc::default()).is_err());
}

#[test]
fn two_places_of_damage_are_two_gaps() {
    let folder = journal();
    let all = segments(folder.path());
    lose(&file(folder.path(), all[0].0), 3_500, 4);
    lose(&file(folder.path(), all[2].0), 3_500, 4);
    let told = repaired(folder.path(), true);
    let gaps = lost(&told);
    assert_eq!(gaps.len(), 2, "{told}");
    let (engine, recovered) = start(folder.path(), &settings(folder.path()), &Arc::default()).unwrap();
    assert_eq!(engine.sequence(), 160);
    let mut named: Vec<_> = recovered.gaps.iter().map(|gap| (gap.first, gap.last)).collect();
    named.sort_unstable();
    let mut gaps = gaps;
    gaps.sort_unstable();
    assert_eq!(named, gaps);
}
