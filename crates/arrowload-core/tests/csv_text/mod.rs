//! What the tests of `csv` share: parsers, cells, and a reading by the plainest means.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use arrowload_core::KernelResult;
use arrowload_core::csv::{CsvFormat, CsvParser, RaggedRecord};

/// Commas and double quotes; nothing skipped.
pub fn format() -> CsvFormat {
    CsvFormat {
        delimiter: b',',
        quote: Some(b'"'),
        null_values: vec![Vec::new()],
        skip_lines: 0,
        skip_records: 0,
        max_record: 1 << 20,
        from_start: true,
        takes_ragged: false,
    }
}

/// Columns `c0`, `c1` … of these types, in the form of inferred ones.
pub fn parser(types: &[DataType], format: CsvFormat) -> CsvParser {
    let fields = types.iter().enumerate().map(|(i, kind)| Field::new(format!("c{i}"), kind.clone(), true));
    CsvParser::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), vec![true; types.len()], format)
}

/// The batches of text that comes in pieces of `piece` bytes.
pub fn read(parser: CsvParser, text: &[u8], piece: usize, max_rows: usize) -> KernelResult<Vec<RecordBatch>> {
    read_ragged(parser, text, piece, max_rows).map(|(batches, _)| batches)
}

/// As `read`, with the ragged records, whose rows are counted from the start of the text.
pub fn read_ragged(
    mut parser: CsvParser,
    text: &[u8],
    piece: usize,
    max_rows: usize,
) -> KernelResult<(Vec<RecordBatch>, Vec<RaggedRecord>)> {
    let (mut batches, mut ragged, mut first) = (Vec::new(), Vec::new(), 0);
    for (piece, end) in text.chunks(piece).map(|piece| (piece, false)).chain([(&[][..], true)]) {
        parser.feed(piece)?;
        if end {
            parser.finish();
        }
        while let Some(batch) = parser.next_batch(max_rows)? {
            ragged.extend(
                parser.ragged().iter().map(|record| RaggedRecord { row: first + record.row, ..record.clone() }),
            );
            first += batch.num_rows();
            batches.push(batch);
        }
    }
    Ok((batches, ragged))
}

/// None is NULL.
pub type Cell = Option<Vec<u8>>;

/// All cells of binary columns, row by row.
pub fn cells(batches: &[RecordBatch]) -> Vec<Vec<Cell>> {
    let row = |batch: &RecordBatch, row| {
        let columns = batch.columns().iter().map(AsArray::as_binary::<i32>);
        columns.map(|column| column.is_valid(row).then(|| column.value(row).to_vec())).collect()
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

/// The same by the plainest means: one byte after the other. `None` when the text breaks the rules.
pub fn plainly(text: &[u8], width: usize) -> Option<Vec<Vec<Cell>>> {
    plain_records(text, width).filter(|records| records.iter().all(|record| record.len() == width))
}

/// The records of a text of `width` columns, of whatever width each is; `None` when the text ends inside quotes.
pub fn plain_records(text: &[u8], width: usize) -> Option<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if width > 1 && matches!(text[at], b'\r' | b'\n') {
            at += 1;
            continue;
        }
        let mut row = Vec::new();
        loop {
            let (mut cell, mut quoted) = (Vec::new(), false);
            if text.get(at) == Some(&b'"') {
                quoted = true;
                at += 1;
                loop {
                    match (*text.get(at)?, text.get(at + 1)) {
                        (b'"', Some(b'"')) => {
                            cell.push(b'"');
                            at += 2;
                        }
                        (b'"', _) => {
                            at += 1;
                            break;
                        }
                        (byte, _) => {
                            cell.push(byte);
                            at += 1;
                        }
                    }
                }
            }
            while at < text.len() && !b",\r\n".contains(&text[at]) {
                cell.push(text[at]);
                at += 1;
            }
            row.push((quoted || !cell.is_empty()).then_some(cell));
            let end = text.get(at).copied();
            at += if text[at.min(text.len())..].starts_with(b"\r\n") { 2 } else { 1 };
            if end != Some(b',') {
                break;
            }
        }
        rows.push(row);
    }
    Some(rows)
}
