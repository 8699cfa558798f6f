//! Postgres COPY in binary, as Python functions over whole streams; each releases the GIL while it works.

use std::sync::Arc;

use arrow_array::StructArray;
use arrow_schema::Schema;
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder, Encoder, WireType};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::capsule::{ArrowArray, import_batch, import_schema};
use crate::error::to_py;
use crate::kernels::special;

#[pyfunction]
#[pyo3(signature = (data, columns, schema, *, special, infinity))]
pub(crate) fn pg_copy_decode(
    py: Python<'_>,
    data: PyBackedBytes,
    columns: Vec<(String, u32)>,
    schema: &Bound<'_, PyAny>,
    special: &str,
    infinity: &str,
) -> PyResult<ArrowArray> {
    let options = DecodeOptions { special: self::special(special)?, infinity: self::special(infinity)? };
    let columns = copy_columns(columns, &import_schema(schema)?)?;
    let decoded = py.detach(move || {
        let mut decoder = Decoder::try_new(columns, options)?;
        decoder.push(&data)?;
        decoder.finish()?;
        decoder.take()
    });
    decoded.map(|batch| ArrowArray::new(Arc::new(StructArray::from(batch)))).map_err(|error| to_py(py, &error))
}

#[pyfunction]
pub(crate) fn pg_copy_encode<'py>(
    py: Python<'py>,
    batch: &Bound<'py, PyAny>,
    columns: Vec<(String, u32)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let batch = import_batch(batch)?;
    let columns = copy_columns(columns, &batch.schema())?;
    let encoded = py.detach(|| {
        let encoder = Encoder::try_new(columns)?;
        let mut out = Vec::new();
        Encoder::header(&mut out);
        encoder.encode(&batch, 0..batch.num_rows(), &mut out)?;
        Encoder::trailer(&mut out);
        Ok(out)
    });
    encoded.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| to_py(py, &error))
}

/// The columns of `schema`, and for each how its values lie on the wire and the oid of the elements of its arrays.
pub(crate) fn copy_columns(wires: Vec<(String, u32)>, schema: &Schema) -> PyResult<Vec<CopyColumn>> {
    if wires.len() != schema.fields().len() {
        let message = format!("{} columns are given and the schema has {}", wires.len(), schema.fields().len());
        return Err(PyValueError::new_err(message));
    }
    let column = |((name, element_oid), field): ((String, u32), &Arc<arrow_schema::Field>)| {
        let wire = WireType::from_name(&name, element_oid)
            .ok_or_else(|| PyValueError::new_err(format!("`{name}` is no type of the wire")))?;
        Ok(CopyColumn { name: field.name().clone(), wire, field: field.clone() })
    };
    wires.into_iter().zip(schema.fields()).map(column).collect()
}
