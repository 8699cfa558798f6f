//! Rows of a COPY as Python takes and gives them: record batches, or pieces of the stream as it lies on the wire.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int64Array, LargeBinaryArray, RecordBatch, RecordBatchReader, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, Schema};
use arrowload_core::OnSpecial;
use arrowload_core::pg_copy::{DecodeOptions, Decoder, Encoder};
use arrowload_postgres::{Assemble, Batches, CopyError, ReadAhead, Relay, Relayed, write_batches, write_relayed};
use pyo3::prelude::*;

use crate::capsule::{ArrowArray, import_schema, import_stream};
use crate::error::{self, unreadable};
use crate::pg_copy::copy_columns;
use crate::postgres::PostgresConnection;

/// How a column lies on the wire, and the oid of an array's elements.
type Wire = (String, u32);

/// The batches of one COPY: iterate, then close.
#[pyclass(frozen, module = "arrowload._rust")]
pub(crate) struct CopyRows {
    rows: Mutex<Option<ReadAhead<RecordBatch>>>,
    connection: Py<PostgresConnection>,
}

#[pymethods]
impl CopyRows {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<ArrowArray>> {
        let next = next(py, &self.rows, &self.connection)?;
        Ok(next.map(|batch| ArrowArray::new(Arc::new(StructArray::from(batch)))))
    }

    fn close(&self, py: Python<'_>) {
        close(py, &self.rows);
    }
}

/// The pieces of one COPY, to be passed on: iterate, then close.
#[pyclass(frozen, module = "arrowload._rust")]
pub(crate) struct CopyPieces {
    pieces: Mutex<Option<ReadAhead<Relayed>>>,
    connection: Py<PostgresConnection>,
}

#[pymethods]
impl CopyPieces {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<ArrowArray>> {
        let next = next(py, &self.pieces, &self.connection)?;
        next.map(|piece| record(piece).map(|record| ArrowArray::new(Arc::new(record))).map_err(unreadable)).transpose()
    }

    fn close(&self, py: Python<'_>) {
        close(py, &self.pieces);
    }
}

/// One record of `RELAY_SCHEMA`; the bytes are not copied.
fn record(piece: Relayed) -> Result<StructArray, ArrowError> {
    let rows = Int64Array::from_iter_values(i64::try_from(piece.hash.rows));
    let hash = FixedSizeBinaryArray::try_from_iter([piece.hash.sum.to_le_bytes()].into_iter())?;
    let data = LargeBinaryArray::try_new(OffsetBuffer::from_lengths([piece.data.len()]), piece.data.into(), None)?;
    let columns: [(&str, ArrayRef); 3] =
        [("rows", Arc::new(rows)), ("content_hash", Arc::new(hash)), ("data", Arc::new(data))];
    StructArray::try_from(columns.to_vec())
}

#[pyfunction]
#[pyo3(signature = (connection, sql, schema, wires, *, batch_rows, batch_bytes, null_special, null_infinity))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python function")]
pub(crate) fn copy_out(
    py: Python<'_>,
    connection: Py<PostgresConnection>,
    sql: String,
    schema: &Bound<'_, PyAny>,
    wires: Vec<Wire>,
    batch_rows: usize,
    batch_bytes: usize,
    null_special: bool,
    null_infinity: bool,
) -> PyResult<CopyRows> {
    let options = DecodeOptions { special: on(null_special), infinity: on(null_infinity) };
    let decoder = decoder(py, &import_schema(schema)?, wires, options)?;
    let rows = start(&connection, sql, Batches::new(decoder, batch_rows, batch_bytes))?;
    Ok(CopyRows { rows: Mutex::new(Some(rows)), connection })
}

#[pyfunction]
pub(crate) fn copy_out_relay(
    py: Python<'_>,
    connection: Py<PostgresConnection>,
    sql: String,
    schema: &Bound<'_, PyAny>,
    wires: Vec<Wire>,
) -> PyResult<CopyPieces> {
    let decoder = decoder(py, &import_schema(schema)?, wires, DecodeOptions::default())?;
    let pieces = start(&connection, sql, Relay::new(decoder))?;
    Ok(CopyPieces { pieces: Mutex::new(Some(pieces)), connection })
}

#[pyfunction]
pub(crate) fn copy_in(
    py: Python<'_>,
    connection: &PostgresConnection,
    sql: &str,
    rows: &Bound<'_, PyAny>,
    wires: Vec<Wire>,
) -> PyResult<u64> {
    let reader = import_stream(rows)?;
    let encoder =
        Encoder::try_new(copy_columns(wires, &reader.schema())?).map_err(|refusal| error::to_py(py, &refusal))?;
    connection.copying(py, |open| write_batches(open, sql, &encoder, reader))
}

#[pyfunction]
pub(crate) fn copy_in_relay(
    py: Python<'_>,
    connection: &PostgresConnection,
    sql: &str,
    pieces: &Bound<'_, PyAny>,
) -> PyResult<u64> {
    let reader = import_stream(pieces)?;
    let data = reader.flat_map(|batch| match batch {
        Ok(batch) => pieces_of(&batch),
        Err(error) => vec![Err(error)],
    });
    connection.copying(py, |open| write_relayed(open, sql, data))
}

/// The bytes of each record, without a copy.
fn pieces_of(batch: &RecordBatch) -> Vec<Result<arrow_buffer::Buffer, ArrowError>> {
    let Some(column) = batch.column_by_name("data").and_then(|column| column.as_binary_opt::<i64>()) else {
        return vec![Err(ArrowError::SchemaError("a relay has a column `data` of large_binary".to_owned()))];
    };
    let offsets = column.value_offsets();
    let slice = |row: usize| {
        let (Ok(start), Ok(end)) = (usize::try_from(offsets[row]), usize::try_from(offsets[row + 1])) else {
            return Err(ArrowError::InvalidArgumentError("a negative offset".to_owned()));
        };
        Ok(column.values().slice_with_length(start, end - start))
    };
    (0..column.len()).map(slice).collect()
}

fn start<A: Assemble>(connection: &Py<PostgresConnection>, sql: String, assembler: A) -> PyResult<ReadAhead<A::Item>> {
    Ok(ReadAhead::start(connection.get().shared(), sql, assembler)?)
}

fn next<T: Send + 'static>(
    py: Python<'_>,
    items: &Mutex<Option<ReadAhead<T>>>,
    connection: &Py<PostgresConnection>,
) -> PyResult<Option<T>> {
    let next = py.detach(|| items.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Iterator::next));
    next.transpose().map_err(|failure| connection.get().failed(py, failure))
}

/// Waits, without the GIL, until the connection is free.
fn close<T: Send>(py: Python<'_>, items: &Mutex<Option<ReadAhead<T>>>) {
    py.detach(|| drop(items.lock().unwrap_or_else(PoisonError::into_inner).take()));
}

fn on(null: bool) -> OnSpecial {
    if null { OnSpecial::Null } else { OnSpecial::Error }
}

fn decoder(py: Python<'_>, schema: &Schema, wires: Vec<Wire>, options: DecodeOptions) -> PyResult<Decoder> {
    Decoder::try_new(copy_columns(wires, schema)?, options).map_err(|refusal| error::to_py(py, &refusal))
}

/// What a COPY that failed raises, but for what the connection words itself; rows are counted from 1.
pub(crate) fn kernel_or_stream(py: Python<'_>, failure: CopyError) -> PyErr {
    match failure {
        CopyError::Kernel(refusal) => error::to_py(py, &refusal.after_rows(1)),
        other => error::unreadable(other),
    }
}
