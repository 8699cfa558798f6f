//! Rows per second of each kernel: `cargo bench -p arrowload-core`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::types::Date32Type;
use arrow_array::{ArrayRef, Decimal128Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrowload_core::{OnSpecial, content_hash, numeric_to_decimal, row_hash};

const ROWS: u32 = 1_000_000;
const RUNS: u32 = 5;

fn main() {
    let batch = lineitem();
    let expected = content_hash(&batch).expect("every type is supported");
    assert_eq!(expected.rows, u64::from(ROWS));
    time("row_hash, 16 columns", || row_hash(&batch));
    time("content_hash, 16 columns", || content_hash(&batch));
    for (name, scale, text) in numeric_texts() {
        time(&format!("numeric_to_decimal, {name}"), || numeric_to_decimal(&text, 38, scale, OnSpecial::Error));
    }
}

fn time<T, E: std::fmt::Debug>(name: &str, kernel: impl Fn() -> Result<T, E>) {
    let best = (0..RUNS).map(|_| {
        let start = Instant::now();
        black_box(kernel().expect("the input is valid"));
        start.elapsed().as_secs_f64()
    });
    let seconds = best.fold(f64::INFINITY, f64::min);
    println!("{name:40} {seconds:.4} s  {:6.1} M rows/s", f64::from(ROWS) / seconds / 1e6);
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
