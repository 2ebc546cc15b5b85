//! What a snapshot costs and saves: `cargo run --release --example snapshot_cost FOLDER [INPUTS] [ARRIVALS A SECOND]
//! [SECONDS]`; with `again` behind the rate, takes the state in once more that an earlier run left, and does nothing else.
//!
//! Journals that many purchases in a fresh folder, then answers purchases that arrive at a rate, whether or not they are
//! answered in time, one to a drain, with and without a snapshot under way, by turns: by the clock, and by how long the
//! engine's thread was on a core, which leaves out what a machine of two cores does there besides. Then takes the state in
//! again from the snapshot, and from the journal alone. Prints JSON: p50, p99.9 and the most of the time from arrival to
//! answer in microseconds, by both; likewise how long a slice of a snapshot takes, and the cut with which it begins; the
//! snapshot's bytes; seconds of a core of both ways to start, and by the clock from the snapshot. Quantiles are medians over rounds.

mod handbook;

/// The allocator of the module that Python loads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc::sync_channel},
    time::{Duration, Instant},
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
    snapshot::{
        Status,
        scribe::{self, Scribe, Scribing},
        take::{PIECES, Taking, Turn},
    },
};
use handbook::{SECRET, START_US, engine, on_core, purchase};

type Failed = Box<dyn std::error::Error>;

/// Rounds of arrivals without a snapshot, and as many with one.
const ROUNDS: usize = 7;

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        promise: Promise::Written,
        segment_bytes: 1 << 26,
        buffer_bytes: 1 << 28,
        sync_ms: 20,
        retain_bytes: None,
        retain_s: None,
        spool_inputs: None,
        snapshot_bytes: None,
        snapshot_inputs: None,
        snapshots: 1,
    }
}

/// An engine that journals to a folder, and what takes its snapshots.
fn begin(folder: &Path) -> Result<(Scribing, Engine, Taking), Failed> {
    let settings = settings(folder);
    let mut engine = engine()?;
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder)?);
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
    let (epoch, next) = (recovered.epoch, recovered.next_segment);
    let keeper = Keeper::begin(disk.clone(), keyring, &settings, epoch, next, Box::new(|| {}))?;
    let desk = keeper.desk().clone();
    let attended = attend(keeper)?;
    let (next, programs) = (engine.sequence() + 1, engine.programs());
    let writer = Writer::begin(attended, &settings, &recovered, next, programs, clock())?;
    let journal = (desk.clone(), writer.status(), epoch);
    engine.journal_to(Box::new(writer));
    let (tell, told) = sync_channel(PIECES);
    let (give_back, spare) = sync_channel(PIECES);
    let status = Arc::new(Status::default());
    let keep = Box::new(move |kept| desk.keep(kept));
    let scribing = scribe::attend(Scribe::new(disk, 1, Vec::new(), status.clone(), keep), told, give_back)?;
    // First, so that it is dropped last wherever the run ends.
    Ok((
        scribing,
        engine,
        Taking::new(&settings, journal, status, tell, spare, 0),
    ))
}

fn asked(engine: &Engine, number: i64) -> Result<Asked, Failed> {
    let admitted = engine.admit(&purchase(number));
    let admitted = admitted.map_err(|refusal| refusal.message().into_owned())?;
    Ok(Asked::Transaction(Box::new(admitted)))
}

fn fill(engine: &mut Engine, inputs: i64) -> Result<(), Failed> {
    let (mut drain, mut answers) = (Vec::new(), Vec::new());
    for number in 0..inputs {
        drain.push(asked(engine, number)?);
        if drain.len() == 64 || number + 1 == inputs {
            engine.drain(Clock(START_US), &mut drain, &mut answers);
            answers.clear();
        }
    }
    Ok(())
}

/// What was measured by one clock, in microseconds, of each round apart.
#[derive(Default)]
struct Measured {
    /// From arrival to answer, without a snapshot under way and with one.
    without: Vec<Vec<f64>>,
    with: Vec<Vec<f64>>,
    slices: Vec<Vec<f64>>,
    cuts: Vec<Vec<f64>>,
}

/// Answers purchases from `next` on that arrive at a rate, for a time or until the snapshot is taken, as `now` tells time.
fn arrivals(
    engine: &mut Engine,
    mut snapshot: Option<&mut Taking>,
    next: &mut i64,
    rate: f64,
    time: Duration,
    now: impl Fn() -> Duration,
    measured: &mut Measured,
) -> Result<(), Failed> {
    let us = |time: Duration| time.as_nanos() as f64 / 1e3;
    let (mut waited, mut slices, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut drain, mut answers) = (Vec::new(), Vec::new());
    let (tell, told) = sync_channel(1);
    if let Some(taking) = &mut snapshot {
        taking.ask(Box::new(move |outcome| drop(tell.try_send(outcome))));
    }
    let began = now();
    let mut arrived = 0_u64;
    loop {
        let at = began + Duration::from_secs_f64(arrived as f64 / rate);
        if now() >= at {
            drain.push(asked(engine, *next)?);
            engine.drain(Clock(START_US), &mut drain, &mut answers);
            answers.clear();
            waited.push(us(now() - at));
            (arrived, *next) = (arrived + 1, *next + 1);
        }
        // As a server does: a slice between two turns, whether or not more is due.
        if let Some(taking) = &mut snapshot {
            let turn = now();
            match taking.turn(engine) {
                Turn::Cut => cuts.push(us(now() - turn)),
                Turn::More => slices.push(us(now() - turn)),
                Turn::Wait | Turn::Idle => {}
            }
            if let Ok(outcome) = told.try_recv() {
                outcome?;
                break;
            }
        } else if now() - began > time {
            break;
        }
    }
    match snapshot {
        Some(_) => {
            measured.with.push(waited);
            measured.slices.push(slices);
            measured.cuts.push(cuts);
        }
        None => measured.without.push(waited),
    }
    Ok(())
}

