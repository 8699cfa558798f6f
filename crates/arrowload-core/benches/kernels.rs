//! Rows per second of each kernel: `cargo bench -p arrowload-core`; only COPY with `-- pg_copy`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::types::Date32Type;
use arrow_array::{ArrayRef, Decimal128Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrowload_core::csv::{CsvFormat, CsvParser};
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder, Encoder, WireType};
use arrowload_core::{KernelResult, OnSpecial, content_hash, numeric_to_decimal, row_hash};

const ROWS: u32 = 1_000_000;
const RUNS: u32 = 5;
/// What a reader hands to the decoder at once, and a batch that it takes.
const PIECE_BYTES: usize = 256 * 1024;
const BATCH_ROWS: usize = 65_536;

fn main() {
    let batch = lineitem();
    let expected = content_hash(&batch).expect("every type is supported");
    assert_eq!(expected.rows, u64::from(ROWS));
    if std::env::args().any(|argument| argument == "pg_copy") {
        copy(&batch);
        return;
    }
    time("row_hash, 16 columns", || row_hash(&batch));
    time("content_hash, 16 columns", || content_hash(&batch));
    copy(&batch);
    let text = csv_text();
    assert_eq!(parse_csv(&text).expect("the text is regular"), ROWS as usize);
    time("CsvParser, 7 columns", || parse_csv(&text));
    for (name, scale, text) in numeric_texts() {
        time(&format!("numeric_to_decimal, {name}"), || numeric_to_decimal(&text, 38, scale, OnSpecial::Error));
    }
}

/// COPY of lineitem, both ways.
fn copy(batch: &RecordBatch) {
    let encoder = Encoder::try_new(copy_columns(batch)).expect("every type is supported");
    let mut stream = Vec::new();
    encoder.encode(batch, 0..batch.num_rows(), &mut stream).expect("every value is");
    let pieces = framed(&stream);
    let mut rows = 0;
    decode(batch, &pieces, |decoded| {
        assert_eq!(decoded, batch.slice(rows, decoded.num_rows()));
        rows += decoded.num_rows();
    });
    assert_eq!(rows, batch.num_rows());
    let name = |what| format!("pg_copy {what}, 16 columns, {} MB", stream.len() / 1_000_000);
    time(&name("decode"), || {
        decode(batch, &pieces, drop);
        Ok::<_, ()>(pieces.len())
    });
    let mut out = Vec::new();
    time(&name("encode"), || {
        for start in (0..batch.num_rows()).step_by(4096) {
            out.clear();
            encoder.encode(batch, start..batch.num_rows().min(start + 4096), &mut out)?;
        }
        Ok::<_, arrowload_core::KernelError>(out.len())
    });
}

fn copy_columns(batch: &RecordBatch) -> Vec<CopyColumn> {
    let column = |field: &arrow_schema::FieldRef| {
        let wire = match field.data_type() {
            DataType::Int64 => WireType::Int8,
            DataType::Int32 => WireType::Int4,
            DataType::Decimal128(..) => WireType::Numeric,
            DataType::Date32 => WireType::Date,
            _ => WireType::Text,
        };
        CopyColumn { name: field.name().clone(), wire, field: field.clone() }
    };
    batch.schema().fields().iter().map(column).collect()
}

/// A message for each row, in pieces as a connection reads them.
fn framed(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut first = Vec::new();
    Encoder::header(&mut first);
    let mut at = 0;
    while at < stream.len() {
        let start = at;
        at += 2;
        for _ in 0..16 {
            let length = i32::from_be_bytes(stream[at..at + 4].try_into().expect("four bytes"));
            at += 4 + usize::try_from(length).unwrap_or(0);
        }
        let payload = [std::mem::take(&mut first), stream[start..at].to_vec()].concat();
        let piece = pieces.last_mut().expect("there is one");
        piece.push(b'd');
        piece.extend_from_slice(&u32::try_from(payload.len() + 4).expect("short").to_be_bytes());
        piece.extend_from_slice(&payload);
        if piece.len() >= PIECE_BYTES {
            pieces.push(Vec::new());
        }
    }
    pieces
}

fn decode(batch: &RecordBatch, pieces: &[Vec<u8>], mut take: impl FnMut(RecordBatch)) {
    let mut decoder = Decoder::try_new(copy_columns(batch), DecodeOptions::default()).expect("every type is supported");
    for piece in pieces {
        decoder.push(piece).expect("the stream is whole");
        if decoder.rows() >= BATCH_ROWS {
            take(decoder.take().expect("nothing was refused"));
        }
    }
    take(decoder.take().expect("nothing was refused"));
}

