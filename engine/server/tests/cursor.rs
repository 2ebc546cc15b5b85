//! Cursors behind a journal that is written to: each input once and in order, whatever becomes of files, lives and places.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::configured::{SECRET, settings};
use crate::faulty::{Faults, Faulty};
use crate::shop::{ask, drain, engine, purchase};
use crate::waited::until;
use fraudgate_core::{
    journal::{
        Durability,
        record::{Record, Records},
        segment::Header,
    },
    road::Engine,
};
use fraudgate_server::journal::{
    JournalError, Promise, Settings, Writer, attend, clock,
    cursor::{Cursor, Cursors},
    disk::{Disk, Folder},
    keeper::Keeper,
    keyring::Keyring,
    place::Places,
    recover,
    recovery::Visit,
};
use tempfile::TempDir;

/// A scorer's life: its engine, and its cursors.
fn live(settings: &Settings, faults: &Arc<Faults>) -> (Engine, Arc<Cursors>) {
    let path = &settings.folder;
    let disk: Arc<dyn Disk> = Arc::new(Faulty {
        folder: Folder::open(path).unwrap(),
        path: path.clone(),
        faults: faults.clone(),
    });
    let mut keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let mut engine = engine(0);
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {}).unwrap();
    let (epoch, next) = (recovered.epoch, recovered.next_segment);
    let keeper = Keeper::begin(disk.clone(), keyring, settings, epoch, next, Box::new(|| {})).unwrap();
    let (places, desk) = (Places::new(path), keeper.desk().clone());
    places.pin(&desk).unwrap();
    let (next, programs) = (engine.sequence() + 1, engine.programs());
    let writer = Writer::begin(attend(keeper).unwrap(), settings, &recovered, next, programs, clock()).unwrap();
    let cursors = Cursors::new(disk, places, &SECRET, settings.promise, writer.status(), desk);
    engine.journal_to(Box::new(writer));
    (engine, Arc::new(cursors))
}

fn send(engine: &mut Engine, ids: Range<u32>) {
    for id in ids {
        let sent = purchase(&id.to_string(), i64::from(id), id as u8 % 5, 100);
        let asked = vec![ask(engine, &sent)];
        drain(engine, asked);
    }
}

fn settle(engine: &mut Engine) {
    for _ in 0..1_000 {
        engine.tend_journal(clock());
        if engine.survives(engine.sequence()) == Durability::Synced {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("not synced");
}

/// What a cursor delivers: epoch, sequence and the hash of the transaction's id.
#[derive(Default)]
struct Delivered {
    epoch: u64,
    stated: bool,
    all: Vec<(u64, u64, u128)>,
}

impl Visit for Delivered {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.epoch = header.epoch;
        self.stated = false;
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let mut sequence = first;
        for record in records {
            match record.unwrap() {
                Record::Program(_) => self.stated = true,
                Record::Transaction(admitted, _) => {
                    assert!(self.stated, "an input of a program that was not stated");
                    self.all.push((self.epoch, sequence, admitted.id.0));
                    sequence += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }
}

impl Delivered {
    fn sequences(&self) -> Vec<u64> {
        self.all.iter().map(|&(_, sequence, _)| sequence).collect()
    }
}

fn read(cursor: &mut Cursor, into: &mut Delivered) -> u64 {
    cursor.read(u64::MAX, into).unwrap()
}

fn counted(to: u64) -> Vec<u64> {
    (1..=to).collect()
}

#[test]
fn each_input_is_delivered_once_and_in_order_while_it_is_written_over_many_segments() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let settings = settings(folder.path());
    let (mut engine, cursors) = live(&settings, &faults);
    let (mut cursor, mut delivered) = (cursors.open("topic").unwrap(), Delivered::default());
    for id in 0..200 {
        send(&mut engine, id..id + 1);
        if id % 7 == 0 {
            // The next segment is made ready meanwhile.
            settle(&mut engine);
            assert_eq!(read(&mut cursor, &mut delivered), u64::from(id) + 1);
        }
    }
    read(&mut cursor, &mut delivered);
    assert_eq!(delivered.sequences(), counted(200));
    assert!(Folder::look(folder.path()).segments().unwrap().len() > 5);
}

#[test]
fn a_file_that_is_given_up_is_followed_by_the_one_that_replaces_it() {
    for promise in [Promise::Written, Promise::Synced] {
        let (folder, faults) = (TempDir::new().unwrap(), Arc::<Faults>::default());
        let settings = Settings {
            promise,
            ..settings(folder.path())
        };
        let (mut engine, cursors) = live(&settings, &faults);
        let (mut cursor, mut delivered) = (cursors.open("topic").unwrap(), Delivered::default());
        for round in 0..12 {
            send(&mut engine, round * 10..round * 10 + 3);
            read(&mut cursor, &mut delivered);
            faults.meanwhile(&faults.sync, || {
                send(&mut engine, round * 10 + 3..round * 10 + 7);
                if round % 2 == 0 {
                    // Delivered from the file that will be given up, where that is all that is promised.
                    read(&mut cursor, &mut delivered);
                }
            });
            send(&mut engine, round * 10 + 7..round * 10 + 10);
            read(&mut cursor, &mut delivered);
            settle(&mut engine);
        }
        read(&mut cursor, &mut delivered);
        assert_eq!(delivered.sequences(), counted(120), "{promise:?}");
    }
}

#[test]
fn nothing_is_delivered_that_is_not_synced_where_that_is_promised() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::<Faults>::default());
    let settings = Settings {
        promise: Promise::Synced,
        sync_ms: 50,
        ..settings(folder.path())
    };
    let (mut engine, cursors) = live(&settings, &faults);
    let (mut cursor, mut delivered) = (cursors.open("topic").unwrap(), Delivered::default());
    faults.sync.store(true, Ordering::SeqCst);
    send(&mut engine, 0..5);
    read(&mut cursor, &mut delivered);
    assert_eq!(delivered.sequences(), counted(0));
    faults.sync.store(false, Ordering::SeqCst);
    settle(&mut engine);
    read(&mut cursor, &mut delivered);
    assert_eq!(delivered.sequences(), counted(5));
}

#[test]
fn a_cursor_that_is_opened_anew_goes_on_behind_what_was_kept() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let settings = settings(folder.path());
    let mut kept = 0;
    for life in 0..4_u32 {
        let (mut engine, cursors) = live(&settings, &faults);
        let mut cursor = cursors.open("topic").unwrap();
        assert!(cursors.open("topic").is_err(), "one name, one cursor");
        let mut delivered = Delivered::default();
        for part in 0..10 {
            let from = life * 100 + part * 10;
            send(&mut engine, from..from + 10);
            let through = read(&mut cursor, &mut delivered);
            if part < 7 {
                cursor.keep(through).unwrap();
                kept = if part == 6 { through } else { kept };
            }
        }
        let newest = u64::from(life + 1) * 100;
        let first = if life == 0 { 1 } else { u64::from(life) * 100 - 29 };
        assert_eq!(delivered.sequences(), (first..=newest).collect::<Vec<_>>());
        assert_eq!(kept, newest - 30);
        drop(cursor);
        cursors.open("topic").unwrap();
    }
}

