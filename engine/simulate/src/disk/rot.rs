//! Bits that flip in what was synced, and what that may cost.

use super::{SimulatedDisk, State, vouch};

/// A bit that was flipped in what was synced.
#[derive(Clone, Debug)]
pub struct Rot {
    /// The segment or the snapshot; `None` is the key file.
    pub segment: Option<u64>,
    /// Which byte.
    pub offset: usize,
    pub(super) bit: u8,
    pub(super) made: u64,
    /// Of the key file, the line as it was and as it is: another file of that name may hold it too.
    line: Option<[Vec<u8>; 2]>,
    /// The sequence from which on inputs may be lost by it unnoticed: it stands where nothing says any more that it was synced.
    pub unvouched: Option<u64>,
}

impl State {
    fn rot_a_snapshot(&mut self) -> Option<Rot> {
        let numbers: Vec<u64> = self.snapshots.keys().copied().collect();
        let number = self.random.one_of(&numbers);
        let file = self.snapshots.get_mut(&number)?;
        let rot = Rot {
            segment: Some(number),
            offset: self.random.below(file.durable.len().max(1)),
            bit: 1 << self.random.below(8),
            made: file.made,
            line: None,
            unvouched: None,
        };
        for bytes in [&mut file.durable, &mut file.cached] {
            *bytes.get_mut(rot.offset)? ^= rot.bit;
        }
        self.trace
            .tell("snapshot rots", &[number, rot.offset as u64, u64::from(rot.bit)]);
        Some(rot)
    }
}

impl SimulatedDisk {
    /// Flips a bit of something that was synced, if there is anything.
    pub fn rot(&self) -> Option<Rot> {
        let state = &mut *self.state();
        if !state.snapshots.is_empty() && state.random.once_in(3) {
            return state.rot_a_snapshot();
        }
        let of_keys = state.random.once_in(8);
        let written: Vec<u64> = state
            .files
            .iter()
            .filter(|(_, file)| file.durable.iter().any(|&byte| byte != 0))
            .map(|(&number, _)| number)
            .collect();
        if !of_keys && written.is_empty() {
            return None;
        }
        let segment = (!of_keys).then(|| state.random.one_of(&written));
        let file = match segment {
            Some(segment) => state.files.get(&segment)?,
            None => &state.keys,
        };
        let end = file.durable.iter().rposition(|&byte| byte != 0)? + 1;
        let offset = state.random.below(end);
        if file.dirty.contains(&(offset / state.page)) || file.cached.get(offset) != file.durable.get(offset) {
            return None;
        }
        let bit = 1 << state.random.below(8);
        let unvouched = segment.and_then(|segment| vouch::unvouched(&state.files, &state.keys, segment, offset));
        let file = match segment {
            Some(segment) => state.files.get_mut(&segment)?,
            None => &mut state.keys,
        };
        let good = segment.is_none().then(|| line(&file.durable, offset).to_vec());
        file.durable[offset] ^= bit;
        file.cached[offset] ^= bit;
        let rot = Rot {
            segment,
            offset,
            bit,
            made: file.made,
            line: good.map(|good| [good, line(&file.durable, offset).to_vec()]),
            unvouched,
        };
        let number = segment.unwrap_or(0);
        state.trace.tell("rot", &[number, offset as u64, u64::from(bit)]);
        state.trace.remark(|| format!("{rot:?}"));
        Some(rot)
    }

    /// What [`Rot::unvouched`] says, by what is on the disk now.
    pub fn unvouched(&self, rot: &Rot) -> Option<u64> {
        let segment = rot.segment?;
        let state = self.state();
        // As it would read without the flipped bit.
        let mut files = state.files.clone();
        *files.get_mut(&segment)?.cached.get_mut(rot.offset)? ^= rot.bit;
        vouch::unvouched(&files, &state.keys, segment, rot.offset)
    }

    /// Puts a flipped bit right, as from a copy elsewhere.
    pub fn heal(&self, rot: Rot) {
        let state = &mut *self.state();
        let file = match rot.segment {
            Some(number) => state.files.get_mut(&number).or(state.snapshots.get_mut(&number)),
            None => Some(&mut state.keys),
        };
        // It may have been replaced since.
        if let Some(file) = file
            && file.made == rot.made
        {
            for bytes in [&mut file.durable, &mut file.cached] {
                if let Some(byte) = bytes.get_mut(rot.offset) {
                    *byte ^= rot.bit;
                }
            }
        } else if let Some([good, rotten]) = rot.line.filter(|[_, rotten]| !rotten.is_empty()) {
            for bytes in [&mut state.keys.durable, &mut state.keys.cached] {
                if let Some(at) = bytes.windows(rotten.len()).position(|line| line == rotten) {
                    bytes.splice(at..at + rotten.len(), good.iter().copied());
                }
            }
        }
    }
}

/// The line that a byte stands in, without its end.
fn line(bytes: &[u8], at: usize) -> &[u8] {
    let is_end = |byte: &u8| *byte == b'\n';
    let begin = bytes[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
    let end = bytes[at..].iter().position(is_end).map_or(bytes.len(), |end| at + end);
    &bytes[begin..end]
}
