//! Tables between Python and the engine: Arrow's PyCapsule protocol, and a history that tables are folded into.

use arrow_array::{
    ArrayRef, RecordBatch,
    ffi::{FFI_ArrowArray, FFI_ArrowSchema},
    ffi_stream::FFI_ArrowArrayStream,
};
use fraudgate_core::{history::Bounds, key::HashKey, plan::Plan, transaction::EventTime};
use fraudgate_server::table::{self, Precision};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyBytes, PyCapsule},
};

use crate::value_error;

/// A history of its own that tables are folded into.
#[pyclass]
pub(crate) struct Folder(table::Folder);

#[pymethods]
impl Folder {
    #[new]
    #[pyo3(signature = (plan, hash_key, complete_since_us, *, history_bytes=None, rows_a_key=None, tiles_a_key=None))]
    fn new(
        plan: &[u8],
        hash_key: [u8; 32],
        complete_since_us: i64,
        history_bytes: Option<u64>,
        rows_a_key: Option<usize>,
        tiles_a_key: Option<usize>,
    ) -> PyResult<Folder> {
        let bounds = Bounds {
            bytes: history_bytes.unwrap_or(Bounds::NONE.bytes),
            rows_a_key: rows_a_key.unwrap_or(Bounds::NONE.rows_a_key),
            tiles_a_key: tiles_a_key.unwrap_or(Bounds::NONE.tiles_a_key),
        };
        let plan = Plan::parse(plan).map_err(value_error)?;
        let key = HashKey {
            version: 1,
            secret: hash_key,
        };
        Ok(Folder(table::Folder::new(
            plan,
            &key,
            EventTime(complete_since_us),
            bounds,
        )))
    }

    #[pyo3(signature = (transactions, labels=None, *, precision="float32"))]
    fn fold(
        &mut self,
        py: Python<'_>,
        transactions: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
        precision: &str,
    ) -> PyResult<Rows> {
        let precision = precision_of(precision)?;
        let transactions = batches(transactions)?;
        let labels = labels.map(batches).transpose()?.unwrap_or_default();
        let folder = &mut self.0;
        py.detach(|| folder.fold(&transactions, &labels, precision))
            .map(Rows)
            .map_err(value_error)
    }

    #[pyo3(signature = (transactions, labels=None))]
    fn fold_and_say<'py>(
        &mut self,
        py: Python<'py>,
        transactions: &Bound<'py, PyAny>,
        labels: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Rows, Bound<'py, PyBytes>)> {
        let transactions = batches(transactions)?;
        let labels = labels.map(batches).transpose()?.unwrap_or_default();
        let folder = &mut self.0;
        let folded = py.detach(|| folder.fold_and_say(&transactions, &labels));
        let (rows, said) = folded.map_err(value_error)?;
        Ok((Rows(rows), PyBytes::new(py, &said)))
    }

    fn costs(&self) -> Vec<(i64, i64, i64, i64, i64, i64)> {
        let all = self.0.costs();
        all.map(|costs| {
            (
                costs.key,
                costs.row,
                costs.blank,
                costs.fraud,
                costs.tile,
                costs.fraud_tile,
            )
        })
        .collect()
    }
}

#[pyfunction]
#[pyo3(signature = (plan, hash_key, transactions, labels=None, *, complete_since_us, precision="float32"))]
pub(crate) fn fold(
    py: Python<'_>,
    plan: &[u8],
    hash_key: [u8; 32],
    transactions: &Bound<'_, PyAny>,
    labels: Option<&Bound<'_, PyAny>>,
    complete_since_us: i64,
    precision: &str,
) -> PyResult<Rows> {
    let plan = Plan::parse(plan).map_err(value_error)?;
    let precision = precision_of(precision)?;
    let transactions = batches(transactions)?;
    let labels = labels.map(batches).transpose()?.unwrap_or_default();
    let key = HashKey {
        version: 1,
        secret: hash_key,
    };
    let since = EventTime(complete_since_us);
    py.detach(|| table::whole(&plan, &key, &transactions, &labels, since, precision))
        .map(Rows)
        .map_err(value_error)
}

/// Rows of features, for whoever reads Arrow arrays.
#[pyclass(frozen)]
pub(crate) struct Rows(pub ArrayRef);

#[pymethods]
impl Rows {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // The protocol lets a producer answer in its own type, whatever was wished for.
        let _ = requested_schema;
        let (array, schema) = table::to_array(&self.0).map_err(value_error)?;
        Ok((
            PyCapsule::new_with_value(py, schema, c"arrow_schema")?,
            PyCapsule::new_with_value(py, array, c"arrow_array")?,
        ))
    }
}

/// The type of values that Python asks for.
pub(crate) fn precision_of(name: &str) -> PyResult<Precision> {
    match name {
        "float32" => Ok(Precision::Float32),
        "float64" => Ok(Precision::Float64),
        _ => Err(PyValueError::new_err("precision must be \"float32\" or \"float64\"")),
    }
}

/// The record batches of an object that speaks Arrow's PyCapsule protocol.
pub(crate) fn batches(source: &Bound<'_, PyAny>) -> PyResult<Vec<RecordBatch>> {
    // A record batch speaks both; as a stream one without rows would be none.
    if source.hasattr("__arrow_c_array__")? {
        let (schema, array) = source
            .call_method0("__arrow_c_array__")?
            .extract::<(Bound<'_, PyCapsule>, Bound<'_, PyCapsule>)>()?;
        let schema = schema.pointer_checked(Some(c"arrow_schema"))?.cast();
        let array = array.pointer_checked(Some(c"arrow_array"))?.cast();
        // SAFETY: capsules of these names hold a matching pair of the C data interface; moving out of them marks them
        // released.
        return unsafe {
            let schema = FFI_ArrowSchema::from_raw(schema.as_ptr());
            table::from_array(FFI_ArrowArray::from_raw(array.as_ptr()), &schema)
        }
        .map_err(value_error);
    }
    if source.hasattr("__arrow_c_stream__")? {
        let capsule = source.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast();
        // SAFETY: a capsule of this name holds a stream of the C stream interface; moving out of it marks it released.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
        return table::from_stream(stream).map_err(value_error);
    }
    Err(PyTypeError::new_err(
        "a table must have __arrow_c_stream__ or __arrow_c_array__, as those of pyarrow and polars do",
    ))
}