#[test]
fn what_takes_the_sequences_of_inputs_that_were_lost_with_the_power_is_delivered_too() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let settings = Settings {
        segment_bytes: 1 << 16,
        sync_ms: 50,
        ..settings(folder.path())
    };
    let (mut engine, cursors) = live(&settings, &faults);
    send(&mut engine, 0..10);
    settle(&mut engine);
    let file = folder.path().join(format!("{:016}.segment", 1));
    let synced = std::fs::read(&file).unwrap();
    let (mut cursor, mut delivered) = (cursors.open("topic").unwrap(), Delivered::default());
    send(&mut engine, 10..20);
    let through = read(&mut cursor, &mut delivered);
    cursor.keep(through).unwrap();
    assert_eq!(delivered.sequences(), counted(20));
    drop((engine, cursor, cursors));
    // What was not synced never reached the disk.
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all_at(&synced, 0)
        .unwrap();
    let (mut engine, cursors) = live(&settings, &faults);
    assert_eq!(engine.sequence(), 10);
    send(&mut engine, 100..105);
    let (mut cursor, mut again) = (cursors.open("topic").unwrap(), Delivered::default());
    read(&mut cursor, &mut again);
    assert_eq!(again.sequences(), [11, 12, 13, 14, 15]);
    assert!(again.all.iter().all(|(epoch, ..)| *epoch == 2));
}

#[test]
fn a_segment_that_a_cursor_still_needs_is_not_removed_also_before_the_cursor_is_opened() {
    let (folder, faults) = (TempDir::new().unwrap(), Arc::default());
    let mut settings = settings(folder.path());
    let (mut engine, cursors) = live(&settings, &faults);
    for part in 0..10 {
        send(&mut engine, part * 10..part * 10 + 10);
        settle(&mut engine);
    }
    let (mut cursor, mut delivered) = (cursors.open("topic").unwrap(), Delivered::default());
    let through = cursor.read(50, &mut delivered).unwrap();
    cursor.keep(through).unwrap();
    drop((engine, cursor, cursors));

    settings.retain_bytes = Some(settings.segment_bytes);
    let (mut engine, cursors) = live(&settings, &faults);
    for part in 10..20 {
        send(&mut engine, part * 10..part * 10 + 10);
        settle(&mut engine);
    }
    // Since the keeper, which looks once a second, removed what the cursor does not need.
    let there = || Folder::look(folder.path()).segments().unwrap();
    until("segments go", || there()[0] > 1);
    let (mut cursor, mut rest) = (cursors.open("topic").unwrap(), Delivered::default());
    let end = read(&mut cursor, &mut rest);
    assert_eq!(rest.sequences(), (through + 1..=200).collect::<Vec<_>>());
    let before = there().len();
    cursor.keep(end).unwrap();
    send(&mut engine, 200..201);
    until("what nobody needs is removed", || there().len() < before);
}
