//! Rewrites segments without the keys that were erased after what stands in them. A replay forgets those keys when it comes
//! to the erasure, so it makes the same state of either; what is rewritten is gone from the files too, and since the old
//! segment's key is gone with it, from every copy.
//!
//! A crash leaves the old segment or the new one: the new key is synced in the key file first, the new file under another
//! name next; the name is changed as a whole, and the old key goes last.

use fraudgate_core::{
    journal::{
        chunk::{self, TAG},
        reader::{Next, Reader},
        record::{Record, Records},
        rewritten::{LONG_HEADER, Rewritten, key_name, without},
        segment::{End, Header, Open},
    },
    plan::Plan,
    snapshot::{self, file::HEADER},
    transaction::KeyHash,
};

use super::{
    JournalError,
    chain::{chain, ends, headers},
    disk::Disk,
    failed,
    keyring::Keyring,
    recovery::{Visit, make_sure, read},
};

/// What rewriting came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrote {
    /// Erasures that the journal holds.
    pub erasures: u64,
    /// Keys that were taken from records.
    pub keys: u64,
    /// Segments that were rewritten.
    pub segments: Vec<u64>,
    /// Segments that hold inputs from before an erasure and are not closed yet: they are rewritten the next time.
    pub open: Vec<u64>,
    /// Files that were given up when a disk failed: what stood in them was written once more elsewhere, and they are read by
    /// nobody and rewritten by nobody.
    pub given_up: Vec<u64>,
    /// Snapshots that were cut before the last erasure: they hold what was erased after them, until they are old themselves
    /// and removed.
    pub snapshots: Vec<u64>,
}

/// One erasure, with names, as slots are a plan's own.
struct Erasure {
    sequence: u64,
    program: String,
    entity: String,
    key: KeyHash,
}

