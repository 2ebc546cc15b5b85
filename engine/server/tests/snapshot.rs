//! Snapshots in files: a start from one and the tail is the state that was, whatever happened to the files meanwhile.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::configured::SECRET;
use crate::shop::{Made, PLAN, ask, drain, engine, purchase};
use crate::waited::until;
use fraudgate_core::{journal::segment::HEADER, road::Engine};
use fraudgate_server::journal::{
    JournalError, Recovered, Settings, Writer, attend,
    chain::{chain, headers},
    clock,
    disk::{Disk, Folder},
    keeper::Keeper,
    keyring::Keyring,
    recover,
    snapshot::{
        self, load,
        scribe::{self, Scribe, Told},
        take::{PIECES, Taking, Turn},
    },
};
use tempfile::TempDir;

fn settings(path: &Path) -> Settings {
    Settings {
        segment_bytes: 8_192,
        ..crate::configured::settings(path)
    }
}

/// A scorer with its journal, and its scribe driven by hand.
struct Life {
    engine: Engine,
    taking: Taking,
    scribe: Scribe,
    told: Receiver<Told>,
    spare: SyncSender<Vec<u8>>,
    recovered: Recovered,
}

impl Life {
    fn begin(settings: &Settings) -> Result<Life, JournalError> {
        Life::begin_with(settings, engine(0))
    }

    fn begin_with(settings: &Settings, mut engine: Engine) -> Result<Life, JournalError> {
        let folder = Folder::open(&settings.folder).map_err(|e| JournalError(e.to_string()))?;
        let disk: Arc<dyn Disk> = Arc::new(folder);
        let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
        let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
        let (epoch, next) = (recovered.epoch, recovered.next_segment);
        let bad: Vec<u64> = recovered.passed_over.iter().map(|&(number, _)| number).collect();
        let keeper = Keeper::begin(disk.clone(), keyring, settings, epoch, next, Box::new(|| {}))?;
        let desk = keeper.desk().clone();
        desk.keep(scribe::kept(&*disk, &bad)?);
        let attended = attend(keeper)?;
        let (next, programs) = (engine.sequence() + 1, engine.programs());
        let writer = Writer::begin(attended, settings, &recovered, next, programs, clock())?;
        let journal = writer.status();
        engine.journal_to(Box::new(writer));
        let (tell, told) = sync_channel(PIECES);
        let (spare, spared) = sync_channel(PIECES);
        let status = Arc::new(snapshot::Status::default());
        let keeps = desk.clone();
        let keep = Box::new(move |kept| keeps.keep(kept));
        let since = recovered.snapshot.map_or(0, |(sequence, _)| sequence);
        Ok(Life {
            engine,
            taking: Taking::new(settings, (desk, journal, epoch), status.clone(), tell, spared, since),
            scribe: Scribe::new(disk, settings.snapshots, bad, status, keep),
            told,
            spare,
            recovered,
        })
    }

