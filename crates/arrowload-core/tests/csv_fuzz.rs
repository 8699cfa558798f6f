//! Whatever bytes come as CSV, rows do not depend on where they are cut, and are those of the plainest reading.
//!
//! `cargo test` does this for a few seconds, `make fuzz` for as long as one likes.

mod csv_text;

use std::time::Duration;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use arrowload_core::csv::{CsvFormat, CsvRanges};
use arrowload_core::{KernelError, KernelResult};

use csv_text::{Cell, cells, format, parser, plain_records, plainly, read, read_ragged};

const WHOLE: usize = 1 << 20;
const TOO_LONG: &str = "too long";

/// How a text is to be read: the first bytes of the fuzzer's, so that they can be made out in a file of the corpus.
struct Settings {
    width: usize,
    piece: usize,
    max_rows: usize,
    skipped: usize,
    max_record: usize,
}

fn split(bytes: &[u8]) -> Option<(Settings, &[u8])> {
    let (&[width, piece, max_rows, skipped, max_record], text) = bytes.split_first_chunk()?;
    let settings = Settings {
        width: usize::from(width) % 4 + 1,
        piece: usize::from(piece).max(1),
        max_rows: usize::from(max_rows).max(1),
        skipped: usize::from(skipped) % 3,
        max_record: if max_record < 128 { WHOLE } else { usize::from(max_record) % 64 },
    };
    Some((settings, text))
}

/// What is wrong and in which row.
fn complaint(error: &KernelError) -> (&'static str, usize) {
    match error {
        KernelError::CsvRagged { row, .. } => ("ragged", *row),
        KernelError::CsvUnclosed { row } => ("unclosed", *row),
        KernelError::CsvTooLong { row, .. } => (TOO_LONG, *row),
        other => panic!("{other}"),
    }
}

fn outcome(batches: &KernelResult<Vec<RecordBatch>>) -> Result<Vec<Vec<Cell>>, (&'static str, usize)> {
    batches.as_ref().map(|batches| cells(batches)).map_err(complaint)
}

fn all_types() -> [DataType; 13] {
    [
        DataType::Binary,
        DataType::Utf8,
        DataType::Boolean,
        DataType::Int8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float64,
        DataType::Decimal128(15, 2),
        DataType::Decimal128(38, 38),
        DataType::Decimal256(76, 10),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
    ]
}

fn cuts_do_not_count(settings: &Settings, text: &[u8]) {
    let types = vec![DataType::Binary; settings.width];
    let skipping = CsvFormat {
        skip_lines: settings.skipped / 2,
        skip_records: settings.skipped % 2,
        max_record: settings.max_record,
        ..format()
    };
    let whole = outcome(&read(parser(&types, skipping.clone()), text, WHOLE, WHOLE));
    let pieces = outcome(&read(parser(&types, skipping), text, settings.piece, settings.max_rows));
    match (&whole, &pieces) {
        // Of a record that is wrong in two ways, a piece may show either first.
        (Err((one, row)), Err((other, same_row))) if *one == TOO_LONG || *other == TOO_LONG => {
            assert_eq!(row, same_row);
        }
        _ => assert_eq!(whole, pieces),
    }
}

fn rows_are_those_of_the_plain_reading(settings: &Settings, text: &[u8]) {
    let types = vec![DataType::Binary; settings.width];
    let found = outcome(&read(parser(&types, format()), text, settings.piece, settings.max_rows)).ok();
    assert_eq!(found, plainly(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), settings.width));
}

/// Nothing but text that ends inside quotes is an error when ragged records are taken, and they alone are told of.
fn ragged_records_are_told_of(settings: &Settings, text: &[u8]) {
    let taking = CsvFormat { takes_ragged: true, ..format() };
    let types = vec![DataType::Binary; settings.width];
    let found = read_ragged(parser(&types, taking), text, settings.piece, settings.max_rows).ok();
    let records = plain_records(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), settings.width);
    let found = found.map(|(batches, ragged)| {
        let fields: Vec<_> = ragged.iter().map(|record| (record.row, record.fields)).collect();
        (cells(&batches).len(), fields)
    });
    let expected = records.map(|records| {
        let wrong = records.iter().map(Vec::len).enumerate().filter(|(_, fields)| *fields != settings.width);
        (records.len(), wrong.collect::<Vec<_>>())
    });
    assert_eq!(found, expected);
}

/// Each column in some type: a batch has it in that type or as the bytes that it was written in.
fn values_are_valid(settings: &Settings, text: &[u8]) {
    let first = usize::from(text.first().copied().unwrap_or_default());
    let all = all_types();
    let types: Vec<DataType> = (0..settings.width).map(|i| all[(first + i * 5) % all.len()].clone()).collect();
    let Ok(batches) = read(parser(&types, format()), text, settings.piece, settings.max_rows) else { return };
    let rows = plainly(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), settings.width);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows.map_or(0, |rows| rows.len()));
    for batch in batches {
        assert!((1..=settings.max_rows).contains(&batch.num_rows()));
        for (array, wanted) in batch.columns().iter().zip(&types) {
            assert!(array.data_type() == wanted || *array.data_type() == DataType::Binary);
            array.to_data().validate_full().unwrap();
        }
    }
}

/// Read apart, the parts of a file have its rows.
fn parts_hold_the_rows_of_the_whole(settings: &Settings, text: &[u8]) {
    let types = vec![DataType::Binary; settings.width];
    let Ok(whole) = read(parser(&types, format()), text, WHOLE, WHOLE) else { return };
    // Behind a byte order mark, and at about equal distances.
    let targets: Vec<u64> = (1..=4).map(|i| (text.len() as u64 * i / 5).max(4)).collect();
    let (mut fed_whole, mut ranges) =
        (CsvRanges::new(b',', Some(b'"'), targets.clone()), CsvRanges::new(b',', Some(b'"'), targets));
    fed_whole.feed(text);
    for piece in text.chunks(settings.piece) {
        ranges.feed(piece);
    }
    assert_eq!(fed_whole.cuts(), ranges.cuts());
    let cuts = ranges.cuts().iter().map(|cut| usize::try_from(*cut).unwrap());
    let mut edges: Vec<usize> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
    edges.dedup();
    let mut parts = Vec::new();
    for edge in edges.windows(2) {
        let part = CsvFormat { from_start: edge[0] == 0, ..format() };
        let batches = read(parser(&types, part), &text[edge[0]..edge[1]], settings.piece, settings.max_rows);
        parts.extend(cells(&batches.unwrap()));
    }
    assert_eq!(cells(&whole), parts);
}

#[test]
fn any_text() {
    bolero::check!().with_test_time(Duration::from_secs(4)).for_each(|bytes: &[u8]| {
        if let Some((settings, text)) = split(bytes) {
            cuts_do_not_count(&settings, text);
            rows_are_those_of_the_plain_reading(&settings, text);
            ragged_records_are_told_of(&settings, text);
            values_are_valid(&settings, text);
            parts_hold_the_rows_of_the_whole(&settings, text);
        }
    });
}
