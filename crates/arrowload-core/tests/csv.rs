//! CSV text becomes rows, whatever pieces it comes in and wherever it is cut.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use arrowload_core::csv::{CsvFormat, CsvParser, CsvRanges};
use arrowload_core::{KernelError, KernelResult};
use proptest::prelude::*;

fn format() -> CsvFormat {
    CsvFormat {
        delimiter: b',',
        quote: Some(b'"'),
        null_values: vec![Vec::new()],
        skip_lines: 0,
        skip_records: 0,
        max_record: 1 << 20,
        from_start: true,
    }
}

fn parser(types: &[DataType], format: CsvFormat) -> CsvParser {
    let fields = types.iter().enumerate().map(|(i, kind)| Field::new(format!("c{i}"), kind.clone(), true));
    CsvParser::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), vec![true; types.len()], format)
}

/// The batches of text that comes in pieces of `piece` bytes.
fn read(mut parser: CsvParser, text: &[u8], piece: usize, max_rows: usize) -> KernelResult<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for piece in text.chunks(piece) {
        parser.feed(piece)?;
        while let Some(batch) = parser.next_batch(max_rows)? {
            batches.push(batch);
        }
    }
    parser.finish();
    while let Some(batch) = parser.next_batch(max_rows)? {
        batches.push(batch);
    }
    Ok(batches)
}

type Cell = Option<Vec<u8>>;

/// All cells of binary columns, row by row.
fn cells(batches: &[RecordBatch]) -> Vec<Vec<Cell>> {
    let row = |batch: &RecordBatch, row| {
        let columns = batch.columns().iter().map(AsArray::as_binary::<i32>);
        columns.map(|column| column.is_valid(row).then(|| column.value(row).to_vec())).collect()
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

/// The same by the plainest means: one byte after the other. `None` when the text breaks the rules.
fn plainly(text: &[u8], width: usize) -> Option<Vec<Vec<Cell>>> {
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
        if row.len() != width {
            return None;
        }
        rows.push(row);
    }
    Some(rows)
}

/// Pieces put together as they come, most of them wrong.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const PIECES: [&str; 10] = ["\"", ",", "\n", "\r", "\r\n", "a", "\"x,\"\"\n\"", "b,c\n", "\"\",\"d\"\r\n", LONG];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Two cells a record.
fn regular_texts() -> impl Strategy<Value = Vec<u8>> {
    let cell = prop::sample::select(vec!["1", "", "\"\"", "\"a,b\"", "\"x\r\ny\"", "\"q\"\"\"", "5\" p", "\"a\"b"]);
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]);
    prop::collection::vec((cell.clone(), cell, end), 0..40)
        .prop_map(|rows| rows.into_iter().map(|(a, b, end)| [a, ",", b, end].concat()).collect::<String>().into_bytes())
}

proptest! {
    #[test]
    fn rows_are_those_of_the_plain_reading(
        text in prop_oneof![texts(), regular_texts()], width in 1usize..3, piece in 1usize..90, max_rows in 1usize..9,
    ) {
        let found = read(parser(&vec![DataType::Binary; width], format()), &text, piece, max_rows);
        prop_assert_eq!(found.ok().map(|batches| cells(&batches)), plainly(&text, width));
    }

    #[test]
    fn parts_hold_the_rows_of_the_whole(
        text in regular_texts(), mut targets in prop::collection::vec(0u64..300, 0..6), piece in 1usize..90,
    ) {
        targets.sort_unstable();
        let whole = read(parser(&[DataType::Binary, DataType::Binary], format()), &text, 1 << 20, 7).unwrap();
        let mut ranges = CsvRanges::new(b',', Some(b'"'), targets);
        for piece in text.chunks(piece) {
            ranges.feed(piece);
        }
        let cuts = ranges.cuts().iter().map(|cut| usize::try_from(*cut).unwrap());
        let edges: Vec<usize> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
        let mut parts = Vec::new();
        for edge in edges.windows(2) {
            let part = &text[edge[0]..edge[1]];
            parts.extend(cells(&read(parser(&[DataType::Binary, DataType::Binary], format()), part, piece, 7).unwrap()));
        }
        prop_assert_eq!(cells(&whole), parts);
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..90) {
        let types = [DataType::Int64, DataType::Utf8];
        let format = CsvFormat { max_record: 50, skip_lines: 1, skip_records: 1, ..format() };
        if let Ok(batches) = read(parser(&types, format), &text, piece, 3) {
            prop_assert!(batches.iter().all(|batch| (1..=3).contains(&batch.num_rows())));
        }
    }
}

#[test]
fn what_is_skipped_is_no_row() {
    let format = CsvFormat { skip_lines: 1, skip_records: 1, ..format() };
    let text = b"\xef\xbb\xbfit's \"odd\r\n\"a\nb\",c\r\n1,x\r\n2,y";
    for piece in 1..text.len() {
        let parser = parser(&[DataType::Int64, DataType::Utf8], format.clone());
        let batches = read(parser, text, piece, 10).unwrap();
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
        assert_eq!(batches[0].column(1).as_string::<i32>().value(1), "y");
    }
}

#[test]
fn a_column_with_an_odd_value_comes_as_bytes() {
    let parser = parser(&[DataType::Int64, DataType::Utf8], format());
    let batches = read(parser, b"1,x\n+2,\xff\n3,z\n4,w\n", 100, 2).unwrap();
    let types = |batch: &RecordBatch| -> Vec<DataType> {
        batch.columns().iter().map(|column| column.data_type().clone()).collect()
    };
    assert_eq!(types(&batches[0]), [DataType::Binary, DataType::Binary]);
    assert_eq!(batches[0].column(0).as_binary::<i32>().value(1), b"+2");
    assert_eq!(types(&batches[1]), [DataType::Int64, DataType::Utf8]);
}

#[test]
fn text_is_checked_value_by_value() {
    // Both halves of one character: together they would be UTF-8.
    let batches = read(parser(&[DataType::Utf8, DataType::Int64], format()), b"\xc3,1\n\xa9,2\n", 100, 9).unwrap();
    assert_eq!(batches[0].column(0).data_type(), &DataType::Binary);
}

#[test]
fn broken_records_are_refused_with_their_row() {
    let two = || parser(&[DataType::Int64, DataType::Int64], format());
    for piece in [1, 3, 100] {
        let ragged = read(two(), b"1,2\n\n3\n", piece, 10).unwrap_err();
        assert!(matches!(ragged, KernelError::CsvRagged { row: 1, fields: 1, expected: 2 }), "{ragged}");
        let open = read(two(), b"1,2\n3,\"4\n", piece, 10).unwrap_err();
        assert!(matches!(open, KernelError::CsvUnclosed { row: 1 }), "{open}");
        let short = CsvFormat { max_record: 5, ..format() };
        let long = read(parser(&[DataType::Int64, DataType::Int64], short), b"1,2\n3,456\n", piece, 10).unwrap_err();
        assert!(matches!(long, KernelError::CsvTooLong { row: 1, max_bytes: 5 }), "{long}");
    }
}
