//! The forest that ONNX Runtime runs: one thread, no spinning, and buffers that are made once for each size of a run.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use fraudgate_core::model::{Forest, ForestFailure, Manifest, ModelError, Runner, Size};
use ort::{
    environment::Environment,
    memory::Allocator,
    session::{
        HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue, builder::GraphOptimizationLevel,
    },
    value::{Outlet, Shape, Tensor, TensorElementType, ValueType},
};

use super::check_rows;

/// The most rows of one run; more are run in pieces. A row's score does not depend on the rows beside it.
pub const ROWS: usize = 128;

/// The one environment of this process, and the library that it came from. ONNX Runtime knows no second one.
static ENVIRONMENT: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// A forest in ONNX Runtime.
pub struct OnnxForest {
    session: Session,
    output: String,
    features: usize,
    /// The output's shape after its rows: [] or [1].
    output_tail: Vec<usize>,
    /// By number of rows less one.
    runs: Vec<Option<Run>>,
    /// Why it is served by this and not walked.
    unwalkable: String,
}

/// The buffers of one size of run.
struct Run {
    input: Tensor<f32>,
    options: RunOptions<HasSelectedOutputs>,
}

impl OnnxForest {
    /// Loads the student of a size, whose bytes the manifest names, into the library at `runtime`.
    pub fn load(runtime: &Path, manifest: &Manifest, size: Size, onnx: &[u8]) -> Result<OnnxForest, ModelError> {
        manifest.check_onnx(size, onnx)?;
        let session = session(runtime, onnx).map_err(|error| ModelError(format!("ONNX Runtime: {error}")))?;
        let features = manifest.features.len();
        if features == 0 {
            return Err(ModelError("its manifest names no features".to_owned()));
        }
        let input = shape("input", session.inputs(), &manifest.input)?;
        if input.len() != 2 || input[0] >= 0 || usize::try_from(input[1]) != Ok(features) {
            return Err(ModelError(format!(
                "its input must be float32 [n, {features}] with n free, not {input:?}"
            )));
        }
        if session.inputs().len() != 1 {
            return Err(ModelError(format!(
                "it takes {} inputs instead of one",
                session.inputs().len()
            )));
        }
        let output = shape("output", session.outputs(), &manifest.output)?;
        let output_tail = match &output[..] {
            [rows] if *rows < 0 => vec![],
            [rows, 1] if *rows < 0 => vec![1],
            _ => {
                return Err(ModelError(format!(
                    "its output must be float32 [n, 1] with n free, not {output:?}"
                )));
            }
        };
        let runs = (0..ROWS).map(|_| None).collect();
        let mut forest = OnnxForest {
            session,
            output: manifest.output.clone(),
            features,
            output_tail,
            runs,
            unwalkable: String::new(),
        };
        // The first run of a session allocates what later ones reuse: not at the first caller's expense.
        let mut log_odds = Vec::new();
        forest
            .score(&vec![0.0; features], 1, &mut log_odds)
            .map_err(|failure| ModelError(format!("it does not run: {}", failure.0)))?;
        Ok(forest)
    }

    /// The same, with the reason why it serves.
    pub fn because(self, unwalkable: String) -> OnnxForest {
        OnnxForest { unwalkable, ..self }
    }

    fn run(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> ort::Result<()> {
        if self.runs[n - 1].is_none() {
            self.runs[n - 1] = Some(self.prepare(n)?);
        }
        let Some(run) = &mut self.runs[n - 1] else {
            return Ok(());
        };
        run.input.extract_tensor_mut().1.copy_from_slice(rows);
        let input: [SessionInputValue<'_>; 1] = [(&run.input).into()];
        let outputs = self.session.run_with_options(input, &run.options)?;
        log_odds.extend_from_slice(outputs[self.output.as_str()].try_extract_tensor::<f32>()?.1);
        Ok(())
    }

    fn prepare(&self, n: usize) -> ort::Result<Run> {
        let allocator = Allocator::default();
        let mut output = vec![n];
        output.extend_from_slice(&self.output_tail);
        let output = Tensor::<f32>::new(&allocator, Shape::new(output.iter().map(|&size| size as i64)))?;
        // Only this output: what the graph makes besides is not computed.
        let outputs = OutputSelector::no_default()
            .with(self.output.clone())
            .preallocate(self.output.clone(), output);
        let input = Tensor::<f32>::new(&allocator, [n, self.features])?;
        Ok(Run {
            input,
            options: RunOptions::new()?.with_outputs(outputs),
        })
    }
}

impl Forest for OnnxForest {
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        check_rows(rows, n, self.features)?;
        for piece in rows.chunks(ROWS * self.features) {
            self.run(piece, piece.len() / self.features, log_odds)
                .map_err(|error| ForestFailure(error.to_string()))?;
        }
        Ok(())
    }

    fn runner(&self) -> Runner {
        Runner::OnnxRuntime(self.unwalkable.clone())
    }
}

fn session(runtime: &Path, onnx: &[u8]) -> ort::Result<Session> {
    Session::builder(&environment(runtime)?)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        // Input and output are made once: there is nothing to plan, and planning is a twentieth of a lone run.
        .with_memory_pattern(false)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .commit_from_memory(onnx)
}

fn environment(runtime: &Path) -> ort::Result<Environment> {
    let mut known = ENVIRONMENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((path, environment)) = &*known {
        return match path == runtime {
            true => Ok(environment.clone()),
            false => Err(ort::Error::new(format!(
                "this process has loaded {} already",
                path.display()
            ))),
        };
    }
    if std::env::var_os(NO_TELEMETRY).is_none_or(|value| value != "1") {
        // The library reads it when it is loaded, and otherwise sends telemetry and writes an id under the home folder.
        return Err(ort::Error::new(format!(
            "set {NO_TELEMETRY}=1 in the environment before the process starts"
        )));
    }
    let library = ort::init_from(runtime).map_err(|error| ort::Error::new(error.to_string()))?;
    let environment = library.with_name("fraudgate").with_telemetry(false).build()?;
    *known = Some((runtime.to_owned(), environment.clone()));
    Ok(environment)
}

const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// The shape of the float32 tensor of a name; -1 is a free size.
fn shape(what: &str, outlets: &[Outlet], name: &str) -> Result<Vec<i64>, ModelError> {
    let Some(outlet) = outlets.iter().find(|outlet| outlet.name() == name) else {
        return Err(ModelError(format!("it has no {what} `{name}`")));
    };
    match outlet.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } => Ok(shape.to_vec()),
        other => Err(ModelError(format!("its {what} `{name}` is {other}, not float32"))),
    }
}
