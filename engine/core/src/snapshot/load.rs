//! Takes a snapshot in, piece by piece, beside the engine's own state: only a whole one takes its place. Ids alone go where
//! they belong at once, as their memory is taken and touched already, and are forgotten again when the rest does not come.
//!
//! The programs are those that are configured now. One whose plan has changed, or what it declares of blind approvals, is
//! not taken from a snapshot: the journal is folded anew for it, as far as that reaches back.

use prost::bytes::Bytes;

use super::{Tag, Unreadable, long, number};
use crate::{
    assessment::{Assessment, Version},
    history::{Bounds, History},
    known::{self, Known},
    origin::Offsets,
    plan::Plan,
    policy::Policy,
    program::{Program, Reviewed},
    road::Engine,
    transaction::{EventTime, KeyHash},
};

/// A snapshot that is being taken in.
pub struct Load<'e> {
    engine: &'e mut Engine,
    state: Option<State>,
    /// Whether the last piece came.
    ended: bool,
    /// Whether the engine's state is the snapshot's.
    finished: bool,
}

struct State {
    sequence: u64,
    epochs: Vec<(u64, u64)>,
    offsets: Offsets,
    /// Ids that are still to come.
    ids: u64,
    /// By the program's number in the snapshot.
    programs: Vec<Read>,
}

/// A program of a snapshot.
struct Read {
    /// Its place in the engine, when it is served now.
    place: Option<u16>,
    /// The versions of now, by the versions of then.
    versions: Vec<u32>,
    /// What is taken in, unless its plan has changed.
    taken: Option<Taken>,
}

struct Taken {
    complete_since: EventTime,
    reviewed: Reviewed,
    exposure: Vec<(EventTime, i64)>,
    history: History,
    /// By entity, keys that are still to come.
    keys: Vec<u64>,
}

/// What was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The sequence of the newest input that is in it.
    pub sequence: u64,
    /// By the place of a program in the engine: whether its state was taken in.
    pub programs: Vec<bool>,
}

/// Why a snapshot cannot be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unloadable {
    /// A piece is not what this engine writes.
    Unreadable,
    /// Something of it did not come, or came twice.
    Incomplete,
}

impl std::fmt::Display for Unloadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unloadable::Unreadable => "a piece is in a form unknown here",
            Unloadable::Incomplete => "something of it is missing",
        })
    }
}

impl From<Unreadable> for Unloadable {
    fn from(_: Unreadable) -> Unloadable {
        Unloadable::Unreadable
    }
}

impl<'e> Load<'e> {
    /// Takes a snapshot in to an engine that serves its programs and has taken nothing yet.
    pub fn new(engine: &'e mut Engine) -> Load<'e> {
        Load {
            engine,
            state: None,
            ended: false,
            finished: false,
        }
    }

    /// The next piece, as it was opened.
    pub fn piece(&mut self, mut body: &[u8]) -> Result<(), Unloadable> {
        if self.ended {
            return Err(Unloadable::Unreadable);
        }
        let tag = u8::from_le_bytes(number(&mut body)?);
        let tag = Tag::ALL
            .into_iter()
            .find(|&known| known as u8 == tag)
            .ok_or(Unreadable)?;
        match (tag, &mut self.state) {
            (Tag::State, None) => self.state = Some(State::read(self.engine, &mut body)?),
            (Tag::Keys, Some(state)) => state.keys(self.engine, body)?,
            (Tag::Ids, Some(state)) => state.ids(&mut self.engine.known, body)?,
            (Tag::End, Some(_)) => self.ended = true,
            (Tag::State, Some(_)) | (Tag::Keys | Tag::Ids | Tag::End, None) => return Err(Unloadable::Unreadable),
        }
        Ok(())
    }

    /// Whether the last piece came.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// All came: the engine's state is that of the snapshot.
    pub fn finish(mut self) -> Result<Loaded, Unloadable> {
        let state = self.state.take_if(|state| self.ended && state.is_whole());
        let state = state.ok_or(Unloadable::Incomplete)?;
        let engine = &mut *self.engine;
        let mut loaded = Loaded {
            sequence: state.sequence,
            programs: vec![false; engine.programs.len()],
        };
        for Read { place, taken, .. } in state.programs {
            if let (Some(place), Some(taken)) = (place.map(usize::from), taken) {
                let program = &mut engine.programs[place];
                program.complete_since = taken.complete_since;
                program.history = taken.history;
                program.reviewed = taken.reviewed;
                program.blind.restore(taken.exposure);
                loaded.programs[place] = true;
            }
        }
        engine.sequence = state.sequence;
        engine.epochs = state.epochs;
        engine.offsets = state.offsets;
        self.finished = true;
        Ok(loaded)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.engine.known.clear();
        }
    }
}

impl State {
    fn read(engine: &mut Engine, bytes: &mut &[u8]) -> Result<State, Unreadable> {
        let sequence = u64::from_le_bytes(number(bytes)?);
        let lives = u32::from_le_bytes(number(bytes)?);
        let mut epochs = Vec::new();
        for _ in 0..lives {
            epochs.push((u64::from_le_bytes(number(bytes)?), u64::from_le_bytes(number(bytes)?)));
        }
        let offsets = Offsets::read(bytes)?;
        let ids = u64::from_le_bytes(number(bytes)?);
        let mut programs = Vec::new();
        for _ in 0..u16::from_le_bytes(number(bytes)?) {
            programs.push(Read::next(engine, bytes)?);
        }
        if !bytes.is_empty() {
            return Err(Unreadable);
        }
        Ok(State {
            sequence,
            epochs,
            offsets,
            ids,
            programs,
        })
    }

