//! Models by the digest under which the journal names them, loaded once each by the code that serves.

use std::{collections::HashMap, path::PathBuf};

use fraudgate_core::{
    model::{Model, hex},
    plan::Plan,
};

use super::super::{JournalError, failed};
use crate::model::{self, ModelFiles};

/// Where models are found.
pub trait Models {
    /// The model whose manifest has this SHA-256, for a plan; `None` when there is none to be found.
    fn find(&mut self, digest: &[u8], plan: &Plan) -> Result<Option<Model>, JournalError>;
}

/// A model's files, read.
#[derive(Debug)]
pub struct Files {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The student that answers in full.
    pub onnx: Vec<u8>,
    /// The tiny one, where there is one.
    pub reduced: Option<Vec<u8>>,
}

/// Models that someone finds the files of, by digest in hex; ONNX Runtime, whose library is at `runtime`, runs them.
pub struct OfFiles<F> {
    /// The library.
    pub runtime: PathBuf,
    /// Who finds them; says why a file cannot be read.
    pub find: F,
}

impl<F: FnMut(&str) -> Result<Option<Files>, String>> Models for OfFiles<F> {
    fn find(&mut self, digest: &[u8], plan: &Plan) -> Result<Option<Model>, JournalError> {
        let name = hex(digest);
        let what = format!("model {name}");
        let Some(files) = (self.find)(&name).map_err(|e| failed(&what)(&e))? else {
            return Ok(None);
        };
        let files = ModelFiles {
            manifest: &files.manifest,
            onnx: &files.onnx,
            reduced: files.reduced.as_deref(),
        };
        let loaded = model::load(&self.runtime, plan, files).map_err(|e| failed(&what)(&e))?;
        if loaded.digest[..] != *digest {
            return Err(failed(&what)(&format_args!(
                "what was found is {}",
                hex(&loaded.digest)
            )));
        }
        Ok(Some(loaded))
    }
}

/// Those that were asked for.
pub(super) struct Shelf<'m> {
    models: &'m mut dyn Models,
    loaded: HashMap<Vec<u8>, Option<Model>>,
}

impl<'m> Shelf<'m> {
    pub fn new(models: &'m mut dyn Models) -> Shelf<'m> {
        Shelf {
            models,
            loaded: HashMap::new(),
        }
    }

    /// The model of a digest, if it can be found.
    pub fn get(&mut self, digest: &[u8], plan: &Plan) -> Result<Option<&mut Model>, JournalError> {
        if !self.loaded.contains_key(digest) {
            let found = self.models.find(digest, plan)?;
            self.loaded.insert(digest.to_vec(), found);
        }
        Ok(self.loaded.get_mut(digest).and_then(Option::as_mut))
    }
}