fn share(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Quantiles are medians over rounds, so that what else the machine did in one of them does not decide.
fn told(mut rounds: Vec<Vec<f64>>) -> String {
    rounds.iter_mut().for_each(|round| round.sort_by(f64::total_cmp));
    let quantile = |of: f64| {
        let mut each: Vec<f64> = rounds.iter().map(|round| share(round, of)).collect();
        each.sort_by(f64::total_cmp);
        share(&each, 0.5)
    };
    format!(
        r#"{{"n":{},"p50_us":{:.1},"p999_us":{:.1},"most_us":{:.1}}}"#,
        rounds.iter().map(Vec::len).sum::<usize>(),
        quantile(0.5),
        quantile(0.999),
        rounds.iter().flatten().copied().fold(f64::NAN, f64::max)
    )
}

impl Measured {
    fn told(self) -> String {
        format!(
            r#"{{"without":{},"with":{},"slices":{},"cuts":{}}}"#,
            told(self.without),
            told(self.with),
            told(self.slices),
            told(self.cuts)
        )
    }
}

/// What it takes to have the state again.
struct Again {
    /// Seconds of a core.
    on_core_s: f64,
    /// Seconds by the clock, from nothing to an engine that takes the next input.
    clock_s: f64,
    /// Inputs that were read from the journal.
    inputs: u64,
    digest: [u8; 32],
}

fn again(folder: &Path) -> Result<Again, Failed> {
    let began = Instant::now();
    let mut engine = engine()?;
    let core = on_core();
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(folder)?);
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
    Ok(Again {
        on_core_s: (on_core() - core).as_secs_f64(),
        clock_s: began.elapsed().as_secs_f64(),
        inputs: recovered.inputs,
        digest: engine.digest(),
    })
}

/// Gives snapshots another name, under which nobody looks for them, or takes that back.
fn hide(folder: &Path, from: &str, to: &str) -> Result<(), Failed> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == from) {
            std::fs::rename(&path, path.with_extension(to))?;
        }
    }
    Ok(())
}

/// Takes the state in both ways, and gives the rest of the report.
fn both(folder: &Path, digest: Option<[u8; 32]>) -> Result<String, Failed> {
    let loaded = again(folder)?;
    hide(folder, "snapshot", "hidden")?;
    let replayed = again(folder);
    hide(folder, "hidden", "snapshot")?;
    let replayed = replayed?;
    assert_eq!(loaded.digest, replayed.digest, "from the snapshot it is another state");
    assert_eq!(
        replayed.digest,
        digest.unwrap_or(replayed.digest),
        "replayed it is another state"
    );
    Ok(format!(
        r#""inputs":{},"tail":{},"start_s":{:.3},"from_snapshot_s":{:.3},"replayed_s":{:.3},"ratio":{:.1}"#,
        replayed.inputs,
        loaded.inputs,
        loaded.clock_s,
        loaded.on_core_s,
        replayed.on_core_s,
        replayed.on_core_s / loaded.on_core_s
    ))
}

fn main() -> Result<(), Failed> {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(
        words
            .next()
            .ok_or("usage: snapshot_cost FOLDER [INPUTS] [ARRIVALS A SECOND] [SECONDS]")?,
    );
    let inputs: i64 = words.next().map_or(Ok(1_000_000), |inputs| inputs.parse())?;
    let rate: f64 = words.next().map_or(Ok(20_000.0), |rate| rate.parse())?;
    let time = match words.next() {
        Some(word) if word == "again" => {
            println!("{{{}}}", both(&folder, None)?);
            return Ok(());
        }
        seconds => Duration::from_secs_f64(seconds.map_or(Ok(2.0), |seconds| seconds.parse())?),
    };
    let (scribing, mut engine, mut taking) = begin(&folder)?;
    fill(&mut engine, inputs)?;
    let mut next = inputs;
    let (mut by_clock, mut by_core) = (Measured::default(), Measured::default());
    let began = Instant::now();
    let clocks: [(&dyn Fn() -> Duration, _); 2] = [(&|| began.elapsed(), &mut by_clock), (&on_core, &mut by_core)];
    for (now, measured) in clocks {
        for _ in 0..ROUNDS {
            arrivals(&mut engine, None, &mut next, rate, time, now, measured)?;
            arrivals(&mut engine, Some(&mut taking), &mut next, rate, time, now, measured)?;
        }
    }
    let digest = engine.digest();
    let bytes = taking.status().bytes.load(std::sync::atomic::Ordering::Relaxed);
    drop((engine, taking, scribing));
    println!(
        r#"{{"arrivals_a_second":{rate},"by_the_clock":{},
 "on_the_core":{},
 "snapshot_bytes":{bytes},{}}}"#,
        by_clock.told(),
        by_core.told(),
        both(&folder, Some(digest))?
    );
    Ok(())
}
