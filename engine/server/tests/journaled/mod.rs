//! An engine with a journal in a folder, on a disk that fails when it is told to.

pub use super::configured::SECRET;
use super::{
    configured,
    faulty::{Faults, Faulty},
};
use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use super::shop::{ask, drain, engine, purchase};
use fraudgate_core::{
    road::{Answer, Engine},
    wire::Durability,
};
use fraudgate_server::journal::{
    Attended, JournalError, Recovered, Settings, Writer, attend, clock,
    disk::{Disk, Folder},
    keeper::Keeper,
    keyring::Keyring,
    recover,
};
use tempfile::TempDir;

/// A journal that is filled by a hundred inputs that are not synced.
pub fn settings(path: &Path) -> Settings {
    Settings {
        segment_bytes: 8_192,
        buffer_bytes: 20_000,
        ..configured::settings(path)
    }
}

/// An engine that goes on with the journal in a folder.
pub fn start(path: &Path, settings: &Settings, faults: &Arc<Faults>) -> Result<(Engine, Recovered), JournalError> {
    start_with(engine(0), path, settings, faults)
}

/// An engine that has taken nothing yet goes on with the journal in a folder.
pub fn start_with(
    engine: Engine,
    path: &Path,
    settings: &Settings,
    faults: &Arc<Faults>,
) -> Result<(Engine, Recovered), JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Faulty {
        folder: Folder::open(path).map_err(|e| JournalError(e.to_string()))?,
        path: path.to_owned(),
        faults: faults.clone(),
    });
    start_on(disk, engine, settings, attend)
}

/// A first life whose keeper takes no step but by hand: until then nothing is synced, and nothing says so.
pub fn start_by_hand(path: &Path, settings: &Settings) -> (Engine, Keeper) {
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(path).unwrap());
    let mut by_hand = None;
    let attend = |keeper: Keeper| {
        let desk = keeper.desk().clone();
        by_hand = Some(keeper);
        Ok(Attended::by(desk, Box::new(|| {})))
    };
    let (engine, _) = start_on(disk, engine(0), settings, attend).unwrap();
    (engine, by_hand.unwrap())
}

fn start_on(
    disk: Arc<dyn Disk>,
    mut engine: Engine,
    settings: &Settings,
    attend: impl FnOnce(Keeper) -> Result<Attended, JournalError>,
) -> Result<(Engine, Recovered), JournalError> {
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
    let (epoch, next) = (recovered.epoch, recovered.next_segment);
    let attended = attend(Keeper::begin(disk, keyring, settings, epoch, next, Box::new(|| {}))?)?;
    let (next, programs) = (engine.sequence() + 1, engine.programs());
    let writer = Writer::begin(attended, settings, &recovered, next, programs, clock())?;
    engine.journal_to(Box::new(writer));
    Ok((engine, recovered))
}

/// What is on disk now: what a process leaves that is killed now.
pub fn copy(path: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// The state that the files of a folder make, as they are now, without disturbing who writes to them.
pub fn look(path: &Path) -> Result<(Engine, Recovered), JournalError> {
    let copy = copy(path);
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(copy.path()).unwrap());
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    let mut engine = engine(0);
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
    Ok((engine, recovered))
}

/// Sends purchases, each in a drain of its own; gives what each survives.
pub fn send(engine: &mut Engine, ids: std::ops::Range<u32>) -> Vec<Durability> {
    ids.map(|id| {
        let asked = vec![ask(
            engine,
            &purchase(&id.to_string(), i64::from(id), id as u8 % 5, 100),
        )];
        match drain(engine, asked).remove(0) {
            Answer::Decision(decision) => decision.receipt.unwrap().durability(),
            other => panic!("{other:?}"),
        }
    })
    .collect()
}

/// Waits until what is taken is synced.
pub fn settle(engine: &mut Engine) {
    for _ in 0..1_000 {
        engine.tend_journal(clock());
        if engine.survives(engine.sequence()) == fraudgate_core::journal::Durability::Synced {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("not synced");
}

/// What a process leaves that is killed now, with a change made to it.
pub fn left_with(path: &Path, change: impl Fn(&Path)) -> Result<(Engine, Recovered), JournalError> {
    let copy = copy(path);
    change(copy.path());
    look(copy.path())
}

/// The segment that was opened last.
pub fn newest(path: &Path) -> u64 {
    let folder = Folder::look(path);
    let opened = |segment: &u64| folder.read(*segment, 8).unwrap() == *b"FGJOURNL";
    folder.segments().unwrap().into_iter().rfind(opened).unwrap()
}

/// Takes back that a segment was written to, which the key file says once a part of it is synced: for what a machine leaves
/// that lost its power before that, however quick the keeper was.
pub fn never_synced(path: &Path, segment: u64) {
    let keys = path.join("keys");
    let said = std::fs::read_to_string(&keys).unwrap();
    let begun = format!("{{\"begun\":{segment},");
    let lines = said.split_inclusive('\n').filter(|line| !line.starts_with(&begun));
    std::fs::write(&keys, lines.collect::<String>()).unwrap();
}

/// Flips the bits of a byte of a file. What is sealed is as good as random: one byte of it may well be zero already.
pub fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

/// Overwrites a part of a file with zeros, as pages are that never reached the disk.
pub fn lose(path: &Path, from: u64, bytes: usize) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&vec![0; bytes], from).unwrap();
}
