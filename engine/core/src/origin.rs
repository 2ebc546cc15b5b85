//! Where a record of a stream stood. It rides in the journal with what was made of the record, so the state itself knows
//! how far each partition was taken in, and what leaves again can be named as its sender named it.

use crate::snapshot::{self, Unreadable, number};

/// The longest name of a topic, in bytes: with the longest id an origin fits into a position.
pub const LONGEST_TOPIC: usize = 100;

/// Where a record stood, and the id that its sender gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic, 1 to [`LONGEST_TOPIC`] bytes.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
    /// The transaction's id as it was sent, at most 128 bytes. Empty where none could be read, and where it must not be
    /// kept because it may be a card number.
    pub id: &'a str,
}

impl<'a> Origin<'a> {
    /// As it is journaled: the topic's length in one byte, the topic, partition (4) and offset (8), then the id.
    pub fn write(&self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(1 + self.topic.len() + 12 + self.id.len());
        // At most 100.
        bytes.push(self.topic.len() as u8);
        bytes.extend_from_slice(self.topic.as_bytes());
        bytes.extend_from_slice(&self.partition.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.into()
    }

    /// What was journaled; nothing where a position is not that of a stream.
    pub fn read(bytes: &'a [u8]) -> Option<Origin<'a>> {
        let (&length, rest) = bytes.split_first()?;
        let (topic, rest) = rest.split_at_checked(usize::from(length))?;
        let (partition, rest) = rest.split_first_chunk()?;
        let (offset, id) = rest.split_first_chunk()?;
        Some(Origin {
            topic: str::from_utf8(topic).ok()?,
            partition: u32::from_le_bytes(*partition),
            offset: u64::from_le_bytes(*offset),
            id: str::from_utf8(id).ok()?,
        })
    }
}

/// How far each partition was taken in. A part of the state: a fold over what is journaled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets(Vec<Offset>);

/// How far one partition was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The topic.
    pub topic: Box<str>,
    /// The partition.
    pub partition: u32,
    /// The highest offset that was taken.
    pub highest: u64,
}

impl Offsets {
    /// Takes note of an input's position, if it has that of a stream.
    pub fn take(&mut self, position: Option<&[u8]>) {
        let Some(origin) = position.and_then(Origin::read) else {
            return;
        };
        match self.find(origin.topic, origin.partition) {
            Ok(place) => self.0[place].highest = self.0[place].highest.max(origin.offset),
            Err(place) => self.0.insert(
                place,
                Offset {
                    topic: origin.topic.into(),
                    partition: origin.partition,
                    highest: origin.offset,
                },
            ),
        }
    }

    /// The highest offset of a partition that was taken.
    pub fn highest(&self, topic: &str, partition: u32) -> Option<u64> {
        self.find(topic, partition).ok().map(|place| self.0[place].highest)
    }

    /// All of them, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = &Offset> {
        self.0.iter()
    }

    /// As a snapshot holds them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        for at in &self.0 {
            snapshot::put(out, at.topic.as_bytes());
            out.extend_from_slice(&at.partition.to_le_bytes());
            out.extend_from_slice(&at.highest.to_le_bytes());
        }
    }

    /// Takes off the beginning of `bytes` what [`Offsets::write`] wrote.
    pub(crate) fn read(bytes: &mut &[u8]) -> Result<Offsets, Unreadable> {
        let mut offsets = Vec::new();
        for _ in 0..u32::from_le_bytes(number(bytes)?) {
            offsets.push(Offset {
                topic: str::from_utf8(snapshot::long(bytes)?).map_err(|_| Unreadable)?.into(),
                partition: u32::from_le_bytes(number(bytes)?),
                highest: u64::from_le_bytes(number(bytes)?),
            });
        }
        Ok(Offsets(offsets))
    }

    fn find(&self, topic: &str, partition: u32) -> Result<usize, usize> {
        self.0
            .binary_search_by(|at| (&*at.topic, at.partition).cmp(&(topic, partition)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(topic: &str, partition: u32, offset: u64) -> Box<[u8]> {
        Origin {
            topic,
            partition,
            offset,
            id: "t-1",
        }
        .write()
    }

    #[test]
    fn an_origin_reads_as_it_was_written_and_fits_into_a_position() {
        let (topic, id) = ("t".repeat(LONGEST_TOPIC), "i".repeat(128));
        for (topic, id) in [("payments", "t-1"), ("p", ""), (&*topic, &*id)] {
            let origin = Origin {
                topic,
                partition: 7,
                offset: u64::MAX - 1,
                id,
            };
            let bytes = origin.write();
            assert_eq!(Origin::read(&bytes), Some(origin));
            assert!(bytes.len() <= usize::from(u8::MAX));
        }
        for other in [&[][..], &[9], &[1, b'a', 0, 0], &[1, 2, 3]] {
            assert_eq!(Origin::read(other), None);
        }
    }

    #[test]
    fn the_highest_offset_of_each_partition_is_known_in_whatever_order_they_came() {
        let mut offsets = Offsets::default();
        for (topic, partition, offset) in [("b", 0, 5), ("a", 1, 3), ("b", 0, 4), ("a", 0, 9), ("a", 1, 8)] {
            offsets.take(Some(&origin(topic, partition, offset)));
        }
        offsets.take(None);
        offsets.take(Some(&[1, 2, 3]));
        let found: Vec<_> = offsets
            .iter()
            .map(|at| (&*at.topic, at.partition, at.highest))
            .collect();
        assert_eq!(found, [("a", 0, 9), ("a", 1, 8), ("b", 0, 5)]);
        assert_eq!(offsets.highest("a", 2), None);
    }
}
