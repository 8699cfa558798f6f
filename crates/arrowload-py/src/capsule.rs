//! Arrow arrays across the Python boundary by the Arrow `PyCapsule` interface, without copying.
//!
//! `pyo3-arrow` does this and much more; it follows arrow-rs a major version behind and brings numpy and a time zone
//! database along, so the few conversions that the kernels and streams need are here.

use std::ffi::CStr;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, make_array};
use arrow_schema::{ArrowError, DataType, Schema};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::unreadable;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

/// An Arrow array on its way out: `pyarrow.array` and other readers of `__arrow_c_array__` take it without copying.
#[pyclass(frozen, module = "arrowload._rust")]
pub(crate) struct ArrowArray(ArrayRef);

impl ArrowArray {
    pub(crate) fn new(array: ArrayRef) -> Self {
        Self(array)
    }
}

#[pymethods]
impl ArrowArray {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        let _ = requested_schema; // the interface lets a producer keep its own type
        let (array, schema) = to_ffi(&self.0.to_data()).map_err(unreadable)?;
        Ok((PyCapsule::new_with_value(py, schema, SCHEMA)?, PyCapsule::new_with_value(py, array, ARRAY)?))
    }
}

/// An array from any object with `__arrow_c_array__`.
pub(crate) fn import_array(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let (schema, array): Capsules<'_> = object.call_method0("__arrow_c_array__")?.extract()?;
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: a capsule of this name holds a valid ArrowArray; `from_raw` takes it over and marks it released there.
    let array = unsafe { FFI_ArrowArray::from_raw(array.as_ptr()) };
    // SAFETY: a capsule of this name holds a valid ArrowSchema, which lives as long as the capsule.
    let schema = unsafe { schema.as_ref() };
    // SAFETY: both come from one call of `__arrow_c_array__`, whose contract is that they belong together.
    let data = unsafe { from_ffi(array, schema) };
    Ok(make_array(data.map_err(unreadable)?))
}

/// A record batch from any object with `__arrow_c_array__` that hands over a struct array without nulls.
pub(crate) fn import_batch(object: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    let array = import_array(object)?;
    if !matches!(array.data_type(), DataType::Struct(_)) || array.null_count() > 0 {
        return Err(PyTypeError::new_err("a record batch, or a struct array without nulls, is expected"));
    }
    Ok(array.as_struct().into())
}

/// A schema from any object with `__arrow_c_schema__`.
pub(crate) fn import_schema(object: &Bound<'_, PyAny>) -> PyResult<Schema> {
    from_c_schema(object)
}

/// A data type from any object with `__arrow_c_schema__`.
pub(crate) fn import_type(object: &Bound<'_, PyAny>) -> PyResult<DataType> {
    from_c_schema(object)
}

fn from_c_schema<T: for<'a> TryFrom<&'a FFI_ArrowSchema, Error = ArrowError>>(
    object: &Bound<'_, PyAny>,
) -> PyResult<T> {
    let capsule: Bound<'_, PyCapsule> = object.call_method0("__arrow_c_schema__")?.extract()?;
    let schema = capsule.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    // SAFETY: a capsule of this name holds a valid ArrowSchema, which lives as long as the capsule.
    T::try_from(unsafe { schema.as_ref() }).map_err(unreadable)
}

/// The batches of any object with `__arrow_c_stream__`; pulling needs no GIL, unless the object's own code takes it.
pub(crate) fn import_stream(object: &Bound<'_, PyAny>) -> PyResult<impl RecordBatchReader + Send + use<>> {
    let capsule: Bound<'_, PyCapsule> = object.call_method0("__arrow_c_stream__")?.extract()?;
    let stream = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds a valid ArrowArrayStream; `from_raw` takes it over and marks it released.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    RecordBatchStreamReader::try_new(stream).map_err(unreadable)
}

/// The capsule of a schema.
pub(crate) fn export_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowSchema::try_from(schema).map_err(unreadable)?, SCHEMA)
}

/// The capsule of a stream that is produced without the GIL.
pub(crate) fn export_stream(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}
