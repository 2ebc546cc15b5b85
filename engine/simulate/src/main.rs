//! Plays seeds: `fraudgate-simulate --seeds N --first M [--break NAME] [--verbose]`. Prints progress, and of a seed that fails
//! what was wrong and how to play it again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use fraudgate_simulate::{played::Played, run::play};

struct Orders {
    seeds: u64,
    first: u64,
    verbose: bool,
    broken: Option<String>,
}

fn orders() -> Result<Orders, String> {
    let mut orders = Orders {
        seeds: 1,
        first: 1,
        verbose: false,
        broken: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => orders.seeds = value()?.parse().map_err(|e| format!("--seeds: {e}"))?,
            "--first" => orders.first = value()?.parse().map_err(|e| format!("--first: {e}"))?,
            "--verbose" => orders.verbose = true,
            "--break" => orders.broken = Some(value()?),
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(orders)
}

#[cfg(feature = "broken")]
fn break_core(name: &str) -> Result<(), String> {
    use fraudgate_core::broken::{Broken, choose};
    let found = Broken::ALL.iter().find(|(known, _)| *known == name);
    let names: Vec<&str> = Broken::ALL.iter().map(|(name, _)| *name).collect();
    let (_, broken) = found.ok_or_else(|| format!("--break: one of {}", names.join(", ")))?;
    choose(*broken);
    Ok(())
}

#[cfg(not(feature = "broken"))]
fn break_core(_: &str) -> Result<(), String> {
    Err("--break: this was built without the feature `broken`".to_owned())
}

/// Plays a seed; a panic is a failure too.
fn caught(seed: u64, aloud: bool) -> Result<Played, String> {
    catch_unwind(AssertUnwindSafe(|| play(seed, aloud))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", message.unwrap_or("no message")))
    })
}

fn main() -> ExitCode {
    let orders = match orders().and_then(|orders| {
        orders.broken.as_deref().map_or(Ok(()), break_core)?;
        Ok(orders)
    }) {
        Ok(orders) => orders,
        Err(error) => {
            eprintln!("fraudgate-simulate: {error}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let end = orders.first.saturating_add(orders.seeds);
    let next = AtomicU64::new(orders.first);
    let (failed, all) = (Mutex::new(None), Mutex::new(Played::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            match caught(seed, orders.verbose) {
                Ok(played) => {
                    if orders.verbose {
                        println!("seed {seed}: trace {:016x}", played.trace);
                    }
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    all.add(&played);
                    let done = all.seeds;
                    if done.is_multiple_of(1_000) {
                        eprintln!(
                            "{done} of {} seeds, {:.0} s",
                            orders.seeds,
                            began.elapsed().as_secs_f64()
                        );
                    }
                }
                Err(error) => {
                    // The lowest seed that fails, whichever thread was first.
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    if failed.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                        *failed = Some((seed, error));
                    }
                    next.store(end, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let threads = if orders.verbose { 1 } else { threads };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let played = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64();
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((seed, error)) => {
            let broken = orders.broken.map_or(String::new(), |name| format!(" BREAK={name}"));
            println!("seed {seed} failed after {} others: {error}", played.seeds);
            println!("again, aloud: make simulate SEEDS=1 FIRST={seed} VERBOSE=1{broken}");
            ExitCode::FAILURE
        }
        None => {
            println!("{} seeds in {seconds:.1} s: {played}", played.seeds);
            ExitCode::SUCCESS
        }
    }
}
