//! A model from its files: manifest and students are checked against each other and the plan before ONNX Runtime sees them.

use std::path::Path;

use fraudgate_core::{
    model::{Manifest, Model, ModelError, Size},
    plan::Plan,
};

use crate::forest;

/// A model as its files hold it.
#[derive(Clone, Copy, Debug)]
pub struct ModelFiles<'a> {
    /// The manifest.
    pub manifest: &'a [u8],
    /// The student that answers in full.
    pub onnx: &'a [u8],
    /// The tiny one, where there is one.
    pub reduced: Option<&'a [u8]>,
}

/// Loads a model for a plan by the ONNX Runtime library at `runtime`.
pub fn load(runtime: &Path, plan: &Plan, files: ModelFiles) -> Result<Model, ModelError> {
    let manifest = Manifest::parse(files.manifest)?;
    let features: Vec<String> = plan.features.iter().map(|feature| feature.name.clone()).collect();
    manifest.check_plan(&plan.digest, &features)?;
    let load = |size, onnx| forest::load(runtime, &manifest, size, onnx);
    let full = load(Size::Full, files.onnx)?;
    let reduced = files.reduced.map(|onnx| load(Size::Reduced, onnx)).transpose()?;
    let model = Model::new(manifest, full);
    match reduced {
        Some(reduced) => model.with_reduced(reduced),
        None => Ok(model),
    }
}