    fn send(&mut self, ids: std::ops::Range<u32>) {
        for id in ids {
            if id % 50 == 0 {
                // Time to make the next segment ready.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let transaction = purchase(&id.to_string(), i64::from(id) * 1_000_000, id as u8 % 50, 100);
            let asked = vec![ask(&self.engine, &transaction)];
            drain(&mut self.engine, asked);
        }
    }

    /// One step of both threads. Says whether anything is under way.
    fn step(&mut self) -> bool {
        let turn = self.taking.turn(&mut self.engine);
        if let Ok(told) = self.told.try_recv()
            && let Some(bytes) = self.scribe.hear(told)
        {
            let _ = self.spare.try_send(bytes);
        }
        if turn == Turn::Wait {
            // As a server does on the keeper's news.
            self.engine.tend_journal(clock());
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        turn != Turn::Idle
    }

    fn ask(&mut self) -> Arc<Mutex<Option<snapshot::take::Outcome>>> {
        let outcome = Arc::new(Mutex::new(None));
        let told = outcome.clone();
        self.taking.ask(Box::new(move |how| *told.lock().unwrap() = Some(how)));
        outcome
    }

    /// Takes one to its end, while inputs of these ids go on.
    fn snapshot(&mut self, mut ids: std::ops::Range<u32>) -> u64 {
        let outcome = self.ask();
        for _ in 0..20_000 {
            if let Some(outcome) = outcome.lock().unwrap().take() {
                return outcome.unwrap();
            }
            self.step();
            if let Some(id) = ids.next() {
                self.send(id..id + 1);
            }
        }
        panic!("no snapshot was taken");
    }
}

/// What happens in a life, and the digest that it ends with.
fn live(settings: &Settings, then: impl FnOnce(&mut Life)) -> [u8; 32] {
    let mut life = Life::begin(settings).unwrap();
    then(&mut life);
    life.engine.digest()
}

fn copy(path: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn named(path: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut named: Vec<_> = entries
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    named.sort();
    named
}

#[test]
fn a_start_reads_the_journal_from_the_newest_snapshot_on_and_has_the_state_that_was() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let (mut sequence, mut newest) = (0, 0);
    let digest = live(&settings, |life| {
        life.send(0..300);
        sequence = life.snapshot(300..500);
        life.send(500..600);
        newest = life.engine.sequence();
    });
    // However long the snapshot waits to begin: some, or all, of those that go on meanwhile may be in it.
    assert!((300..=500).contains(&sequence) && sequence + 100 <= newest);
    let life = Life::begin(&settings).unwrap();
    assert_eq!(life.recovered.snapshot.map(|(sequence, _)| sequence), Some(sequence));
    assert_eq!(
        (life.recovered.inputs, life.engine.sequence()),
        (newest - sequence, newest)
    );
    assert_eq!(life.engine.digest(), digest);
    assert!(life.recovered.segments < named(folder.path(), ".segment").len());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &named(folder.path(), ".snapshot")[0].metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_snapshot_ends_its_segment_so_that_nothing_before_it_is_read_to_start() {
    let folder = TempDir::new().unwrap();
    let settings = Settings {
        segment_bytes: 1 << 20,
        ..settings(folder.path())
    };
    let digest = live(&settings, |life| {
        life.send(0..300);
        life.snapshot(0..0);
        life.send(300..320);
    });
    let [before, _] = &named(folder.path(), ".segment")[..2] else {
        panic!("all stands in one segment");
    };
    // Not even read for what the snapshot says of its end: the segment behind says the same.
    let header = std::fs::read(before).unwrap()[..HEADER].to_vec();
    std::fs::write(before, header).unwrap();
    let life = Life::begin(&settings).unwrap();
    assert_eq!(life.engine.digest(), digest);
    assert_eq!((life.recovered.inputs, life.recovered.segments), (20, 1));
}

#[test]
fn segments_before_the_oldest_kept_snapshot_may_go_and_those_after_it_stay() {
    let folder = TempDir::new().unwrap();
    let settings = Settings {
        retain_bytes: Some(1),
        ..settings(folder.path())
    };
    let digest = live(&settings, |life| {
        life.send(0..300);
        life.snapshot(0..0);
        life.send(300..600);
        life.snapshot(0..0);
        life.send(600..900);
        // The keeper looks once a second.
        until("segments go", || Folder::look(folder.path()).segments().unwrap()[0] > 1);
    });
    let life = Life::begin(&settings).unwrap();
    assert_eq!(life.recovered.snapshot.map(|(sequence, _)| sequence), Some(600));
    assert_eq!(life.engine.digest(), digest);
    drop(life);
    let there = named(folder.path(), ".segment");
    assert!(!there[0].ends_with("0000000000000001.segment"), "segments were removed");
    // Without the newest snapshot the one before does, and all that it needs is there.
    let newest = named(folder.path(), ".snapshot").pop().unwrap();
    std::fs::remove_file(newest).unwrap();
    let life = Life::begin(&settings).unwrap();
    assert_eq!(life.recovered.snapshot.map(|(sequence, _)| sequence), Some(300));
    assert_eq!(life.engine.digest(), digest);
    drop(life);
    // And without any, a state is not made up of what is left, unless a person says so.
    let oldest = named(folder.path(), ".snapshot").pop().unwrap();
    let bytes = std::fs::read(&oldest).unwrap();
    std::fs::write(&oldest, &bytes[..bytes.len() - 1]).unwrap();
    let error = Life::begin(&settings).err().unwrap().to_string();
    assert!(error.contains("snapshot") && error.contains("cut short"), "{error}");
    std::fs::remove_file(&oldest).unwrap();
    let life = Life::begin(&settings).unwrap();
    assert!(life.engine.programs()[0].complete_since.0 > crate::shop::START_US);
}

#[test]
fn any_flipped_bit_has_a_snapshot_passed_over_for_the_one_before() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let digest = live(&settings, |life| {
        life.send(0..200);
        life.snapshot(0..0);
        life.send(200..400);
        life.snapshot(0..0);
        life.send(400..420);
    });
    let newest = named(folder.path(), ".snapshot").pop().unwrap();
    let whole = std::fs::read(&newest).unwrap();
    let flips = if std::env::var_os("FRAUDGATE_PROVE").is_some() {
        10_000
    } else {
        1_000
    };
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder.path()));
    let keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let journal = chain(&headers(&*disk, &[]).unwrap(), &[]).unwrap();
    let mut at_cut = None;
    for flip in 0..flips {
        // Every bit of both headers, and some of all others.
        let bits = 8 * whole.len();
        let bit = if flip < 992 { flip } else { flip * 245_489 % bits };
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&newest, &flipped).unwrap();
        let mut engine = engine(0);
        let found = load::newest(&*disk, &keyring, &mut engine, &journal, &mut |_| {}).unwrap();
        assert_eq!(found.loaded.map(|(header, _)| header.sequence), Some(200), "bit {bit}");
        assert_eq!(found.passed_over.len(), 1, "bit {bit}");
        let digest = *at_cut.get_or_insert_with(|| engine.digest());
        assert_eq!(engine.digest(), digest, "bit {bit}");
    }
    let recovered = Life::begin(&self::settings(copy(folder.path()).path())).unwrap();
    assert_eq!(
        (recovered.engine.digest(), recovered.recovered.passed_over.len()),
        (digest, 1)
    );
    // The next snapshot takes the place of the bad one, not of the good one.
    let mut life = Life::begin(&settings).unwrap();
    life.snapshot(0..0);
    drop(life);
    let left = named(folder.path(), ".snapshot");
    assert_eq!(left.len(), 2);
    assert!(!left.contains(&newest));
}

