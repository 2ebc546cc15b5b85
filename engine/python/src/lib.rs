//! The engine as the Python module `engine._native`: the only file that names PyO3.

use pyo3::prelude::*;

#[pymodule]
mod _native {}
