//! Reads a segment back, chunk by chunk, from the file's bytes. What was never finished at the end is cut; what was damaged
//! before is named, with what is lost, and never guessed over.

use super::{
    chunk::{self, Seal},
    rewritten::{Rewritten, begins},
    segment::{self, Chain, End, NoHeader},
};

const DAMAGED: &str = "a chunk is not as it was written";

/// A segment that is read.
pub struct Reader<'a> {
    bytes: &'a mut [u8],
    header: segment::Header,
    seal: Seal,
    chain: Chain,
    /// What it says of itself where it was rewritten.
    rewritten: Option<Rewritten>,
    /// Where it ends, as the segment after says, or the key file.
    end: Option<End>,
    at: usize,
    number: u32,
    next: u64,
    /// The offset through which the chunks so far know it synced.
    synced: u64,
}

/// A chunk that was read.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// The sequence of its first input.
    pub first: u64,
    /// How many inputs it holds.
    pub count: u32,
    /// Its records.
    pub body: &'a [u8],
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where, with what digest.
    pub end: End,
    /// The sequence of the next input.
    pub next: u64,
    /// The offset through which its chunks know it, and all before it, synced: its header's end when only all before it was;
    /// 0 when none says so.
    pub synced: u64,
    /// The bytes behind that are no whole chunk: a write that was under way when the process or the machine died.
    pub torn: usize,
}

/// A part of a segment that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// Where it begins.
    pub offset: u64,
    /// The sequence of the first input that is lost.
    pub first: u64,
    /// The sequence of the last input that is lost; unknown when nothing readable follows in the segment.
    pub last: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
    /// Whether it was whole once: what stands here is another's, or something behind it says that it was synced.
    pub synced: bool,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {} at offset {}: {}; ", self.segment, self.offset, self.what)?;
        match self.last {
            Some(last) if last < self.first => f.write_str("no input is lost"),
            Some(last) => write!(f, "inputs {} to {last} are lost", self.first),
            None => write!(f, "inputs from {} on are lost, in this segment", self.first),
        }
    }
}

impl std::error::Error for Damage {}

/// What comes next of a segment.
#[derive(Debug)]
pub enum Next<'a> {
    /// A chunk.
    Chunk(Chunk<'a>),
    /// Its end.
    Tail(Tail),
}

impl<'a> Reader<'a> {
    /// A reader of the segment in `bytes`, which are opened in place. `end` is what is said elsewhere of
    /// its end: then nothing of it may be missing.
    pub fn new(bytes: &'a mut [u8], key: &[u8; 32], end: Option<End>) -> Result<Reader<'a>, NoHeader> {
        let header = segment::Header::read(bytes)?;
        let rewritten = Rewritten::read(bytes)?;
        let (chain, at) = begins(bytes)?;
        Ok(Reader {
            seal: Seal::new(key, chain.0).map_err(|_| NoHeader::Damaged)?,
            chain,
            end: end.filter(|end| end.segment == header.segment),
            at,
            rewritten,
            number: 0,
            next: header.first,
            synced: 0,
            header,
            bytes,
        })
    }

    /// The segment's header.
    pub fn header(&self) -> &segment::Header {
        &self.header
    }

    /// Where it stands: what a torn segment would end with.
    pub fn here(&self) -> Tail {
        self.tail(0)
    }

    /// The next chunk, or the end.
    pub fn advance(&mut self) -> Result<Next<'_>, Damage> {
        if let Some(rewritten) = self.rewritten
            && self.at as u64 >= rewritten.ends
        {
            if self.at as u64 > rewritten.ends || self.end.is_some_and(|said| said != rewritten.stands_for) {
                return Err(self.damage(None, "is not what was said of its end"));
            }
            return Ok(Next::Tail(self.tail(0)));
        }
        if let Some(end) = self.end
            && self.rewritten.is_none()
            && self.at as u64 >= end.offset
        {
            if end != self.end() {
                return Err(self.damage(None, "is not what was said of its end"));
            }
            return Ok(Next::Tail(self.tail(0)));
        }
        let Some((header, length)) = whole(&self.bytes[self.at..]) else {
            return self.stopped().map(Next::Tail);
        };
        if (header.number, header.first) != (self.number, self.next) {
            return Err(self.damage(
                header.first.checked_sub(1),
                "a chunk is missing or stands in another's place",
            ));
        }
        let chain = self.chain.then(&self.bytes[self.at..self.at + length]);
        let damage = self.damage(None, "a chunk was not sealed with this segment's key");
        let chunk = &mut self.bytes[self.at..self.at + length];
        let body = self.seal.open(&header, chunk).map_err(|_| damage)?;
        self.at += length;
        self.number += 1;
        self.next += u64::from(header.count);
        self.chain = chain;
        self.synced = self.synced.max(header.synced);
        Ok(Next::Chunk(Chunk {
            first: header.first,
            count: header.count,
            body,
        }))
    }

    /// What it means that no whole chunk stands here. An end that nobody vouches for is a write under way, unless a later
    /// chunk stands behind it that knew this place to be synced: then what stood here was damaged afterwards.
    fn stopped(&self) -> Result<Tail, Damage> {
        let behind = &self.bytes[self.at..];
        let written = written(behind);
        // A header is believed by its CRC; that is computed only for what could be one.
        let mut later = (1..written).filter_map(|from| {
            let header = chunk::Header::read(&behind[from..])?;
            let follows = header.number > self.number && header.first >= self.next;
            follows.then(|| whole(&behind[from..])).flatten()
        });
        let next = later.next();
        let last = next.and_then(|(header, _)| header.first.checked_sub(1));
        // Any of them may say it, not the next one alone.
        let knows = |(header, _): (chunk::Header, usize)| header.synced > self.at as u64;
        let synced = next.into_iter().chain(later).any(knows);
        if self.end.is_some() || self.rewritten.is_some() || synced {
            return Err(Damage {
                // A rewritten segment was synced as a whole before it had its place.
                synced: synced || self.rewritten.is_some(),
                ..self.damage(last, DAMAGED)
            });
        }
        Ok(self.tail(written))
    }

    fn end(&self) -> End {
        End {
            segment: self.header.segment,
            offset: self.at as u64,
            digest: self.chain.0,
        }
    }

    fn tail(&self, torn: usize) -> Tail {
        Tail {
            end: self
                .rewritten
                .map_or_else(|| self.end(), |rewritten| rewritten.stands_for),
            next: self.next,
            synced: self.rewritten.map_or(self.synced, |_| u64::MAX),
            torn,
        }
    }

    fn damage(&self, last: Option<u64>, what: &'static str) -> Damage {
        Damage {
            segment: self.header.segment,
            offset: self.at as u64,
            first: self.next,
            last,
            what,
            synced: true,
        }
    }
}

/// How many bytes there are but for the zeros at the end: nearly all of what is reserved, so whole pages are passed over.
fn written(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut bytes = bytes;
    while let Some((rest, page)) = bytes.split_last_chunk()
        && *page == ZEROS
    {
        bytes = rest;
    }
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// The header of the whole chunk at the beginning of `bytes`, and the chunk's length.
fn whole(bytes: &[u8]) -> Option<(chunk::Header, usize)> {
    let header = chunk::Header::read(bytes)?;
    let chunk = header.whole(bytes)?;
    Some((header, chunk.len()))
}
