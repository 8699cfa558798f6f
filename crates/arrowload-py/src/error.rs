//! What a kernel refused, as one of arrowload's own exceptions.

use std::fmt::Display;

use arrowload_core::KernelError;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pyo3::import_exception!(arrowload.core.exceptions, DataError);

/// `DataError` for what the data holds, `TypeError` or `ValueError` for a caller's mistake.
pub(crate) fn to_py(py: Python<'_>, error: &KernelError) -> PyErr {
    match error {
        KernelError::NotText { .. } => PyTypeError::new_err(error.to_string()),
        KernelError::InvalidDecimalType { .. } => PyValueError::new_err(error.to_string()),
        _ => data_error(py, error).unwrap_or_else(|failure| failure),
    }
}

/// `DataError` for Arrow data that arrow-rs cannot take or give.
pub(crate) fn unreadable(error: impl Display) -> PyErr {
    DataError::new_err(format!("an Arrow array cannot be exchanged: {error}"))
}

fn data_error(py: Python<'_>, error: &KernelError) -> PyResult<PyErr> {
    let keywords = PyDict::new(py);
    keywords.set_item("context", context(py, error)?)?;
    keywords.set_item("hint", hint(error))?;
    let class = py.get_type::<DataError>();
    Ok(PyErr::from_value(class.call((error.to_string(),), Some(&keywords))?))
}

fn context<'py>(py: Python<'py>, error: &KernelError) -> PyResult<Bound<'py, PyDict>> {
    let context = PyDict::new(py);
    match error {
        KernelError::UnsupportedColumn { column, data_type } => {
            context.set_item("column", column)?;
            context.set_item("type", data_type.to_string())?;
        }
        KernelError::NotANumber { row, value } | KernelError::Special { row, value } => {
            context.set_item("row", row)?;
            context.set_item("value", value)?;
        }
        KernelError::DoesNotFit { row, value, precision, scale } => {
            context.set_item("row", row)?;
            context.set_item("value", value)?;
            context.set_item("precision", precision)?;
            context.set_item("scale", scale)?;
        }
        KernelError::CopyPair { column, wire, data_type } => {
            context.set_item("column", column)?;
            context.set_item("wire", wire)?;
            context.set_item("type", data_type.to_string())?;
        }
        KernelError::CopyField { column, row, value, .. } | KernelError::CopyValue { column, row, value, .. } => {
            context.set_item("column", column)?;
            context.set_item("row", row)?;
            context.set_item("value", value)?;
        }
        KernelError::CsvRagged { row, fields, expected } => {
            context.set_item("row", row)?;
            context.set_item("fields", fields)?;
            context.set_item("expected", expected)?;
        }
        KernelError::DecimalTooLarge { column, row, value, precision, scale } => {
            context.set_item("column", column)?;
            context.set_item("row", row)?;
            context.set_item("value", value)?;
            context.set_item("precision", precision)?;
            context.set_item("scale", scale)?;
        }
        KernelError::OtherType { column, data_type, expected } => {
            context.set_item("column", column)?;
            context.set_item("type", data_type.to_string())?;
            context.set_item("expected", expected.to_string())?;
        }
        KernelError::NullInRequired { column } => {
            context.set_item("column", column)?;
        }
        KernelError::PageTooLarge { column, bytes } => {
            context.set_item("column", column)?;
            context.set_item("bytes", bytes)?;
        }
        KernelError::CopyStream { row, .. }
        | KernelError::CsvUnclosed { row }
        | KernelError::CsvTooLong { row, .. } => {
            context.set_item("row", row)?;
        }
        KernelError::NotText { .. } | KernelError::InvalidDecimalType { .. } | KernelError::Arrow(_) => {}
    }
    Ok(context)
}

fn hint(error: &KernelError) -> Option<&'static str> {
    match error {
        KernelError::UnsupportedColumn { .. } => Some("cast the column or leave it out"),
        KernelError::DoesNotFit { .. } | KernelError::DecimalTooLarge { .. } => {
            Some("declare a decimal with more digits, or correct the value at the source")
        }
        KernelError::Special { .. } => Some("let such values become NULL, or read the column as text"),
        KernelError::CopyPair { .. } => Some("read or write the column as text, or by another driver"),
        KernelError::CopyStream { .. } | KernelError::CopyField { .. } => {
            Some("the table may have been altered meanwhile; run again")
        }
        KernelError::CopyValue { .. } => Some("leave such rows out with `filter`, or declare the column as `text`"),
        _ => None,
    }
}
