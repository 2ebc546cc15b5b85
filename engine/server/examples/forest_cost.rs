//! What a student costs a row, run by ONNX Runtime and walked: `cargo run --release -p fraudgate-server --example forest_cost
//! LIBRARY FOLDER [SLICES]`. The folder holds `manifest.json`, `model.onnx` and `rows.f32`, float32 one row after the other.
//! Prints JSON, a line for each number of rows in a run: nanoseconds a row of this thread's time on its core, the median of
//! `SLICES` slices (200) of 1,024 rows, which both are given in turn; what loading it took, and of that the comparison of the
//! two. Both must give the same bits.

use std::{path::PathBuf, time::Instant};

use fraudgate_core::model::{Forest, Manifest, Size};
use fraudgate_server::forest::{self, OnnxForest};
use rustix::time::{ClockId, clock_gettime};

/// As the engine of the wheel has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a slice.
const SLICE: usize = 1_024;
/// Rows of a run: of a lone call, and of drains.
const RUNS: [usize; 4] = [1, 8, 64, 128];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut told = std::env::args().skip(1);
    let library = PathBuf::from(told.next().ok_or("LIBRARY is missing")?);
    let folder = PathBuf::from(told.next().ok_or("FOLDER is missing")?);
    let slices: usize = told.next().map_or(Ok(200), |slices| slices.parse())?;
    let manifest = Manifest::parse(&std::fs::read(folder.join("manifest.json"))?)?;
    let onnx = std::fs::read(folder.join("model.onnx"))?;
    let bytes = std::fs::read(folder.join("rows.f32"))?;
    let (values, _) = bytes.as_chunks::<4>();
    let rows: Vec<f32> = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
    let width = SLICE * manifest.features.len();
    if rows.len() < width {
        return Err("rows.f32 holds fewer rows than a slice".into());
    }

    // The library itself is loaded before.
    let mut reference = OnnxForest::load(&library, &manifest, Size::Full, &onnx)?;
    let began = Instant::now();
    drop(OnnxForest::load(&library, &manifest, Size::Full, &onnx)?);
    let runtime_alone = began.elapsed();
    let began = Instant::now();
    let mut served = forest::load(&library, &manifest, Size::Full, &onnx)?;
    let load = began.elapsed();
    println!(
        r#"{{"runner":"{}","load_ms":{:.1},"compared_ms":{:.1}}}"#,
        served.runner(),
        load.as_secs_f64() * 1e3,
        load.saturating_sub(runtime_alone).as_secs_f64() * 1e3
    );

    for run in RUNS {
        let (mut by_runtime, mut by_walk) = (Vec::new(), Vec::new());
        for slice in rows.chunks_exact(width).cycle().take(slices) {
            let (ns, expected) = score(&mut reference, slice, run)?;
            by_runtime.push(ns);
            let (ns, walked) = score(&mut *served, slice, run)?;
            by_walk.push(ns);
            if walked != expected {
                return Err("the two score a row differently".into());
            }
        }
        println!(
            r#"{{"rows":{run},"onnxruntime_ns":{:.0},"walker_ns":{:.0}}}"#,
            median(&mut by_runtime),
            median(&mut by_walk)
        );
    }
    Ok(())
}

/// Scores a slice in runs of so many rows: nanoseconds a row, and the bits.
fn score(forest: &mut dyn Forest, slice: &[f32], run: usize) -> Result<(f64, Vec<u32>), String> {
    let width = slice.len() / SLICE;
    let mut log_odds = Vec::with_capacity(SLICE);
    let began = cpu_ns();
    for rows in slice.chunks(run * width) {
        forest
            .score(rows, rows.len() / width, &mut log_odds)
            .map_err(|failure| failure.0)?;
    }
    let spent = cpu_ns() - began;
    Ok((spent / SLICE as f64, log_odds.into_iter().map(f32::to_bits).collect()))
}

/// CPU time of this thread, in nanoseconds.
fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
