//! The Parquet encoder as a Python class; it releases the GIL while it works.

use arrow_array::RecordBatch;
use arrowload_core::parquet::{self, Compression};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::capsule::{import_schema, import_stream};
use crate::error::{to_py, unreadable};

/// None once the file is ended.
#[pyclass(module = "arrowload._rust")]
pub(crate) struct ParquetEncoder(Option<parquet::ParquetEncoder>);

#[pymethods]
impl ParquetEncoder {
    fn write_group(&mut self, py: Python<'_>, rows: &Bound<'_, PyAny>, write: &Bound<'_, PyAny>) -> PyResult<()> {
        let encoder = self.0.as_mut().ok_or_else(ended)?;
        let stream = import_stream(rows)?;
        let batches: Vec<RecordBatch> = py.detach(|| stream.collect::<Result<_, _>>()).map_err(unreadable)?;
        let mut group = encoder.start_group(&batches).map_err(|error| to_py(py, &error))?;
        while let Some(column) = py.detach(|| group.next_column()).map_err(|error| to_py(py, &error))? {
            write.call1((PyBytes::new(py, column),))?;
        }
        group.finish();
        Ok(())
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let encoder = self.0.take().ok_or_else(ended)?;
        Ok(PyBytes::new(py, &encoder.finish()))
    }
}

fn ended() -> PyErr {
    PyValueError::new_err("the file is ended")
}

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "a Vec is what a Python sequence becomes")]
#[pyo3(signature = (schema, empty, *, dictionaries, compression))]
pub(crate) fn parquet_encoder(
    py: Python<'_>,
    schema: &Bound<'_, PyAny>,
    empty: Vec<u8>,
    dictionaries: Vec<bool>,
    compression: &str,
) -> PyResult<Option<ParquetEncoder>> {
    let schema = import_schema(schema)?;
    if schema.fields().len() != dictionaries.len() {
        return Err(PyValueError::new_err("as many flags as columns are expected"));
    }
    let compression = match compression {
        "none" => Compression::Uncompressed,
        "zstd" => Compression::Zstd,
        _ => return Ok(None),
    };
    let encoder = parquet::ParquetEncoder::try_new(&schema, empty, &dictionaries, compression);
    encoder.map(|encoder| encoder.map(|encoder| ParquetEncoder(Some(encoder)))).map_err(|error| to_py(py, &error))
}
