//! CSV text becomes rows, whatever pieces it comes in and wherever it is cut.

mod csv_text;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use arrowload_core::KernelError;
use arrowload_core::csv::{CsvFormat, CsvRanges};
use proptest::prelude::*;

use csv_text::{Cell, cells, format, parser, plain_records, plainly, read, read_ragged};

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
    fn ragged_records_are_told_of_and_leave_the_others_alone(
        text in prop_oneof![texts(), regular_texts()], width in 1usize..4, piece in 1usize..90, max_rows in 1usize..9,
    ) {
        let taking = CsvFormat { takes_ragged: true, ..format() };
        let found = read_ragged(parser(&vec![DataType::Binary; width], taking), &text, piece, max_rows).ok();
        let records = plain_records(&text, width);
        prop_assert_eq!(found.is_some(), records.is_some());
        let (Some((batches, ragged)), Some(records)) = (found, records) else { return Ok(()) };
        let resized = records.iter().map(|record| {
            let mut cells: Vec<Cell> = record.clone();
            cells.resize(width, None);
            cells
        });
        prop_assert_eq!(cells(&batches), resized.collect::<Vec<_>>());
        let wrong: Vec<(usize, usize)> = records.iter().map(Vec::len).enumerate().filter(|(_, n)| *n != width).collect();
        prop_assert_eq!(ragged.iter().map(|found| (found.row, found.fields)).collect::<Vec<_>>(), wrong);
        for found in &ragged {
            prop_assert_eq!(plain_records(&found.text, 2).unwrap(), vec![records[found.row].clone()]);
        }
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
