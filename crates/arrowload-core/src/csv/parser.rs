//! Bytes in, record batches out.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};

use super::columns::{Column, Strip};
use super::records::{Cell, Ragged, Syntax, walk};
use crate::error::{KernelError, KernelResult};

/// Cells that are cut and converted at a time, so that they and their text stay near the processor.
const STRIP_CELLS: usize = 8_192;
/// Text of a batch.
const BATCH_BYTES: usize = 16 << 20;
/// Cells are addressed by 31 bits.
const MAX_HELD: usize = (1 << 31) - 1;
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How a file is written.
#[derive(Clone, Debug)]
pub struct CsvFormat {
    /// Between cells; no CR, LF or quote.
    pub delimiter: u8,
    /// Around cells; `None` when nothing is quoted. In quotes it is written twice.
    pub quote: Option<u8>,
    /// Texts that are NULL when they are not quoted.
    pub null_values: Vec<Vec<u8>>,
    /// Lines at the start that are not read, whatever is in them.
    pub skip_lines: usize,
    /// Records after these that are not read: the header.
    pub skip_records: usize,
    /// Bytes of the longest record.
    pub max_record: usize,
    /// The text starts where the file does: a byte order mark there is not read.
    pub from_start: bool,
    /// Records that are too wide or too narrow are taken, cut off or filled up with empty cells, and told of.
    pub takes_ragged: bool,
}

/// A record that is too wide or too narrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaggedRecord {
    /// Its row in the batch.
    pub row: usize,
    /// How many fields it has.
    pub fields: usize,
    /// As it was written, without what ends it.
    pub text: Vec<u8>,
}

/// Turns the text of one file, fed piece by piece, into record batches.
///
/// The rows do not depend on how the text is cut into pieces. Columns come in the types of the schema; one that holds a
/// value which is not surely of its type comes as binary for that batch, as do columns of types that have no rule here.
pub struct CsvParser {
    format: CsvFormat,
    schema: Arc<Schema>,
    columns: Vec<Column>,
    cells: Vec<Cell>,
    /// Of the batch that is being made, and of the one that was given last.
    ragged_so_far: Vec<RaggedRecord>,
    ragged: Vec<RaggedRecord>,
    /// The text of the batch that is being made, and what was fed after it.
    text: Vec<u8>,
    batch_start: usize,
    parsed: usize,
    batch_rows: usize,
    rows: usize,
    started: bool,
    lines_to_skip: usize,
    records_to_skip: usize,
    at_end: bool,
}

impl CsvParser {
    /// A parser at the start of a file.
    ///
    /// `schema` has the columns in the order of the file, and at least one. `exact_form[i]` asks of column `i` that
    /// a value is written as an inferred one would be: no leading zeros, booleans as `true` and `false`, floats that
    /// give back every digit.
    #[must_use]
    pub fn new(schema: Arc<Schema>, exact_form: Vec<bool>, format: CsvFormat) -> Self {
        let columns = columns(&schema, exact_form);
        Self {
            schema,
            columns,
            cells: Vec::new(),
            ragged_so_far: Vec::new(),
            ragged: Vec::new(),
            text: Vec::new(),
            batch_start: 0,
            parsed: 0,
            batch_rows: 0,
            rows: 0,
            started: false,
            lines_to_skip: format.skip_lines,
            records_to_skip: format.skip_records,
            at_end: false,
            format,
        }
    }

    /// Adds the text that follows what was fed before.
    ///
    /// # Errors
    ///
    /// More than 2 GiB would be held: a record is too long.
    pub fn feed(&mut self, text: &[u8]) -> KernelResult<()> {
        if self.batch_start > 0 {
            self.text.drain(..self.batch_start);
            self.parsed -= self.batch_start;
            self.batch_start = 0;
        }
        if self.text.len() + text.len() > MAX_HELD {
            return Err(KernelError::CsvTooLong { row: self.rows, max_bytes: MAX_HELD });
        }
        self.text.extend_from_slice(text);
        Ok(())
    }

    /// Says that nothing follows what was fed.
    pub fn finish(&mut self) {
        self.at_end = true;
    }

    /// The next batch of `max_rows` rows, or of fewer whose text has 16 MiB, or that are the last; `None` when more
    /// text is needed, or after the last.
    ///
    /// # Errors
    ///
    /// A record is too long, or too wide or too narrow where the format does not take such, or the text ends inside
    /// quotes. Rows count from 0 after the records that are skipped.
    pub fn next_batch(&mut self, max_rows: usize) -> KernelResult<Option<RecordBatch>> {
        if !self.skip()? {
            return Ok(None);
        }
        while self.batch_rows < max_rows && self.parsed - self.batch_start < BATCH_BYTES {
            let rows = (STRIP_CELLS / self.columns.len()).clamp(1, max_rows - self.batch_rows);
            if !self.strip(rows)? {
                if self.at_end && self.batch_rows > 0 {
                    break;
                }
                return Ok(None);
            }
        }
        self.batch().map(Some)
    }

    /// The records of the batch that was given last which are too wide or too narrow.
    #[must_use]
    pub fn ragged(&self) -> &[RaggedRecord] {
        &self.ragged
    }