    fn keys(&mut self, engine: &Engine, mut body: &[u8]) -> Result<(), Unreadable> {
        let program = usize::from(u16::from_le_bytes(number(&mut body)?));
        let entity = usize::from(u8::from_le_bytes(number(&mut body)?));
        let program = self.programs.get_mut(program).ok_or(Unreadable)?;
        // Of a program that is not served now, or whose plan has changed.
        let (Some(place), Some(taken)) = (program.place, &mut program.taken) else {
            return Ok(());
        };
        let plan = &engine.programs[usize::from(place)].plan;
        let read = taken.history.read_keys(plan, entity, body)?;
        let left = taken.keys.get_mut(entity).ok_or(Unreadable)?;
        *left = left.checked_sub(read).ok_or(Unreadable)?;
        Ok(())
    }

    fn ids(&mut self, known: &mut Known, mut body: &[u8]) -> Result<(), Unreadable> {
        let mut read = Vec::with_capacity(body.len() / 64);
        while !body.is_empty() {
            self.ids = self.ids.checked_sub(1).ok_or(Unreadable)?;
            let id = KeyHash(u128::from_le_bytes(number(&mut body)?));
            let payload = KeyHash(u128::from_le_bytes(number(&mut body)?));
            let sequence = u64::from_le_bytes(number(&mut body)?);
            let assessment = match u8::from_le_bytes(number(&mut body)?) {
                0 => None,
                1 => Some(Assessment::read(&mut body)?),
                _ => return Err(Unreadable),
            };
            let mut taken = known::Taken {
                id,
                payload,
                sequence,
                assessment,
            };
            if let Some(Assessment { made_with, .. }) = &mut taken.assessment {
                let program = self.programs.get(usize::from(made_with.program)).ok_or(Unreadable)?;
                made_with.version = *program.versions.get(made_with.version as usize).ok_or(Unreadable)?;
                // An answer of a program that is not served now is not asked for again.
                let Some(place) = program.place else { continue };
                made_with.program = place;
            }
            read.push(taken);
        }
        known.remember_all(read);
        Ok(())
    }

    fn is_whole(&self) -> bool {
        let of_program = |read: &Read| {
            read.taken
                .as_ref()
                .is_none_or(|taken| taken.keys.iter().all(|&left| left == 0))
        };
        self.ids == 0 && self.programs.iter().all(of_program)
    }
}

impl Read {
    fn next(engine: &mut Engine, bytes: &mut &[u8]) -> Result<Read, Unreadable> {
        let complete_since = EventTime(i64::from_le_bytes(number(bytes)?));
        let name = str::from_utf8(long(bytes)?).map_err(|_| Unreadable)?;
        let (plan, policy) = (long(bytes)?, long(bytes)?);
        let plan = Plan::parse(plan).map_err(|_| Unreadable)?;
        let policy = Policy::parse(policy).map_err(|_| Unreadable)?;
        let mut versions = Vec::new();
        for _ in 0..u32::from_le_bytes(number(bytes)?) {
            versions.push(version(bytes)?);
        }
        let reviewed = Reviewed::read(bytes)?;
        let mut exposure = Vec::new();
        for _ in 0..u32::from_le_bytes(number(bytes)?) {
            let time = EventTime(i64::from_le_bytes(number(bytes)?));
            exposure.push((time, i64::from_le_bytes(number(bytes)?)));
        }
        let place = engine.programs.iter().position(|program| program.name == name);
        // Those of now: what is beyond them goes with the next input.
        let bounds = place.map_or(Bounds::NONE, |place| engine.programs[place].history.bounds());
        let mut history = History::new(&plan, complete_since, bounds);
        let keys = history.restore(&plan, bytes)?;
        let Some(place) = place else {
            return Ok(Read {
                place: None,
                versions: vec![0; versions.len()],
                taken: None,
            });
        };
        let program: &mut Program = &mut engine.programs[place];
        let same = plan.digest == program.plan.digest && policy.cap() == program.cap();
        Ok(Read {
            // There are no more programs than this counts.
            place: Some(place as u16),
            versions: versions
                .into_iter()
                .map(|version| program.know_version(version))
                .collect(),
            taken: same.then_some(Taken {
                complete_since,
                reviewed,
                exposure,
                history,
                keys,
            }),
        })
    }
}

fn version(bytes: &mut &[u8]) -> Result<Version, Unreadable> {
    let mut digest = || long(bytes).map(Bytes::copy_from_slice);
    let (model_digest, plan_digest, policy_digest) = (digest()?, digest()?, digest()?);
    let mut names = || -> Result<Vec<String>, Unreadable> {
        let mut names = Vec::new();
        for _ in 0..u32::from_le_bytes(number(bytes)?) {
            names.push(str::from_utf8(long(bytes)?).map_err(|_| Unreadable)?.to_owned());
        }
        Ok(names)
    };
    Ok(Version {
        model_digest,
        plan_digest,
        policy_digest,
        features: names()?,
        texts: names()?,
    })
}
