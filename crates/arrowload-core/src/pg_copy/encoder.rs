//! Record batches to the bytes of `COPY … FROM STDIN (FORMAT binary)`.

use std::ops::Range;

use arrow_array::{Array, RecordBatch, new_empty_array};

use super::source::{Slots, Source, source_for};
use super::wire::{CopyColumn, SIGNATURE};
use crate::error::{KernelError, KernelResult};

/// Rows of a run, which is written column by column while it is in the cache.
const RUN_ROWS: usize = 256;

/// Turns record batches into a COPY stream, without the protocol's frames.
pub struct Encoder {
    columns: Vec<CopyColumn>,
}

impl Encoder {
    /// An encoder for batches of these columns.
    ///
    /// It takes the types that [`super::Decoder::try_new`] lists, and besides: for text, json and jsonb `large_utf8`,
    /// `utf8_view` and dictionaries of these; for bytea `large_binary`, `binary_view` and `fixed_size_binary`; times
    /// and timestamps of every unit; durations for interval; `large_list`.
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyPair`] for a pair of types that has no exact way.
    pub fn try_new(columns: Vec<CopyColumn>) -> KernelResult<Self> {
        for column in &columns {
            let empty = new_empty_array(column.field.data_type());
            source_for(&column.wire, &empty).ok_or_else(|| column.unsupported())?;
        }
        Ok(Self { columns })
    }

    /// What a stream begins with.
    pub fn header(out: &mut Vec<u8>) {
        out.extend_from_slice(SIGNATURE);
        out.extend_from_slice(&[0; 8]); // flags, length of the extension
    }

    /// What a stream ends with.
    pub fn trailer(out: &mut Vec<u8>) {
        out.extend_from_slice(&(-1i16).to_be_bytes());
    }

    /// Appends some rows of `batch` to `out`; on an error `out` is as it was.
    ///
    /// # Errors
    ///
    /// [`KernelError::CopyPair`] when a column has another type than its field; [`KernelError::CopyStream`] when there
    /// are no such rows or columns; [`KernelError::CopyValue`] for a value that the server does not have, or would take
    /// for another one. Rows count from the first of `batch`.
    pub fn encode(&self, batch: &RecordBatch, rows: Range<usize>, out: &mut Vec<u8>) -> KernelResult<()> {
        let mut sources = self.sources(batch, &rows)?;
        let before = out.len();
        let mut run = Run::default();
        for start in rows.clone().step_by(RUN_ROWS) {
            let outcome = run.write(&mut sources, start..rows.end.min(start + RUN_ROWS), out);
            if let Err((column, refusal)) = outcome {
                out.truncate(before);
                let name = self.columns[column].name.clone();
                let row = start + refusal.index;
                return Err(KernelError::CopyValue { column: name, row, value: refusal.value, reason: refusal.reason });
            }
        }
        Ok(())
    }

    fn sources<'a>(&self, batch: &'a RecordBatch, rows: &Range<usize>) -> KernelResult<Vec<Box<dyn Source + 'a>>> {
        if rows.end > batch.num_rows() || batch.num_columns() != self.columns.len() {
            let reason = format!(
                "rows {} to {} of {} columns are asked of a batch of {} rows and {} columns",
                rows.start,
                rows.end,
                self.columns.len(),
                batch.num_rows(),
                batch.num_columns()
            );
            return Err(KernelError::CopyStream { row: rows.start, reason });
        }
        let source = |(column, array): (&CopyColumn, &'a arrow_array::ArrayRef)| {
            let source = source_for(&column.wire, array).filter(|_| array.data_type() == column.field.data_type());
            source.ok_or_else(|| KernelError::CopyPair {
                column: column.name.clone(),
                wire: column.wire.to_string(),
                data_type: array.data_type().clone(),
            })
        };
        self.columns.iter().zip(batch.columns()).map(source).collect()
    }
}

/// Where the rows of a run lie in the output; kept for its memory.
#[derive(Default)]
struct Run {
    lengths: Vec<usize>,
    cursors: Vec<usize>,
    ends: Vec<usize>,
}

impl Run {
    fn write(
        &mut self,
        sources: &mut [Box<dyn Source + '_>],
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), (usize, super::sink::Refusal)> {
        let count = u16::try_from(sources.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.lengths.clear();
        self.lengths.resize(rows.len(), count.len());
        for (column, source) in sources.iter_mut().enumerate() {
            source.measure(rows.clone(), &mut self.lengths).map_err(|refusal| (column, refusal))?;
        }
        let start = out.len();
        let total = self.lay_out();
        out.resize(start + total, 0);
        let bytes = &mut out[start..];
        for cursor in &mut self.cursors {
            bytes[*cursor..*cursor + count.len()].copy_from_slice(&count);
            *cursor += count.len();
        }
        for (column, source) in sources.iter_mut().enumerate() {
            let slots = Slots { rows: rows.clone(), cursors: &mut self.cursors, ends: &self.ends };
            source.write(slots, bytes).map_err(|refusal| (column, refusal))?;
        }
        debug_assert_eq!(self.cursors, self.ends);
        Ok(())
    }

    /// Puts one row after the other; their length in all.
    fn lay_out(&mut self) -> usize {
        self.cursors.clear();
        self.ends.clear();
        let mut at = 0;
        for length in &self.lengths {
            self.cursors.push(at);
            at += length;
            self.ends.push(at);
        }
        at
    }
}
