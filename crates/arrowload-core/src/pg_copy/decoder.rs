//! Messages of `COPY … TO STDOUT (FORMAT binary)` to record batches.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};

use super::frame::{Broken, Cursor, Stage, Walker};
use super::sink::{Refusal, Sink, sink_for};
use super::wire::CopyColumn;
use crate::error::{KernelError, KernelResult};
use crate::numeric::OnSpecial;

/// What becomes of values that Arrow does not have.
#[derive(Clone, Copy, Debug)]
pub struct DecodeOptions {
    /// Of `NaN`, `Infinity` and `-Infinity` in numerics.
    pub special: OnSpecial,
    /// Of infinite dates, timestamps and intervals.
    pub infinity: OnSpecial,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { special: OnSpecial::Error, infinity: OnSpecial::Error }
    }
}

/// Turns the messages of one COPY into record batches.
///
/// An error is final: the decoder takes and gives nothing after it. Rows count from 0, from the beginning of the stream.
pub struct Decoder {
    columns: Vec<CopyColumn>,
    schema: SchemaRef,
    sinks: Vec<Box<dyn Sink>>,
    walker: Walker,
    /// Rows that were taken already.
    taken: usize,
}

impl Decoder {
    /// A decoder for a stream of these columns.
    ///
    /// | wire | Arrow |
    /// | --- | --- |
    /// | bool; int2, int4, int8; float4, float8 | bool; int16, int32, int64; float, double |
    /// | oid | int64 |
    /// | numeric | decimal128, decimal256 |
    /// | text, json, jsonb | utf8 |
    /// | bytea | binary |
    /// | date, time | date32, time64\[us\] |
    /// | timestamp, timestamptz | timestamp\[us\] without, with a zone |
    /// | interval | `month_day_nano` |
    /// | uuid | `fixed_size_binary[16]` |
    /// | array | list, as deep as the values have dimensions, up to six |
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyPair`] for any other pair.
    pub fn try_new(columns: Vec<CopyColumn>, options: DecodeOptions) -> KernelResult<Self> {
        let sinks = columns.iter().map(|column| {
            sink_for(&column.wire, column.field.data_type(), options).ok_or_else(|| column.unsupported())
        });
        let sinks = sinks.collect::<KernelResult<Vec<_>>>()?;
        let schema = Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
        let walker = Walker::new(columns.len());
        Ok(Self { columns, schema, sinks, walker, taken: 0 })
    }

    /// Decodes `messages`, and says how many rows they held.
    ///
    /// They are whole `CopyData` messages as the protocol frames them: `d`, the length (i32, itself included), payload. A
    /// message may hold several rows, and the header before the first or the trailer after the last; a row does not
    /// go on in the next message, as the server never sends it so.
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyStream`] when this is no such stream, [`KernelError::CopyField`] for a field that is no value
    /// of its type, [`KernelError::CopyValue`] for a value that its Arrow type does not have.
    pub fn push(&mut self, messages: &[u8]) -> KernelResult<usize> {
        if self.walker.stage == Stage::Refused {
            return Err(self.refused());
        }
        let before = self.walker.rows;
        let outcome = self.decode(messages);
        if outcome.is_err() {
            self.walker.stage = Stage::Refused;
        }
        outcome.map(|()| self.walker.rows - before)
    }

    /// How many rows the next batch has so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.walker.rows - self.taken
    }

    /// How many bytes its values take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sinks.iter().map(|sink| sink.bytes()).sum()
    }

    /// The rows since the last call, as one batch; the next one gets room for as many from the start.
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyStream`] after an earlier error.
    pub fn take(&mut self) -> KernelResult<RecordBatch> {
        if self.walker.stage == Stage::Refused {
            return Err(self.refused());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows()));
        self.taken = self.walker.rows;
        let columns = self.sinks.iter_mut().map(|sink| sink.take()).collect();
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        batch.map_err(|error| KernelError::CopyStream { row: self.taken, reason: error.to_string() })
    }

    /// Whether the trailer was seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.walker.stage == Stage::Done
    }

    /// Makes sure that the stream has ended as it should.
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyStream`] unless the trailer was seen and nothing was refused.
    pub fn finish(&self) -> KernelResult<()> {
        let reason = match self.walker.stage {
            Stage::Done => return Ok(()),
            Stage::Refused => return Err(self.refused()),
            Stage::Header | Stage::Rows => "it ends without its trailer",
        };
        Err(KernelError::CopyStream { row: self.walker.rows, reason: reason.into() })
    }

    fn decode(&mut self, messages: &[u8]) -> KernelResult<()> {
        let mut cursor = Cursor::default();
        while cursor.at < messages.len() {
            let first_row = self.walker.rows;
            let run = self.walker.next_run(messages, &mut cursor).map_err(|broken| self.broken(broken))?;
            for (index, (column, sink)) in self.columns.iter().zip(&mut self.sinks).enumerate() {
                let places = self.walker.places(index, run.rows);
                let outcome = sink.extend(run.bytes, places);
                outcome.map_err(|refusal| refused_value(column, first_row, refusal))?;
                if !column.field.is_nullable()
                    && let Some(row) = places.iter().position(|place| place.is_null())
                {
                    let refusal = Refusal::unfit(row, "NULL", "the column cannot be null");
                    return Err(refused_value(column, first_row, refusal));
                }
            }
        }
        Ok(())
    }

    fn broken(&self, broken: Broken) -> KernelError {
        let reason = match broken.column {
            Some(column) => format!("column `{}`: {}", self.columns[column].name, broken.reason),
            None => broken.reason,
        };
        KernelError::CopyStream { row: broken.row, reason }
    }

    fn refused(&self) -> KernelError {
        KernelError::CopyStream { row: self.walker.rows, reason: "it was refused before".into() }
    }
}

fn refused_value(column: &CopyColumn, first_row: usize, refusal: Refusal) -> KernelError {
    let (name, row) = (column.name.clone(), first_row + refusal.index);
    let Refusal { value, reason, broken, .. } = refusal;
    if broken {
        KernelError::CopyField { column: name, row, wire: column.wire.to_string(), value, reason }
    } else {
        KernelError::CopyValue { column: name, row, value, reason }
    }
}