    /// Cuts and converts at most `rows` records; whether there were any.
    fn strip(&mut self, rows: usize) -> KernelResult<bool> {
        let data = &self.text[self.parsed..];
        self.cells.clear();
        let mut ragged = self.format.takes_ragged.then(Vec::new);
        let walked = walk(data, self.syntax(), rows, self.at_end, self.rows, &mut self.cells, ragged.as_mut())?;
        let found = ragged.into_iter().flatten().map(|ragged| record_of(&ragged, data, self.batch_rows));
        self.ragged_so_far.extend(found);
        let width = self.columns.len();
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.append(&Strip::new(data, &self.cells, index, width, &self.format));
        }
        self.parsed += walked.bytes;
        self.rows += walked.records;
        self.batch_rows += walked.records;
        Ok(walked.records > 0)
    }

    fn batch(&mut self) -> KernelResult<RecordBatch> {
        let finished: Vec<Option<ArrayRef>> = self.columns.iter_mut().map(Column::finish).collect();
        let missing: Vec<usize> = (0..finished.len()).filter(|i| finished[*i].is_none()).collect();
        let mut kept = if missing.is_empty() { Vec::new() } else { self.as_bytes(&missing)? }.into_iter();
        let arrays: Vec<ArrayRef> = finished.into_iter().filter_map(|array| array.or_else(|| kept.next())).collect();
        let fields = self.schema.fields().iter().zip(&arrays);
        let fields: Vec<Field> =
            fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.batch_rows));
        self.batch_start = self.parsed;
        self.batch_rows = 0;
        self.ragged = std::mem::take(&mut self.ragged_so_far);
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(KernelError::Arrow)
    }

    /// The columns at `indices` of the batch, as binary; walks its text a second time.
    fn as_bytes(&mut self, indices: &[usize]) -> KernelResult<Vec<ArrayRef>> {
        let mut columns: Vec<Column> = indices.iter().map(|_| Column::binary()).collect();
        let data = &self.text[self.batch_start..self.parsed];
        let (mut at, mut rows) = (0, 0);
        while rows < self.batch_rows {
            self.cells.clear();
            let wanted = (STRIP_CELLS / self.columns.len()).clamp(1, self.batch_rows - rows);
            let mut ragged = self.format.takes_ragged.then(Vec::new);
            let walked = walk(&data[at..], self.syntax(), wanted, true, self.rows, &mut self.cells, ragged.as_mut())?;
            for (column, index) in columns.iter_mut().zip(indices) {
                column.append(&Strip::new(&data[at..], &self.cells, *index, self.columns.len(), &self.format));
            }
            (at, rows) = (at + walked.bytes, rows + walked.records);
        }
        Ok(columns.iter_mut().filter_map(Column::finish).collect())
    }

    /// Goes behind what is not to be read; whether it is behind.
    fn skip(&mut self) -> KernelResult<bool> {
        if !self.started {
            if self.text.len() < BYTE_ORDER_MARK.len() && !self.at_end {
                return Ok(false);
            }
            let marked = self.format.from_start && self.text.starts_with(BYTE_ORDER_MARK);
            self.parsed = if marked { BYTE_ORDER_MARK.len() } else { 0 };
            self.started = true;
        }
        while self.lines_to_skip > 0 {
            match line_length(&self.text[self.parsed..], self.at_end) {
                Some(length) => self.parsed += length,
                None => return Ok(false),
            }
            self.lines_to_skip -= 1;
        }
        if self.records_to_skip > 0 {
            let syntax = Syntax { width: None, ..self.syntax() };
            let data = &self.text[self.parsed..];
            let walked = walk(data, syntax, self.records_to_skip, self.at_end, 0, &mut Vec::new(), None)?;
            self.parsed += walked.bytes;
            self.records_to_skip -= walked.records;
        }
        self.batch_start = if self.batch_rows == 0 { self.parsed } else { self.batch_start };
        Ok(self.records_to_skip == 0 || self.at_end)
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            delimiter: self.format.delimiter,
            quote: self.format.quote,
            width: Some(self.columns.len()),
            max_record: self.format.max_record,
        }
    }
}

fn record_of(ragged: &Ragged, data: &[u8], first_row: usize) -> RaggedRecord {
    let text = &data[ragged.bytes.clone()];
    let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    RaggedRecord { row: first_row + ragged.record, fields: ragged.fields, text: text[..end].to_vec() }
}

fn columns(schema: &Schema, exact_form: Vec<bool>) -> Vec<Column> {
    let forms = exact_form.into_iter().chain(std::iter::repeat(true));
    schema.fields().iter().zip(forms).map(|(field, exact)| Column::new(field.data_type(), exact)).collect()
}

/// The length of the first line with what ends it; `None` when it does not end.
fn line_length(text: &[u8], at_end: bool) -> Option<usize> {
    let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    match (text[end], text.get(end + 1)) {
        (b'\r', Some(b'\n')) => Some(end + 2),
        (b'\r', None) if !at_end => None,
        _ => Some(end + 1),
    }
}
