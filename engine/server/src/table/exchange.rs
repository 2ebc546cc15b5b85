//! The Arrow C data interface: tables come and go without a copy.

use arrow_array::{
    Array, ArrayRef, RecordBatch, StructArray,
    ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi},
    ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader},
};

use super::TableError;

/// The batches of a stream.
pub fn from_stream(stream: FFI_ArrowArrayStream) -> Result<Vec<RecordBatch>, TableError> {
    let reader = RecordBatchStreamReader::try_new(stream).map_err(refused)?;
    reader.collect::<Result<_, _>>().map_err(refused)
}

/// The one batch of a struct array.
///
/// # Safety
/// `array` and `schema` must be a matching pair as the C data interface demands.
pub unsafe fn from_array(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> Result<Vec<RecordBatch>, TableError> {
    // SAFETY: the caller's.
    let data = unsafe { from_ffi(array, schema) }.map_err(refused)?;
    if !matches!(data.data_type(), arrow_schema::DataType::Struct(_)) {
        return Err(TableError(format!(
            "is an array of {}; must be a table or a record batch",
            data.data_type()
        )));
    }
    Ok(vec![RecordBatch::from(StructArray::from(data))])
}

/// An array for whoever asks for it.
pub fn to_array(array: &ArrayRef) -> Result<(FFI_ArrowArray, FFI_ArrowSchema), TableError> {
    to_ffi(&array.to_data()).map_err(refused)
}

fn refused(error: arrow_schema::ArrowError) -> TableError {
    TableError(error.to_string())
}
