//! The kernels as Python functions; each releases the GIL while it computes.

use std::sync::Arc;

use arrowload_core::OnSpecial;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::capsule::{ArrowArray, import_array, import_batch, import_type};
use crate::error::to_py;

#[pyfunction]
pub(crate) fn row_hash(py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<ArrowArray> {
    let batch = import_batch(batch)?;
    let hashes = py.detach(|| arrowload_core::row_hash(&batch));
    hashes.map(|array| ArrowArray::new(Arc::new(array))).map_err(|error| to_py(py, &error))
}

#[pyfunction]
pub(crate) fn content_hash(py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<(u64, u128)> {
    let batch = import_batch(batch)?;
    let hash = py.detach(|| arrowload_core::content_hash(&batch));
    hash.map(|hash| (hash.rows, hash.sum)).map_err(|error| to_py(py, &error))
}

#[pyfunction]
#[pyo3(signature = (array, precision, scale, *, on_special))]
pub(crate) fn numeric_to_decimal(
    py: Python<'_>,
    array: &Bound<'_, PyAny>,
    precision: u8,
    scale: i8,
    on_special: &str,
) -> PyResult<ArrowArray> {
    let on_special = special(on_special)?;
    let array = import_array(array)?;
    let decimals = py.detach(|| arrowload_core::numeric_to_decimal(&array, precision, scale, on_special));
    decimals.map(ArrowArray::new).map_err(|error| to_py(py, &error))
}

#[pyfunction]
#[pyo3(signature = (array, target, *, exact))]
pub(crate) fn parse_texts(
    py: Python<'_>,
    array: &Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
    exact: bool,
) -> PyResult<Option<(ArrowArray, ArrowArray)>> {
    let array = import_array(array)?;
    let target = import_type(target)?;
    let parsed =
        py.detach(|| arrowload_core::parse_texts(&array, &target, exact)).map_err(|error| to_py(py, &error))?;
    Ok(parsed.map(|(values, unsure)| (ArrowArray::new(values), ArrowArray::new(Arc::new(unsure)))))
}

/// What `error` and `null` stand for.
pub(crate) fn special(word: &str) -> PyResult<OnSpecial> {
    match word {
        "error" => Ok(OnSpecial::Error),
        "null" => Ok(OnSpecial::Null),
        other => Err(PyValueError::new_err(format!("`{other}` is neither `error` nor `null`"))),
    }
}
