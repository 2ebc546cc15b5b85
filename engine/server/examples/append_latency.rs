//! Whether a sync stalls an append, with the segment's space reserved beforehand and without: appends of the size of a drain of
//! 64, while another thread syncs the same file as the keeper does. `cargo run --release --example append_latency FOLDER`
//! prints JSON: microseconds of an append by quantile, of both in turns.

use std::{
    error::Error,
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fraudgate_server::journal::disk::{Disk, Folder, SegmentFile};

/// A drain of 64 transactions.
const BYTES: usize = 11_328;
const APPENDS: usize = 8_000;
const PAUSE: Duration = Duration::from_micros(200);
const SYNC: Duration = Duration::from_millis(20);
const ROUNDS: u64 = 3;

/// Nanoseconds of each append, sorted, and how many syncs there were.
fn measure(file: &Arc<dyn SegmentFile>) -> Result<(Vec<u128>, u64), Box<dyn Error>> {
    let done = Arc::new(AtomicBool::new(false));
    let (synced, over) = (file.clone(), done.clone());
    let keeper = thread::spawn(move || {
        let mut syncs = 0;
        while !over.load(Ordering::Relaxed) {
            synced.sync()?;
            syncs += 1;
            thread::sleep(SYNC);
        }
        Ok::<u64, std::io::Error>(syncs)
    });
    let chunk = vec![7; BYTES];
    let mut took = Vec::with_capacity(APPENDS);
    for place in 0..APPENDS {
        let began = Instant::now();
        file.write_at(&chunk, (place * BYTES) as u64)?;
        took.push(began.elapsed().as_nanos());
        thread::sleep(PAUSE);
    }
    done.store(true, Ordering::Relaxed);
    let syncs = keeper.join().map_err(|_| "the keeper failed")??;
    took.sort_unstable();
    Ok((took, syncs))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: append_latency FOLDER")?);
    let folder = Folder::open(&path)?;
    let mut told = Vec::new();
    for round in 1..=ROUNDS {
        for reserved in [true, false] {
            let grows = path.join("grows");
            let file: Arc<dyn SegmentFile> = match reserved {
                true => folder.create(round, (APPENDS * BYTES) as u64)?,
                false => Arc::new(File::options().create(true).truncate(true).write(true).open(&grows)?),
            };
            let (took, syncs) = measure(&file)?;
            let us = |share: f64| took[((share * APPENDS as f64) as usize).min(APPENDS - 1)] as f64 / 1e3;
            told.push(format!(
                r#"{{"reserved":{reserved},"syncs":{syncs},"p50_us":{:.1},"p99_us":{:.1},"p999_us":{:.1},"longest_us":{:.0}}}"#,
                us(0.5),
                us(0.99),
                us(0.999),
                us(1.0)
            ));
            match reserved {
                true => folder.remove(round)?,
                false => std::fs::remove_file(grows)?,
            }
        }
    }
    println!("[{}]", told.join(",\n "));
    Ok(())
}
