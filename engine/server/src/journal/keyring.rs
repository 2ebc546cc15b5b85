//! The file `keys`, a line each, as JSON: the wrapped key of each segment, synced before that is written to; that it was
//! written to, and where it ends once it is synced and done with, so that what is lost of it never passes for a write that was under way; and
//! the gaps that a person accepted.

use std::{io, sync::Arc};

use fraudgate_core::{
    broken::{self, Broken},
    journal::{
        gap::{Gap, GapLine},
        keys::{Begun, BegunLine, KeyEncryptionKey, KeyLine, Line, SyncedEnd, WrappedKey},
        rewritten::{Rewritten, key_name},
        segment::End,
    },
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{JournalError, disk::Disk, failed};

/// Fills bytes with secret random ones.
pub type Random = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// The keys of all segments.
pub struct Keyring {
    disk: Arc<dyn Disk>,
    kek: KeyEncryptionKey,
    said: Said,
    /// The file ends within a line, whose writing was cut short.
    torn: bool,
    random: Random,
}

/// What the lines of the key file say.
#[derive(Clone, Default)]
struct Said {
    keys: Vec<WrappedKey>,
    /// Segments that were written to.
    begun: Vec<Begun>,
    /// Ends of segments, in the order in which they were synced.
    ends: Vec<End>,
    gaps: Vec<Gap>,
}

impl Keyring {
    /// Reads the key file. `secret` is the key-encryption key.
    pub fn open(disk: Arc<dyn Disk>, secret: &[u8; 32]) -> Result<Keyring, JournalError> {
        let (said, torn) = read(&*disk)?;
        Ok(Keyring {
            disk,
            kek: kek(secret)?,
            said,
            torn,
            random: Box::new(draw),
        })
    }

    /// The same, with another source of random bytes than the system's.
    #[must_use]
    pub fn drawing(self, random: Random) -> Keyring {
        Keyring { random, ..self }
    }

    /// The key of a segment as it was written.
    pub fn key(&self, segment: u64) -> Result<[u8; 32], JournalError> {
        self.key_of(segment, &[])
    }

    /// The key of a segment with these bytes: a rewritten one names it among those that there are. Any other was sealed with
    /// the oldest: a later one is of a rewriting that was cut short.
    pub fn key_of(&self, segment: u64, bytes: &[u8]) -> Result<[u8; 32], JournalError> {
        let rewritten = Rewritten::read(bytes).ok().flatten();
        for wrapped in self.said.keys.iter().filter(|key| key.segment == segment) {
            let key = self.kek.unwrap(wrapped).map_err(|e| JournalError(e.to_string()))?;
            if rewritten.is_none_or(|rewritten| rewritten.key == key_name(&key)) {
                return Ok(key);
            }
        }
        Err(JournalError(format!("the key file holds no key of segment {segment}")))
    }

    /// Leaves a segment no key but this one: what others sealed of it is gone for good.
    pub fn retire(&mut self, segment: u64, kept: &[u8; 32]) -> Result<(), JournalError> {
        let mut keys = Vec::with_capacity(self.said.keys.len());
        for wrapped in &self.said.keys {
            let stays = wrapped.segment != segment || self.kek.unwrap(wrapped).is_ok_and(|key| key == *kept);
            keys.extend(stays.then(|| wrapped.clone()));
        }
        if keys.len() == self.said.keys.len() {
            return Ok(());
        }
        self.replace(Said {
            keys,
            ..self.said.clone()
        })
    }

    /// The highest segment and epoch that a key was ever made for.
    pub fn newest(&self) -> (u64, u64) {
        let segment = self.said.keys.iter().map(|key| key.segment).max();
        let epoch = self.said.keys.iter().map(|key| key.epoch).max();
        (segment.unwrap_or(0), epoch.unwrap_or(0))
    }

    /// Makes the key of a new segment.
    pub fn make(&mut self, segment: u64, epoch: u64) -> Result<[u8; 32], JournalError> {
        let (mut key, mut nonce) = ([0; 32], [0; 12]);
        let drawn = (self.random)(&mut key).and_then(|()| (self.random)(&mut nonce));
        drawn.map_err(|e| failed("keys")(&e))?;
        if broken::is(Broken::ReuseNonce)
            && let Some(last) = self.said.keys.last()
        {
            key = self.kek.unwrap(last).map_err(|e| JournalError(e.to_string()))?;
        }
        let wrapped = self.kek.wrap(segment, epoch, &key, nonce);
        let wrapped = wrapped.ok_or_else(|| JournalError("a key could not be wrapped".to_owned()))?;
        self.append(&line(&Line::Key(KeyLine::new(&wrapped)))?)?;
        self.said.keys.push(wrapped);
        Ok(key)
    }

    /// Segments that were written to, as far as that was said.
    pub fn begun(&self) -> &[Begun] {
        &self.said.begun
    }

    /// Says that a segment was written to, which must be synced.
    pub fn say_begun(&mut self, begun: Begun) -> Result<(), JournalError> {
        if self.said.begun.contains(&begun) {
            return Ok(());
        }
        self.append(&line(&Line::Begun(BegunLine::new(begun)))?)?;
        self.said.begun.push(begun);
        Ok(())
    }

    /// Where a segment ends, if that was said.
    pub fn end(&self, segment: u64) -> Option<End> {
        self.said.ends.iter().rev().find(|end| end.segment == segment).copied()
    }

    /// Where segments end, as far as that was said.
    pub fn ends(&self) -> &[End] {
        &self.said.ends
    }

    /// Says where a segment ends, which must be synced through there.
    pub fn say_end(&mut self, end: End) -> Result<(), JournalError> {
        if self.end(end.segment) == Some(end) {
            return Ok(());
        }
        self.append(&line(&Line::End(SyncedEnd::new(&end)))?)?;
        self.said.ends.push(end);
        Ok(())
    }

    /// The gaps, in the order in which they were found.
    pub fn gaps(&self) -> &[Gap] {
        &self.said.gaps
    }

    /// Accepts a gap, here alone: the file does not say so.
    pub fn suppose_gap(&mut self, gap: Gap) {
        self.said.accept(gap);
    }

    /// Accepts a gap.
    pub fn say_gap(&mut self, gap: Gap) -> Result<(), JournalError> {
        let mut said = self.said.clone();
        said.accept(gap);
        self.replace(said)
    }

    /// Forgets keys by their numbers: what they sealed is gone for good.
    pub fn forget(&mut self, is_gone: impl Fn(u64) -> bool) -> Result<(), JournalError> {
        let Said {
            keys,
            begun,
            ends,
            gaps,
        } = &self.said;
        self.replace(Said {
            begun: begun.iter().filter(|begun| !is_gone(begun.segment)).copied().collect(),
            keys: keys.iter().filter(|key| !is_gone(key.segment)).cloned().collect(),
            ends: ends.iter().filter(|end| !is_gone(end.segment)).copied().collect(),
            gaps: gaps.iter().filter(|gap| !is_gone(gap.segment)).cloned().collect(),
        })
    }

    fn replace(&mut self, said: Said) -> Result<(), JournalError> {
        let replaced = self.disk.replace_keys(&lines(&said)?);
        replaced.map_err(|e| failed("keys")(&e))?;
        (self.said, self.torn) = (said, false);
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> Result<(), JournalError> {
        if self.torn {
            let mended = self.disk.replace_keys(&lines(&self.said)?);
            mended.map_err(|e| failed("keys")(&e))?;
            self.torn = false;
        }
        let appended = self.disk.append_keys(line);
        // A part of the line may be there, and the next one must not follow it.
        self.torn = appended.is_err();
        appended.map_err(|e| failed("keys")(&e))
    }
}

/// Wraps all keys under another key-encryption key. No segment is rewritten. Returns how many keys there were.
pub fn rotate(disk: &Arc<dyn Disk>, from: &[u8; 32], to: &[u8; 32]) -> Result<usize, JournalError> {
    let ring = Keyring::open(disk.clone(), from)?;
    let to = kek(to)?;
    let mut wrapped = Vec::with_capacity(ring.said.keys.len());
    for old in &ring.said.keys {
        let key = ring.kek.unwrap(old).map_err(|e| JournalError(e.to_string()))?;
        let mut nonce = [0; 12];
        draw(&mut nonce).map_err(|e| failed("keys")(&e))?;
        let new = to.wrap(old.segment, old.epoch, &key, nonce);
        wrapped.push(new.ok_or_else(|| JournalError("a key could not be wrapped".to_owned()))?);
    }
    let said = Said {
        keys: wrapped,
        ..ring.said
    };
    disk.replace_keys(&lines(&said)?).map_err(|e| failed("keys")(&e))?;
    Ok(said.keys.len())
}

fn draw(bytes: &mut [u8]) -> io::Result<()> {
    let drawn = SystemRandom::new().fill(bytes);
    drawn.map_err(|_| io::Error::other("the system gives no random numbers"))
}

fn kek(secret: &[u8; 32]) -> Result<KeyEncryptionKey, JournalError> {
    KeyEncryptionKey::new(secret).ok_or_else(|| JournalError("the key-encryption key cannot be used".to_owned()))
}

/// The gaps that the key file of a journal names; needs no key.
pub fn gaps(disk: &dyn Disk) -> Result<Vec<Gap>, JournalError> {
    Ok(read(disk)?.0.gaps)
}

/// The segments that it says were written to, and the ends; needs no key.
pub fn begun_and_ends(disk: &dyn Disk) -> Result<(Vec<Begun>, Vec<End>), JournalError> {
    let said = read(disk)?.0;
    Ok((said.begun, said.ends))
}

/// The whole lines of the key file, and whether there is more than those.
fn read(disk: &dyn Disk) -> Result<(Said, bool), JournalError> {
    let bytes = disk.keys().map_err(|e| failed("keys")(&e))?;
    let mut said = Said::default();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((line, text)) = lines.next() {
        // The last line may not be written to its end, or have reached the disk in part: its segment was never written to.
        // If it was, and the line is damaged, whoever needs the key says so.
        let is_last = lines.peek().is_none();
        let read = match text.ends_with(b"\n") {
            true => said.read(text),
            false => Err("it is not whole".to_owned()),
        };
        if is_last && read.is_err() {
            return Ok((said, true));
        }
        read.map_err(|e| failed(&format!("keys, line {}", line + 1))(&e))?;
    }
    Ok((said, false))
}

impl Said {
    /// What lies in the gap is missed no more, wherever it ended.
    fn accept(&mut self, gap: Gap) {
        self.begun.retain(|begun| !gap.holds(begun.segment));
        self.ends.retain(|end| !gap.holds(end.segment));
        self.gaps.push(gap);
    }

    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        let damaged = || "it is not as it was written".to_owned();
        match serde_json::from_slice(line).map_err(|e| e.to_string())? {
            Line::Key(key) => self.keys.push(key.read().ok_or_else(damaged)?),
            Line::Begun(begun) => self.begun.push(begun.read().ok_or_else(damaged)?),
            Line::End(end) => self.ends.push(end.read().ok_or_else(damaged)?),
            Line::Gap(gap) => self.gaps.push(gap.read().ok_or_else(damaged)?),
        }
        Ok(())
    }
}

fn lines(said: &Said) -> Result<Vec<u8>, JournalError> {
    let mut lines = Vec::new();
    let keys = said.keys.iter().map(|key| Line::Key(KeyLine::new(key)));
    let begun = said.begun.iter().map(|&begun| Line::Begun(BegunLine::new(begun)));
    let ends = said.ends.iter().map(|end| Line::End(SyncedEnd::new(end)));
    let gaps = said.gaps.iter().map(|gap| Line::Gap(GapLine::new(gap)));
    for said in keys.chain(begun).chain(ends).chain(gaps) {
        lines.extend(line(&said)?);
    }
    Ok(lines)
}

fn line(said: &Line) -> Result<Vec<u8>, JournalError> {
    let mut line = serde_json::to_vec(said).map_err(|e| failed("keys")(&e))?;
    line.push(b'\n');
    Ok(line)
}
