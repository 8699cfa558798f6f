//! The CSV parser as a Python class; it releases the GIL while it works.

use std::sync::Arc;

use arrow_array::StructArray;
use arrowload_core::csv::{self, CsvFormat};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::capsule::{ArrowArray, import_schema};
use crate::error::to_py;

#[pyclass(module = "arrowload._rust")]
pub(crate) struct CsvParser(csv::CsvParser);

#[pymethods]
impl CsvParser {
    #[new]
    #[pyo3(signature = (schema, exact_form, *, delimiter, quote, null_values, skip_lines, skip_records, max_record, from_start, takes_ragged))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        schema: &Bound<'_, PyAny>,
        exact_form: Vec<bool>,
        delimiter: u8,
        quote: Option<u8>,
        null_values: Vec<Vec<u8>>,
        skip_lines: usize,
        skip_records: usize,
        max_record: usize,
        from_start: bool,
        takes_ragged: bool,
    ) -> PyResult<Self> {
        let schema = import_schema(schema)?;
        if schema.fields().is_empty() || schema.fields().len() != exact_form.len() {
            return Err(PyValueError::new_err("a schema of at least one column, and as many flags, are expected"));
        }
        let format =
            CsvFormat { delimiter, quote, null_values, skip_lines, skip_records, max_record, from_start, takes_ragged };
        Ok(Self(csv::CsvParser::new(Arc::new(schema), exact_form, format)))
    }

    fn feed(&mut self, py: Python<'_>, text: &[u8]) -> PyResult<()> {
        py.detach(|| self.0.feed(text)).map_err(|error| to_py(py, &error))
    }

    fn finish(&mut self) {
        self.0.finish();
    }

    fn next_batch(&mut self, py: Python<'_>, max_rows: usize) -> PyResult<Option<ArrowArray>> {
        if max_rows == 0 {
            return Err(PyValueError::new_err("a batch has at least one row"));
        }
        let batch = py.detach(|| self.0.next_batch(max_rows)).map_err(|error| to_py(py, &error))?;
        Ok(batch.map(|batch| ArrowArray::new(Arc::new(StructArray::from(batch)))))
    }

    fn ragged(&self) -> Vec<(usize, usize, &[u8])> {
        self.0.ragged().iter().map(|record| (record.row, record.fields, record.text.as_slice())).collect()
    }
}

#[pyclass(module = "arrowload._rust")]
pub(crate) struct CsvRanges(csv::CsvRanges);

#[pymethods]
impl CsvRanges {
    #[new]
    #[pyo3(signature = (targets, *, delimiter, quote))]
    fn new(targets: Vec<u64>, delimiter: u8, quote: Option<u8>) -> Self {
        Self(csv::CsvRanges::new(delimiter, quote, targets))
    }

    fn feed(&mut self, py: Python<'_>, text: &[u8]) -> bool {
        py.detach(|| self.0.feed(text))
    }

    fn cuts(&self) -> Vec<u64> {
        self.0.cuts().to_vec()
    }
}
