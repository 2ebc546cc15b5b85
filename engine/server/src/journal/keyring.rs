//! The file `keys`: one wrapped key a line, as JSON. A key stands there, synced, before its segment is written to.

use std::{io, sync::Arc};

use fraudgate_core::{
    broken::{self, Broken},
    journal::keys::{KeyEncryptionKey, WrappedKey},
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
    /// The file ends within a line, whose writing was cut short.
    torn: bool,
    random: Random,
}

impl Keyring {
    /// Reads the key file. `secret` is the key-encryption key.
    pub fn open(disk: Arc<dyn Disk>, secret: &[u8; 32]) -> Result<Keyring, JournalError> {
        let (keys, torn) = read(&*disk)?;
        Ok(Keyring {
            disk,
            kek: kek(secret)?,
            keys,
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
        if self.torn {
            let mended = self.disk.replace_keys(&lines(&self.keys)?);
            mended.map_err(|e| failed("keys")(&e))?;
            self.torn = false;
        }
        let appended = self.disk.append_keys(&lines(std::slice::from_ref(&wrapped))?);
        // A part of the line may be there, and the next one must not follow it.
        self.torn = appended.is_err();
        appended.map_err(|e| failed("keys")(&e))?;
        self.keys.push(wrapped);
        Ok(key)
    }

    /// Forgets the keys of segments before `first`: what they sealed is gone for good.
    pub fn forget(&mut self, first: u64) -> Result<(), JournalError> {
        let kept: Vec<WrappedKey> = self.keys.iter().filter(|key| key.segment >= first).cloned().collect();
        let replaced = self.disk.replace_keys(&lines(&kept)?);
        replaced.map_err(|e| failed("keys")(&e))?;
        self.keys = kept;
        Ok(())
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
    disk.replace_keys(&lines(&wrapped)?).map_err(|e| failed("keys")(&e))?;
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
fn read(disk: &dyn Disk) -> Result<(Vec<WrappedKey>, bool), JournalError> {
    let bytes = disk.keys().map_err(|e| failed("keys")(&e))?;
    let mut keys = Vec::new();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((line, text)) = lines.next() {
        // The last line may not be written to its end, or have reached the disk in part: its segment was never written to.
        // If it was, and the line is damaged, whoever needs the key says so.
        let key = serde_json::from_slice(text);
        if lines.peek().is_none() && (key.is_err() || !text.ends_with(b"\n")) {
            return Ok((keys, true));
        }
        keys.push(key.map_err(|e| failed(&format!("keys, line {}", line + 1))(&e))?);
    }
    Ok((keys, false))
}

fn lines(keys: &[WrappedKey]) -> Result<Vec<u8>, JournalError> {
    let mut lines = Vec::new();
    for key in keys {
        serde_json::to_writer(&mut lines, key).map_err(|e| failed("keys")(&e))?;
        lines.push(b'\n');
    }
    Ok(lines)
}
