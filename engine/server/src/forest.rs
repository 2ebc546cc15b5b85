//! A student's forest, from its ONNX bytes to what serves it.
//!
//! ONNX Runtime loads it, and is the reference. A graph that is one forest of summed leaves is walked by the engine itself,
//! in a fraction of the time; that both give the same bits is tried each time it is loaded, and a difference is an error.
//! Every other graph is served by ONNX Runtime.

mod agree;
mod graph;
mod lone;
mod onnx;
mod proto;
#[cfg(test)]
mod tests;
mod walk;
mod wide;

use std::path::Path;

use fraudgate_core::model::{Forest, ForestFailure, Manifest, ModelError, Size};

use graph::Ensemble;
pub use graph::Unwalkable;
pub use onnx::OnnxForest;
use walk::Walker;

/// Loads the student of a size, whose bytes the manifest names, by the ONNX Runtime library at `runtime`.
pub fn load(runtime: &Path, manifest: &Manifest, size: Size, onnx: &[u8]) -> Result<Box<dyn Forest>, ModelError> {
    let mut reference = OnnxForest::load(runtime, manifest, size, onnx)?;
    match walked(manifest, onnx) {
        Ok((ensemble, mut walker)) => {
            agree::agree(&ensemble, manifest.features.len(), &mut reference, &mut walker)?;
            Ok(Box::new(walker))
        }
        Err(Unwalkable(why)) => Ok(Box::new(reference.because(why))),
    }
}

fn walked(manifest: &Manifest, onnx: &[u8]) -> Result<(Ensemble, Walker), Unwalkable> {
    let features = manifest.features.len();
    let ensemble = Ensemble::read(onnx, &manifest.input, &manifest.output, features)?;
    let walker = Walker::new(&ensemble, features)?;
    Ok((ensemble, walker))
}

/// That `rows` holds `n` rows of so many features.
fn check_rows(rows: &[f32], n: usize, features: usize) -> Result<(), ForestFailure> {
    match rows.len() == n * features {
        true => Ok(()),
        false => Err(ForestFailure(format!(
            "{} values are not {n} rows of {features}",
            rows.len()
        ))),
    }
}