#[test]
fn what_was_being_written_when_the_process_died_counts_for_nothing() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let mut life = Life::begin(&settings).unwrap();
    life.send(0..2_000);
    life.ask();
    let mut copies = Vec::new();
    for step in 0..400 {
        life.step();
        if step % 10 == 0 {
            copies.push((copy(folder.path()), life.engine.digest()));
        }
    }
    let mut unnamed = 0;
    for (copy, digest) in copies {
        unnamed += named(copy.path(), ".snapshot.new").len();
        let settings = self::settings(copy.path());
        let life = Life::begin(&settings).unwrap();
        assert_eq!(life.engine.digest(), digest);
        assert!(named(copy.path(), ".snapshot.new").is_empty());
    }
    assert!(unnamed > 0, "none was under way");
}

#[test]
fn a_snapshot_of_an_engine_without_a_journal_starts_another() {
    let mut first = engine(5);
    for id in 0..100 {
        let asked = vec![ask(&first, &purchase(&id.to_string(), id, id as u8, 5))];
        drain(&mut first, asked);
    }
    let folder = TempDir::new().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.path()).unwrap());
    let mut keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    assert_eq!(snapshot::write(&disk, &mut keyring, &mut first, 1, 5, None), Ok(100));
    drop((disk, keyring));
    let settings = settings(folder.path());
    let digest = live(&settings, |life| {
        assert_eq!(life.engine.digest(), first.digest());
        life.send(1_000..1_100);
    });
    // And again, with a tail.
    assert_eq!(live(&settings, |_| {}), digest);
}

#[test]
fn a_program_whose_plan_has_changed_is_folded_anew_as_far_as_the_journal_reaches_back() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    live(&settings, |life| {
        life.send(0..200);
        life.snapshot(0..0);
        life.send(200..300);
    });
    let plan = PLAN.replace(r#""lateness_us":172800000000"#, r#""lateness_us":3600000000"#);
    assert_ne!(plan, PLAN);
    let other = || {
        let plan = plan.as_str();
        Made {
            epoch: 0,
            plan,
            ..Made::default()
        }
        .engine()
    };
    let with = Life::begin_with(&settings, other()).unwrap();
    let digest = with.engine.digest();
    drop(with);
    let without = copy(folder.path());
    for snapshot in named(without.path(), ".snapshot") {
        std::fs::remove_file(snapshot).unwrap();
    }
    let without = Life::begin_with(&self::settings(without.path()), other()).unwrap();
    assert_eq!(without.recovered.inputs, 300);
    assert_eq!(without.engine.digest(), digest);
    assert_eq!(without.engine.programs()[0].complete_since.0, crate::shop::START_US);
}

#[test]
fn a_scribe_that_has_ended_has_let_go_of_the_folder() {
    let folder = TempDir::new().unwrap();
    for _ in 0..20 {
        let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder.path()).unwrap());
        let ((tell, told), (spare, spared)) = (sync_channel(PIECES), sync_channel(PIECES));
        let scribe = Scribe::new(disk, 1, Vec::new(), Arc::default(), Box::new(|_| {}));
        let scribing = scribe::attend(scribe, told, spare).unwrap();
        drop((tell, spared, scribing));
    }
}
