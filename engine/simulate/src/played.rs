//! What seeds came to, summed and told.

use crate::{disk::Suffered, truth::Seen};

/// What playing a seed came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// Seeds.
    pub seeds: u64,
    /// The digest of all that happened.
    pub trace: u64,
    /// What the oracle met.
    pub seen: Seen,
    /// What the disk did.
    pub suffered: Suffered,
    /// Times that a process died, a machine did, and a scorer stopped well.
    pub deaths: [u64; 3],
    /// Flipped bits that kept a scorer from starting, as they must.
    pub named: u64,
    /// Flipped bits where nothing is read any more.
    pub unread: u64,
    /// Segments that were rewritten.
    pub rewritten: u64,
    /// Snapshots that were taken, lives that began with one, and snapshots that were passed over.
    pub snapshots: [u64; 3],
}

impl Played {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Played) {
        self.seeds += other.seeds;
        let (seen, more) = (&mut self.seen, other.seen);
        seen.taken += more.taken;
        seen.replayed += more.replayed;
        seen.reused += more.reused;
        seen.refused += more.refused;
        seen.unfolded += more.unfolded;
        seen.features += more.features;
        seen.erased += more.erased;
        seen.approximate += more.approximate;
        seen.incomplete += more.incomplete;
        seen.late += more.late;
        seen.lost += more.lost;
        let (suffered, more) = (&mut self.suffered, other.suffered);
        suffered.writes += more.writes;
        suffered.syncs += more.syncs;
        suffered.reads += more.reads;
        suffered.torn += more.torn;
        suffered.lost += more.lost;
        for (deaths, more) in self.deaths.iter_mut().zip(other.deaths) {
            *deaths += more;
        }
        self.named += other.named;
        self.unread += other.unread;
        self.rewritten += other.rewritten;
        for (snapshots, more) in self.snapshots.iter_mut().zip(other.snapshots) {
            *snapshots += more;
        }
    }
}

impl std::fmt::Display for Played {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Played {
            seen,
            suffered,
            deaths,
            snapshots,
            ..
        } = self;
        write!(
            f,
            "{} inputs taken, {} retransmissions, {} ids with another payload, {} refused, {} scored and not taken, {} late, \
             {} keys erased, {} features compared, {} of them approximate and {} incomplete; {} processes and {} machines \
             died, {} stopped well, {} inputs lost that nothing was promised of; {} writes, {} syncs, {} reads failed; {} \
             pages torn, {} lost; {} flipped bits named, {} not read; {} segments rewritten; {} snapshots taken, {} begun from, {} \
             passed over",
            seen.taken,
            seen.replayed,
            seen.reused,
            seen.refused,
            seen.unfolded,
            seen.late,
            seen.erased,
            seen.features,
            seen.approximate,
            seen.incomplete,
            deaths[0],
            deaths[1],
            deaths[2],
            seen.lost,
            suffered.writes,
            suffered.syncs,
            suffered.reads,
            suffered.torn,
            suffered.lost,
            self.named,
            self.unread,
            self.rewritten,
            snapshots[0],
            snapshots[1],
            snapshots[2]
        )
    }
}
