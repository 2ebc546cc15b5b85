//! How far a cursor came: a file of its own in the journal's folder, `NAME.cursor`, that is replaced whole. As long as it
//! is there, what it has not passed is kept.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{JournalError, disk::private, failed, keeper::Desk};

/// The longest name of a cursor.
const LONGEST: usize = 64;

/// A place between two drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The last input before it.
    pub sequence: u64,
    /// Which life of the scorer gave that sequence. In a later one it may be another input's, where the end of the journal
    /// was lost with the machine's power.
    pub epoch: u64,
    /// The first segment that is needed to go on from here.
    pub segment: u64,
}

/// The places of all cursors.
pub struct Places {
    folder: PathBuf,
}

impl Places {
    /// Those in a journal's folder.
    pub fn new(folder: &Path) -> Places {
        Places {
            folder: folder.to_owned(),
        }
    }

    /// All of them, by name.
    pub fn all(&self) -> Result<Vec<(String, Place)>, JournalError> {
        let error = failed("cursors");
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(|e| error(&e))? {
            let name = entry.map_err(|e| error(&e))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".cursor"));
            if let Some(name) = name
                && let Some(place) = self.read(name)?
            {
                all.push((name.to_owned(), place));
            }
        }
        Ok(all)
    }

    /// Has kept what any cursor still needs, also before it is opened.
    pub fn pin(&self, desk: &Desk) -> Result<(), JournalError> {
        for (name, place) in self.all()? {
            desk.pin(&name, place.segment);
        }
        Ok(())
    }

    /// The place of a cursor; nothing when it has none yet.
    pub fn read(&self, name: &str) -> Result<Option<Place>, JournalError> {
        let error = |e: &dyn std::fmt::Display| failed(&format!("cursor {name}"))(e);
        match std::fs::read(self.path(name)?) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(error(&e)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| error(&e)),
        }
    }

    /// Puts a cursor's place down, whole or not at all; it survives the loss of power.
    pub fn keep(&self, name: &str, place: Place) -> Result<(), JournalError> {
        let path = self.path(name)?;
        let write = || -> io::Result<()> {
            let fresh = path.with_extension("cursor.new");
            let mut file = private().write(true).create(true).truncate(true).open(&fresh)?;
            serde_json::to_writer(&mut file, &place)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|e| failed(&format!("cursor {name}"))(&e))
    }

    fn path(&self, name: &str) -> Result<PathBuf, JournalError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(plain) {
            return Err(JournalError(format!(
                "a cursor's name has 1 to {LONGEST} small letters, digits and hyphens"
            )));
        }
        Ok(self.folder.join(format!("{name}.cursor")))
    }
}
