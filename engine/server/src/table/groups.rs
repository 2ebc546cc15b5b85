//! Rows by groups of keys: of as many keys each as have so many rows that what is done with them stays in the caches.

use std::ops::Range;

use super::numbered::NO_KEY;

/// How many groups there are, about, where each has more than the least of rows.
const GROUPS: usize = 96;

/// Rows that a group has at least: what second caches hold.
const LEAST: usize = 1 << 15;

/// The group of a row without a key. There are fewer: two that follow each other have more rows than they aim at.
pub(super) const NO_GROUP: u8 = u8::MAX;

/// The groups of an entity's keys. Its memory is used again and again, for fresh memory costs as much as what is done with it.
#[derive(Default)]
pub(super) struct Groups {
    /// Of each key how many rows keys have that precede it, and last how many all have.
    begins: Vec<u32>,
    /// The keys of each group.
    keys: Vec<Range<usize>>,
    /// Of each key.
    of_keys: Vec<u8>,
    /// Rows by group, in their order, with their keys.
    rows: Vec<(u32, u32)>,
}

impl Groups {
    /// Groups the keys of these numbers, and others so that there are so many at least. Gives each row's group.
    pub fn make(&mut self, numbers: &[u32], keys: usize) -> Vec<u8> {
        self.count(numbers, keys);
        self.group(numbers.len());
        let mut next: Vec<u32> = self.keys.iter().map(|keys| self.begins[keys.start]).collect();
        let total = self.begins.last().map_or(0, |&total| total as usize);
        self.rows.resize(total, (0, 0));
        let group = |(row, &number): (u32, &u32)| {
            if number == NO_KEY {
                return NO_GROUP;
            }
            let group = self.of_keys[number as usize];
            let place = &mut next[usize::from(group)];
            self.rows[*place as usize] = (row, number);
            *place += 1;
            group
        };
        (0..).zip(numbers).map(group).collect()
    }

    /// How many rows keys have.
    fn count(&mut self, numbers: &[u32], keys: usize) {
        self.begins.clear();
        self.begins.resize(keys, 0);
        for &number in numbers.iter().filter(|&&number| number != NO_KEY) {
            let number = number as usize;
            if self.begins.len() <= number {
                self.begins.resize(number + 1, 0);
            }
            self.begins[number] += 1;
        }
        let mut total = 0;
        for count in &mut self.begins {
            total += std::mem::replace(count, total);
        }
        self.begins.push(total);
    }

    /// As many keys as have rows enough, and one at least.
    fn group(&mut self, rows: usize) {
        let room = (rows / GROUPS).max(LEAST) as u32;
        self.keys.clear();
        self.of_keys.clear();
        let mut start = 0;
        while start + 1 < self.begins.len() {
            let before = self.begins[start];
            let fit = self.begins[start + 1..].partition_point(|&end| end - before <= room);
            let end = start + fit.max(1);
            self.of_keys.resize(end, self.keys.len() as u8);
            self.keys.push(start..end);
            start = end;
        }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys of a group.
    pub fn keys(&self, group: usize) -> Range<usize> {
        self.keys[group].clone()
    }

    /// How many rows keys have that precede one.
    pub fn begin(&self, key: usize) -> usize {
        self.begins[key] as usize
    }

    /// The rows of a group, in their order, with their keys.
    pub fn rows(&self, group: usize) -> &[(u32, u32)] {
        let keys = &self.keys[group];
        &self.rows[self.begin(keys.start)..self.begin(keys.end)]
    }

    /// Where each group begins among some rows that are put together by their groups.
    pub fn begins(groups: &[u8]) -> [u32; 1 << 8] {
        let mut begins = [0; 1 << 8];
        groups.iter().for_each(|&group| begins[usize::from(group)] += 1);
        let mut total = 0;
        for count in &mut begins {
            total += std::mem::replace(count, total);
        }
        begins
    }
}