/// Rewrites what has to be, of a journal that nobody writes to. `progress` is told how many segments are done and how many
/// there are.
pub fn rewrite(
    disk: &dyn Disk,
    keyring: &mut Keyring,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rewrote, JournalError> {
    let mut erasures = Erasures::default();
    let found = read(disk, keyring, 0, &mut erasures, &mut |_, _| {})?;
    // Were an erasure lost with the machine's power, rewritten segments would lack what no record accounts for.
    make_sure(disk, keyring, &found)?;
    let erasures = erasures.found;
    let headers = headers(disk, keyring.ends())?;
    let gaps = keyring.gaps().to_vec();
    let mut chain = chain(&headers, &gaps)?;
    // Where a machine that lost its power kept segments behind one whose end it lost, they are not the journal's any more.
    chain.truncate(found.walked.len());
    let given_up = headers.keys().copied();
    let mut rewrote = Rewrote {
        erasures: erasures.len() as u64,
        given_up: given_up
            .filter(|number| chain.iter().all(|header| header.segment != *number))
            .collect(),
        ..Rewrote::default()
    };
    for (place, header) in chain.iter().enumerate() {
        progress(place as u64, chain.len() as u64);
        let Some(end) = ends(&chain, place, &gaps).filter(|end| *end == found.walked[place].end) else {
            let has_older = |erasure: &Erasure| erasure.sequence > header.first;
            rewrote
                .open
                .extend(erasures.iter().any(has_older).then_some(header.segment));
            continue;
        };
        let number = header.segment;
        let what = format!("segment {number}");
        let bytes = disk.read(number, u64::MAX).map_err(|e| failed(&what)(&e))?;
        let key = keyring.key_of(number, &bytes)?;
        let honoured = Rewritten::read(&bytes).map_err(|_| JournalError(format!("{what}: its header changed")))?;
        let through = honoured.map_or(0, |rewritten| rewritten.through);
        let newest = erasures.iter().map(|erasure| erasure.sequence).max().unwrap_or(0);
        if newest <= header.first || newest <= through {
            // What a rewriting left that was cut short: the key of a segment that is not there any more, or never was.
            keyring.retire(number, &key)?;
            continue;
        }
        let (drafts, keys) = drafts(bytes, &key, end, &erasures)?;
        if keys > 0 {
            let fresh = keyring.make(number, header.epoch)?;
            let bytes = sealed(header, end, newest, drafts, &fresh).ok_or_else(|| JournalError(what.clone()))?;
            disk.replace(number, &bytes).map_err(|e| failed(&what)(&e))?;
            keyring.retire(number, &fresh)?;
            rewrote.segments.push(number);
            rewrote.keys += keys;
        } else {
            keyring.retire(number, &key)?;
        }
    }
    let newest = erasures.last().map_or(0, |erasure| erasure.sequence);
    for (number, _) in disk.snapshots().map_err(|e| failed("snapshots")(&e))? {
        let head = disk
            .read_snapshot(number, 0, HEADER)
            .map_err(|e| failed("snapshots")(&e))?;
        let is_older = snapshot::file::Header::read(&head).is_ok_and(|header| header.sequence < newest);
        rewrote.snapshots.extend(is_older.then_some(number));
    }
    progress(chain.len() as u64, chain.len() as u64);
    Ok(rewrote)
}

/// The body of a chunk, with room for its header; the sequence of its first input, and how many it holds.
struct Plain {
    bytes: Vec<u8>,
    first: u64,
    count: u32,
}

/// The chunks of a segment without what was erased after it, and how many keys went.
fn drafts(
    mut bytes: Vec<u8>,
    key: &[u8; 32],
    end: End,
    erasures: &[Erasure],
) -> Result<(Vec<Plain>, u64), JournalError> {
    let unread = |e: &dyn std::fmt::Display| failed(&format!("segment {}", end.segment))(e);
    let mut reader = Reader::new(&mut bytes, key, Some(end)).map_err(|_| unread(&"its header changed"))?;
    let (mut drafts, mut stated, mut keys) = (Vec::new(), Stated::default(), 0);
    while let Next::Chunk(chunk) = reader.advance().map_err(|e| unread(&e))? {
        let unknown = |_| unread(&"a record is in a format unknown here");
        let records = Records::new(chunk.body).map_err(unknown)?;
        for record in records.clone() {
            stated.state(&record.map_err(unknown)?)?;
        }
        let (draft, went) = without(records, chunk.first, |sequence, program, slot, key| {
            stated.of(program, slot).is_some_and(|(program, entity)| {
                let is_it = |erasure: &Erasure| {
                    erasure.key == key
                        && erasure.sequence > sequence
                        && erasure.program == program
                        && erasure.entity == entity
                };
                erasures.iter().any(is_it)
            })
        });
        keys += went;
        drafts.push(Plain {
            bytes: draft.bytes,
            first: chunk.first,
            count: chunk.count,
        });
    }
    Ok((drafts, keys))
}

/// The file of a rewritten segment; `None` where it cannot be sealed.
fn sealed(header: &Header, end: End, through: u64, drafts: Vec<Plain>, key: &[u8; 32]) -> Option<Vec<u8>> {
    let chunks: usize = drafts.iter().map(|draft| draft.bytes.len() + TAG).sum();
    let rewritten = Rewritten {
        ends: (LONG_HEADER + chunks) as u64,
        stands_for: end,
        through,
        key: key_name(key),
    };
    let mut bytes = rewritten.write(header).to_vec();
    let mut open = Open::rewritten(header, &rewritten, key).ok()?;
    for mut draft in drafts {
        // It is synced as a whole before it has its name.
        let synced = bytes.len() as u64;
        open.seal(&mut draft.bytes, draft.first, synced, draft.count).ok()?;
        debug_assert!(draft.bytes.len() > chunk::HEADER);
        bytes.extend_from_slice(&draft.bytes);
    }
    Some(bytes)
}

/// Names of programs and entities by what a segment's records number.
#[derive(Default)]
struct Stated(Vec<Option<(String, Vec<String>)>>);

impl Stated {
    fn state(&mut self, record: &Record) -> Result<(), JournalError> {
        if let Record::Program(stated) = record {
            let plan = Plan::parse(stated.plan).map_err(|e| failed("plan")(&e))?;
            let number = usize::from(stated.program);
            if number >= self.0.len() {
                self.0.resize_with(number + 1, || None);
            }
            self.0[number] = Some((stated.name.to_owned(), plan.entities));
        }
        Ok(())
    }

    fn of(&self, program: u16, slot: usize) -> Option<(&str, &str)> {
        let (name, entities) = self.0.get(usize::from(program))?.as_ref()?;
        Some((name, entities.get(slot)?))
    }
}

/// Finds the erasures of a journal.
#[derive(Default)]
struct Erasures {
    stated: Stated,
    found: Vec<Erasure>,
}

impl Visit for Erasures {
    fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
        self.stated = Stated::default();
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let mut sequence = first;
        for record in records.flatten() {
            self.stated.state(&record)?;
            if let Record::Erasure(erasure) = &record
                && let Some((program, entity)) = self.stated.of(erasure.program, usize::from(erasure.entity))
            {
                self.found.push(Erasure {
                    sequence,
                    program: program.to_owned(),
                    entity: entity.to_owned(),
                    key: erasure.key,
                });
            }
            sequence += u64::from(!matches!(record, Record::Program(_)));
        }
        Ok(())
    }
}
