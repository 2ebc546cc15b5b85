//! One file: what is read of it, what of that survives the machine, and how pages are lost.

use std::collections::BTreeSet;

use super::Suffered;
use crate::random::Random;

#[derive(Clone, Default)]
pub(super) struct File {
    /// What is read.
    pub cached: Vec<u8>,
    /// What survives the machine.
    pub durable: Vec<u8>,
    /// Pages that were not synced. One that is cached otherwise than durable and not here was lost by a failed sync.
    pub dirty: BTreeSet<usize>,
    /// Whether its name survives the machine.
    pub named: bool,
    /// Tells it from another one of its name.
    pub made: u64,
}

impl File {
    pub fn write(&mut self, bytes: &[u8], offset: usize, page: usize) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        if end > offset {
            self.dirty.extend(offset / page..=(end - 1) / page);
        }
    }

    /// A page reaches the platter, up to a byte of it.
    pub fn keep(&mut self, number: usize, page: usize, through: usize) {
        let from = number * page;
        let to = (from + through.min(page)).min(self.cached.len());
        if from < to {
            if self.durable.len() < to {
                self.durable.resize(to, 0);
            }
            self.durable[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }

    pub fn sync(&mut self, page: usize) {
        for number in std::mem::take(&mut self.dirty) {
            self.keep(number, page, page);
        }
        if self.durable.len() < self.cached.len() {
            self.durable.resize(self.cached.len(), 0);
        }
    }

    /// Pages that a failed sync lost go from the cache too.
    pub fn forget_lost(&mut self, page: usize, random: &mut Random) {
        for number in 0..self.cached.len().div_ceil(page) {
            if !self.dirty.contains(&number) && random.once_in(2) {
                let from = number * page;
                for at in from..(from + page).min(self.cached.len()) {
                    self.cached[at] = self.durable.get(at).copied().unwrap_or(0);
                }
            }
        }
    }

    /// The machine goes down.
    pub fn lose_power(&mut self, page: usize, random: &mut Random, suffered: &mut Suffered) {
        for number in std::mem::take(&mut self.dirty) {
            match random.below(3) {
                0 => self.keep(number, page, page),
                1 => {
                    suffered.torn += 1;
                    let through = random.below(page);
                    self.keep(number, page, through);
                }
                _ => suffered.lost += 1,
            }
        }
        self.cached = self.durable.clone();
    }
}