fn time<T, E: std::fmt::Debug>(name: &str, mut kernel: impl FnMut() -> Result<T, E>) {
    let best = (0..RUNS).map(|_| {
        let start = Instant::now();
        black_box(kernel().expect("the input is valid"));
        start.elapsed().as_secs_f64()
    });
    let seconds = best.fold(f64::INFINITY, f64::min);
    println!("{name:40} {seconds:.4} s  {:6.1} M rows/s", f64::from(ROWS) / seconds / 1e6);
}

/// Text to typed columns: the shapes of lineitem's cells, a comment in quotes.
fn parse_csv(text: &[u8]) -> KernelResult<usize> {
    let (money, int) = (DataType::Decimal128(15, 2), DataType::Int64);
    let types = [int.clone(), int, money.clone(), money, DataType::Date32, DataType::Utf8, DataType::Utf8];
    let fields = types.map(|kind| Field::new("c", kind, true));
    let format = CsvFormat {
        delimiter: b',',
        quote: Some(b'"'),
        null_values: vec![Vec::new()],
        skip_lines: 0,
        skip_records: 0,
        max_record: 1 << 20,
        from_start: true,
        takes_ragged: false,
    };
    let mut parser = CsvParser::new(Arc::new(Schema::new(fields.to_vec())), vec![true; fields.len()], format);
    let mut rows = 0;
    for piece in text.chunks(1 << 20) {
        parser.feed(piece)?;
        while let Some(batch) = parser.next_batch(65_536)? {
            rows += black_box(batch).num_rows();
        }
    }
    parser.finish();
    while let Some(batch) = parser.next_batch(65_536)? {
        rows += black_box(batch).num_rows();
    }
    Ok(rows)
}

fn csv_text() -> Vec<u8> {
    let row = |i: u32| format!("{i},{},{}.{:02},0.04,1996-03-13,TRUCK,\"even, {i}\"\n", i / 7, i % 90_000, i % 100);
    (0..ROWS).map(row).collect::<String>().into_bytes()
}

/// The shape of TPC-H's lineitem.
fn lineitem() -> RecordBatch {
    let mix = |i: u32, salt: u32| i.wrapping_mul(2_654_435_761).wrapping_add(salt).rotate_left(salt % 31) >> 4;
    let int64 = |salt| -> ArrayRef { Arc::new(Int64Array::from_iter_values((0..ROWS).map(|i| mix(i, salt).into()))) };
    let money = |salt: u32, modulus: u32, unit: i128| -> ArrayRef {
        let values = (0..ROWS).map(|i| i128::from(mix(i, salt) % modulus) * unit);
        Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(15, 2).expect("valid"))
    };
    let date = |salt| -> ArrayRef {
        let days = (0..ROWS).map(|i| i32::try_from(mix(i, salt) % 2500).expect("small") + 8000);
        Arc::new(PrimitiveArray::<Date32Type>::from_iter_values(days))
    };
    let text = |salt, words: &[&str]| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| words[mix(i, salt) as usize % words.len()])))
    };
    let comment = |salt| -> ArrayRef {
        let source = "egular courts above the furiously final deposits sleep slyly";
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| &source[..10 + mix(i, salt) as usize % 34])))
    };
    let lines: ArrayRef =
        Arc::new(Int32Array::from_iter_values((0..ROWS).map(|i| i32::try_from(i % 7).expect("small"))));
    RecordBatch::try_from_iter([
        ("l_orderkey", int64(1)),
        ("l_partkey", int64(2)),
        ("l_suppkey", int64(3)),
        ("l_linenumber", lines),
        ("l_quantity", money(4, 50, 100)),
        ("l_extendedprice", money(5, 10_000_000, 1)),
        ("l_discount", money(6, 11, 1)),
        ("l_tax", money(7, 9, 1)),
        ("l_returnflag", text(8, &["N", "R", "A"])),
        ("l_linestatus", text(9, &["O", "F"])),
        ("l_shipdate", date(10)),
        ("l_commitdate", date(11)),
        ("l_receiptdate", date(12)),
        ("l_shipinstruct", text(13, &["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"])),
        ("l_shipmode", text(14, &["TRUCK", "MAIL", "REG AIR", "AIR", "FOB", "SHIP", "RAIL"])),
        ("l_comment", comment(15)),
    ])
    .expect("equal lengths")
}

fn numeric_texts() -> [(&'static str, i8, StringArray); 3] {
    let text = |format: fn(u32) -> String| StringArray::from_iter_values((0..ROWS).map(format));
    [
        ("12345.67", 2, text(|i| format!("{}.{:02}", i.wrapping_mul(2_654_435_761) % 100_000, i % 100))),
        ("15 digits", 4, text(|i| format!("-{}.{:04}", 10_000_000_000 + u64::from(i) * 7919, i % 10_000))),
        ("38 digits", 10, text(|i| format!("{}.{:010}", 10u128.pow(27) + u128::from(i), i))),
    ]
}
