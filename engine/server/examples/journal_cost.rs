//! What the journal costs, without a wire and a model of note: `cargo run --release --example journal_cost FOLDER [INPUTS]`;
//! with `replay` behind that, takes what an earlier run left in once more and does nothing else. Prints JSON: bytes a
//! record, nanoseconds a transaction with and without a journal by size of drain, the longest append while a sync is under
//! way, and replayed inputs a second of a core, the median of five times.

mod handbook;

/// The allocator of the module that Python loads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use fraudgate_core::{
    road::{Asked, Engine},
    transaction::Clock,
};
use fraudgate_server::journal::{
    Promise, Settings, Writer, attend, clock,
    disk::{Disk, Folder},
    keeper::Keeper,
    keyring::Keyring,
    recover,
};
use handbook::{SECRET, START_US, engine, on_core, purchase};

/// Runs transactions in drains of a size; gives nanoseconds each (median over slices) and the longest drain in microseconds.
fn run(engine: &mut Engine, asked: &mut Vec<Asked>, size: usize) -> (f64, f64) {
    let (mut now, mut answers) = (Vec::new(), Vec::new());
    let (mut each, mut longest) = (Vec::new(), 0_f64);
    let mut rest = asked.drain(..);
    loop {
        let (mut spent, mut taken) = (0_f64, 0);
        while taken < 4_096 {
            now.extend(rest.by_ref().take(size));
            if now.is_empty() {
                break;
            }
            taken += now.len();
            let began = Instant::now();
            engine.drain(Clock(START_US), &mut now, &mut answers);
            let ns = began.elapsed().as_nanos() as f64;
            spent += ns;
            longest = longest.max(ns / 1e3);
            answers.clear();
        }
        if taken == 0 {
            break;
        }
        each.push(spent / taken as f64);
    }
    each.sort_by(f64::total_cmp);
    (each.get(each.len() / 2).copied().unwrap_or(0.0), longest)
}

/// How often a journal is taken in again: the median counts.
const TIMES: usize = 5;

/// Takes a journal of so many inputs in again; gives the digest, and inputs a second of a core.
fn replay(path: &Path, inputs: i64) -> Result<([u8; 32], f64), Box<dyn std::error::Error>> {
    let (mut rates, mut digest) = (Vec::new(), [0; 32]);
    for _ in 0..TIMES {
        let mut again = engine()?;
        let disk: Arc<dyn Disk> = Arc::new(Folder::open(path)?);
        let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
        let began = on_core();
        let recovered = recover(&*disk, &mut keyring, &mut again, &mut |_, _| {})?;
        rates.push(inputs as f64 / (on_core() - began).as_secs_f64());
        assert_eq!(recovered.inputs, inputs as u64);
        digest = again.digest();
    }
    rates.sort_by(f64::total_cmp);
    Ok((digest, rates[TIMES / 2]))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: journal_cost FOLDER")?);
    let inputs: i64 = std::env::args().nth(2).map_or(Ok(300_000), |inputs| inputs.parse())?;
    let mut report = Vec::new();
    if std::env::args().nth(3).is_some_and(|word| word == "replay") {
        for size in [1, 8, 64] {
            let (_, rate) = replay(&folder.join(format!("{size}")), inputs)?;
            report.push(format!(r#"{{"drain":{size},"replayed_a_second":{rate:.0}}}"#));
        }
        println!("[{}]", report.join(",\n "));
        return Ok(());
    }
    for size in [1_usize, 8, 64] {
        for journaled in [false, true] {
            let mut engine = engine()?;
            let path = folder.join(format!("{size}"));
            let mut status = None;
            if journaled {
                let _ = std::fs::remove_dir_all(&path);
                let settings = Settings {
                    folder: path.clone(),
                    promise: Promise::Written,
                    segment_bytes: 1 << 26,
                    buffer_bytes: 1 << 28,
                    sync_ms: 20,
                    retain_bytes: None,
                    retain_s: None,
                    spool_inputs: None,
                    snapshot_bytes: None,
                    snapshot_inputs: None,
                    snapshots: 2,
                };
                let disk: Arc<dyn Disk> = Arc::new(Folder::open(&path)?);
                let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
                let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
                let attended = attend(Keeper::begin(disk, keyring, &settings, 1, 1, Box::new(|| {}))?)?;
                let writer = Writer::begin(attended, &settings, &recovered, 1, engine.programs(), clock())?;
                status = Some(writer.status());
                engine.journal_to(Box::new(writer));
            }
            let mut asked: Vec<Asked> = (0..inputs)
                .map(|number| {
                    engine
                        .admit(&purchase(number))
                        .map(|admitted| Asked::Transaction(Box::new(admitted)))
                })
                .collect::<Result<_, _>>()
                .map_err(|refusal| refusal.message().into_owned())?;
            let (ns, longest_us) = run(&mut engine, &mut asked, size);
            let bytes = status.map(|status| status.bytes.load(std::sync::atomic::Ordering::Relaxed) / inputs as u64);
            report.push(format!(
                r#"{{"drain":{size},"journal":{journaled},"ns_a_transaction":{ns:.0},"longest_drain_us":{longest_us:.0},"bytes_a_record":{}}}"#,
                bytes.map_or("null".to_owned(), |bytes| bytes.to_string())
            ));
            let digest = engine.digest();
            drop(engine);
            if journaled {
                let (again, rate) = replay(&path, inputs)?;
                assert_eq!(again, digest, "what was recovered is another state");
                report.push(format!(r#"{{"drain":{size},"replayed_a_second":{rate:.0}}}"#));
            }
        }
    }
    println!("[{}]", report.join(",\n "));
    Ok(())
}
