//! The file `keys`, a line each, as JSON: the wrapped key of each segment, synced before that is written to; and where each
//! segment ends that is synced and done with, so that what is lost of it never passes for a write that was under way.

use std::{io, sync::Arc};

use fraudgate_core::{
    broken::{self, Broken},
    journal::{
        keys::{KeyEncryptionKey, Line, SyncedEnd, WrappedKey},
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
    keys: Vec<WrappedKey>,
    /// Ends of segments, in the order in which they were synced.
    ends: Vec<End>,
    /// The file ends within a line, whose writing was cut short.
    torn: bool,
    random: Random,
}

impl Keyring {
    /// Reads the key file. `secret` is the key-encryption key.
    pub fn open(disk: Arc<dyn Disk>, secret: &[u8; 32]) -> Result<Keyring, JournalError> {
        let (keys, ends, torn) = read(&*disk)?;
        Ok(Keyring {
            disk,
            kek: kek(secret)?,
            keys,
            ends,
            torn,
            random: Box::new(draw),
        })
    }

    /// The same, with another source of random bytes than the system's.
    #[must_use]
    pub fn drawing(self, random: Random) -> Keyring {
        Keyring { random, ..self }
    }

    /// The key of a segment.
    pub fn key(&self, segment: u64) -> Result<[u8; 32], JournalError> {
        let wrapped = self.keys.iter().rev().find(|key| key.segment == segment);
        let wrapped = wrapped.ok_or_else(|| JournalError(format!("the key file holds no key of segment {segment}")))?;
        self.kek.unwrap(wrapped).map_err(|e| JournalError(e.to_string()))
    }

    /// The highest segment and epoch that a key was ever made for.
    pub fn newest(&self) -> (u64, u64) {
        let segment = self.keys.iter().map(|key| key.segment).max();
        let epoch = self.keys.iter().map(|key| key.epoch).max();
        (segment.unwrap_or(0), epoch.unwrap_or(0))
    }

    /// Makes the key of a new segment.
    pub fn make(&mut self, segment: u64, epoch: u64) -> Result<[u8; 32], JournalError> {
        let (mut key, mut nonce) = ([0; 32], [0; 12]);
        let drawn = (self.random)(&mut key).and_then(|()| (self.random)(&mut nonce));
        drawn.map_err(|e| failed("keys")(&e))?;
        if broken::is(Broken::ReuseNonce)
            && let Some(last) = self.keys.last()
        {
            key = self.kek.unwrap(last).map_err(|e| JournalError(e.to_string()))?;
        }
        let wrapped = self.kek.wrap(segment, epoch, &key, nonce);
        let wrapped = wrapped.ok_or_else(|| JournalError("a key could not be wrapped".to_owned()))?;
        self.append(&lines(std::slice::from_ref(&wrapped), &[])?)?;
        self.keys.push(wrapped);
        Ok(key)
    }

    /// Where a segment ends, if that was said.
    pub fn end(&self, segment: u64) -> Option<End> {
        self.ends.iter().rev().find(|end| end.segment == segment).copied()
    }

    /// Says where a segment ends, which must be synced through there.
    pub fn say_end(&mut self, end: End) -> Result<(), JournalError> {
        if self.end(end.segment) == Some(end) {
            return Ok(());
        }
        self.append(&lines(&[], &[end])?)?;
        self.ends.push(end);
        Ok(())
    }

    /// Forgets keys by their numbers: what they sealed is gone for good.
    pub fn forget(&mut self, is_gone: impl Fn(u64) -> bool) -> Result<(), JournalError> {
        let keys: Vec<WrappedKey> = self.keys.iter().filter(|key| !is_gone(key.segment)).cloned().collect();
        let ends: Vec<End> = self.ends.iter().filter(|end| !is_gone(end.segment)).copied().collect();
        let replaced = self.disk.replace_keys(&lines(&keys, &ends)?);
        replaced.map_err(|e| failed("keys")(&e))?;
        (self.keys, self.ends, self.torn) = (keys, ends, false);
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> Result<(), JournalError> {
        if self.torn {
            let mended = self.disk.replace_keys(&lines(&self.keys, &self.ends)?);
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
    let mut wrapped = Vec::with_capacity(ring.keys.len());
    for old in &ring.keys {
        let key = ring.kek.unwrap(old).map_err(|e| JournalError(e.to_string()))?;
        let mut nonce = [0; 12];
        draw(&mut nonce).map_err(|e| failed("keys")(&e))?;
        let new = to.wrap(old.segment, old.epoch, &key, nonce);
        wrapped.push(new.ok_or_else(|| JournalError("a key could not be wrapped".to_owned()))?);
    }
    disk.replace_keys(&lines(&wrapped, &ring.ends)?)
        .map_err(|e| failed("keys")(&e))?;
    Ok(wrapped.len())
}

fn draw(bytes: &mut [u8]) -> io::Result<()> {
    let drawn = SystemRandom::new().fill(bytes);
    drawn.map_err(|_| io::Error::other("the system gives no random numbers"))
}

fn kek(secret: &[u8; 32]) -> Result<KeyEncryptionKey, JournalError> {
    KeyEncryptionKey::new(secret).ok_or_else(|| JournalError("the key-encryption key cannot be used".to_owned()))
}

/// The whole lines of the key file, and whether there is more than those.
fn read(disk: &dyn Disk) -> Result<(Vec<WrappedKey>, Vec<End>, bool), JournalError> {
    let bytes = disk.keys().map_err(|e| failed("keys")(&e))?;
    let (mut keys, mut ends) = (Vec::new(), Vec::new());
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((line, text)) = lines.next() {
        // The last line may not be written to its end, or have reached the disk in part: its segment was never written to.
        // If it was, and the line is damaged, whoever needs the key says so.
        let said = serde_json::from_slice(text)
            .map_err(|e| e.to_string())
            .and_then(|said| match said {
                Line::Key(key) => Ok((Some(key), None)),
                Line::End(end) => match end.read() {
                    Some(end) => Ok((None, Some(end))),
                    None => Err("it is not as it was written".to_owned()),
                },
            });
        if lines.peek().is_none() && (said.is_err() || !text.ends_with(b"\n")) {
            return Ok((keys, ends, true));
        }
        let (key, end) = said.map_err(|e| failed(&format!("keys, line {}", line + 1))(&e))?;
        keys.extend(key);
        ends.extend(end);
    }
    Ok((keys, ends, false))
}

fn lines(keys: &[WrappedKey], ends: &[End]) -> Result<Vec<u8>, JournalError> {
    let mut lines = Vec::new();
    let keys = keys.iter().cloned().map(Line::Key);
    for line in keys.chain(ends.iter().map(|end| Line::End(SyncedEnd::new(end)))) {
        serde_json::to_writer(&mut lines, &line).map_err(|e| failed("keys")(&e))?;
        lines.push(b'\n');
    }
    Ok(lines)
}
