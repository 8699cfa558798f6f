//! Whatever a batch holds, the encoder refuses it and leaves no trace, or writes what the decoder reads back.
//!
//! `cargo test` does this for a few seconds, `make fuzz` for as long as one likes.

mod copy;

use std::iter::repeat_with;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, DurationSecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, LargeBinaryArray,
    LargeStringArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
};
use arrow_buffer::{IntervalMonthDayNano, NullBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, Field, Schema};
use arrowload_core::KernelError;
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Encoder, WireType};

use copy::{column, decode, header, message};

const MAX_ROWS: usize = 12;

/// Numbers and values made of the fuzzer's bytes; zeros behind their end.
struct Entropy<'a>(&'a [u8]);

impl Entropy<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let length = N.min(self.0.len());
        let mut bytes = [0; N];
        bytes[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        bytes
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.bytes::<1>()[0]) % end
    }

    /// Whole numbers of any size, small ones and the ends of the range among them.
    fn number(&mut self) -> i128 {
        match self.below(8) {
            0 => self.bytes::<1>()[0].into(),
            1 => i32::from_le_bytes(self.bytes()).into(),
            2 => i64::from_le_bytes(self.bytes()).into(),
            3 => i128::from_le_bytes(self.bytes()),
            4 => i128::from(i64::MAX) - i128::from(self.bytes::<1>()[0]),
            5 => i128::from(i64::MIN) + i128::from(self.bytes::<1>()[0]),
            6 => -i128::from(self.bytes::<1>()[0]),
            _ => 10i128.pow(u32::from(self.bytes::<1>()[0]) % 39),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
    fn integer(&mut self) -> i64 {
        self.number() as i64
    }

    fn binary(&mut self) -> Vec<u8> {
        let length = self.below(24);
        repeat_with(|| self.bytes::<1>()[0]).take(length).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.binary()).into_owned()
    }

    /// One of four is NULL.
    fn options<T>(&mut self, rows: usize, mut value: impl FnMut(&mut Self) -> T) -> Vec<Option<T>> {
        (0..rows).map(|_| if self.below(4) == 0 { None } else { Some(value(self)) }).collect()
    }
}

/// A column as it is encoded and as it is decoded again.
///
/// An Arrow interval has nanoseconds and holds less than one of the server, which durations can reach.
struct Pair {
    wire: WireType,
    given: ArrayRef,
    read: (CopyColumn, ArrayRef),
    readable: bool,
}

impl Pair {
    fn new(sql: &str, given: ArrayRef, read: ArrayRef) -> Self {
        let column = column("c", sql);
        Self { wire: column.wire.clone(), given, read: (column, read), readable: true }
    }

    fn same(sql: &str, array: ArrayRef) -> Self {
        Self::new(sql, array.clone(), array)
    }
}

/// A value below each NULL, too: nobody may look at it.
fn primitive<'a, T: ArrowPrimitiveType>(
    entropy: &mut Entropy<'a>,
    rows: usize,
    mut value: impl FnMut(&mut Entropy<'a>) -> T::Native,
) -> PrimitiveArray<T> {
    let values: Vec<T::Native> = (0..rows).map(|_| value(entropy)).collect();
    let valid: Vec<bool> = (0..rows).map(|_| entropy.below(4) != 0).collect();
    PrimitiveArray::new(ScalarBuffer::from(values), Some(NullBuffer::from(valid)))
}

fn same<'a, T: ArrowPrimitiveType>(
    sql: &str,
    entropy: &mut Entropy<'a>,
    rows: usize,
    value: impl FnMut(&mut Entropy<'a>) -> T::Native,
) -> Pair {
    let array = primitive::<T>(entropy, rows, value).with_data_type(column("c", sql).field.data_type().clone());
    Pair::same(sql, Arc::new(array))
}

/// A column in another unit than the one that it is read in: `factor` to multiply with, `divisor` to divide by.
fn unit<'a, T: ArrowPrimitiveType, R: ArrowPrimitiveType<Native = i64>>(
    sql: &str,
    entropy: &mut Entropy<'a>,
    rows: usize,
    (factor, divisor): (i64, i64),
    value: impl FnMut(&mut Entropy<'a>) -> T::Native,
) -> Pair
where
    T::Native: Into<i64>,
{
    let given = primitive::<T>(entropy, rows, value);
    let read: PrimitiveArray<R> = given.iter().map(|v| v.map(|v| v.into().wrapping_mul(factor) / divisor)).collect();
    let read = read.with_data_type(column("c", sql).field.data_type().clone());
    match given.data_type() {
        // Only a zone tells `timestamptz` from `timestamp`.
        DataType::Timestamp(unit, _) if sql == "timestamptz" => {
            let zoned = DataType::Timestamp(*unit, Some("Asia/Kolkata".into()));
            Pair::new(sql, Arc::new(given.with_data_type(zoned)), Arc::new(read))
        }
        _ => Pair::new(sql, Arc::new(given), Arc::new(read)),
    }
}

fn texts(sql: &str, entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    let values = entropy.options(rows, Entropy::text);
    let read: ArrayRef = Arc::new(StringArray::from(values.clone()));
    let given: ArrayRef = match entropy.below(4) {
        0 => Arc::new(LargeStringArray::from(values)),
        1 => Arc::new(StringViewArray::from_iter(values)),
        2 => Arc::new(values.iter().map(Option::as_deref).collect::<DictionaryArray<Int8Type>>()),
        _ => read.clone(),
    };
    Pair::new(sql, given, read)
}

fn binaries(entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    let values = entropy.options(rows, Entropy::binary);
    let read: ArrayRef = Arc::new(values.iter().collect::<BinaryArray>());
    let given: ArrayRef =
        if entropy.below(2) == 0 { Arc::new(values.iter().collect::<LargeBinaryArray>()) } else { read.clone() };
    Pair::new("bytea", given, read)
}

fn lists(entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    let mut builder = ListBuilder::new(Int32Builder::new());
    for _ in 0..rows {
        let length = entropy.below(5);
        let items = entropy.options(length, |entropy| i32::from_le_bytes(entropy.bytes()));
        builder.append_option((entropy.below(4) != 0).then_some(items));
    }
    Pair::same("int4[]", Arc::new(builder.finish()))
}

/// Most of them are no rectangles, which the server does not have.
fn lists_of_lists(entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    let mut builder = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    for _ in 0..rows {
        let (length, width) = (entropy.below(4), entropy.below(3));
        let ragged = entropy.below(8) == 0;
        let items: Vec<Option<Vec<Option<i32>>>> = (0..length)
            .map(|i| {
                if ragged && i == 1 {
                    None
                } else {
                    Some(entropy.options(width + usize::from(ragged), |e| i32::from_le_bytes(e.bytes())))
                }
            })
            .collect();
        builder.append_option((entropy.below(4) != 0).then_some(items));
    }
    Pair::same("int4[][]", Arc::new(builder.finish()))
}

#[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
fn any_pair(entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    const SECOND: (i64, i64) = (1_000_000, 1);
    const MILLISECOND: (i64, i64) = (1000, 1);
    const NANOSECOND: (i64, i64) = (1, 1000);
    let zoned = if entropy.below(2) == 0 { "timestamp" } else { "timestamptz" };
    match entropy.below(29) {
        0 => Pair::same("bool", Arc::new(BooleanArray::from(entropy.options(rows, |e| e.below(2) == 0)))),
        1 => same::<Int16Type>("int2", entropy, rows, |e| e.number() as i16),
        2 => same::<Int32Type>("int4", entropy, rows, |e| e.number() as i32),
        3 => same::<Int64Type>("int8", entropy, rows, Entropy::integer),
        4 => same::<Int64Type>("oid", entropy, rows, Entropy::integer),
        5 => same::<Float32Type>("float4", entropy, rows, |e| f32::from_le_bytes(e.bytes())),
        6 => same::<Float64Type>("float8", entropy, rows, |e| f64::from_le_bytes(e.bytes())),
        7 => same::<Decimal128Type>("numeric(15,2)", entropy, rows, |e| e.number() % 10i128.pow(15)),
        8 => same::<Decimal128Type>("numeric(38,7)", entropy, rows, |e| e.number() % 10i128.pow(38)),
        9 => same::<Decimal128Type>("numeric(20,17)", entropy, rows, |e| e.number() % 10i128.pow(20)),
        10 => same::<Decimal256Type>("numeric(76,21)", entropy, rows, |e| {
            let high = i256::from_i128(e.number() % 10i128.pow(38));
            high.wrapping_mul(i256::from_i128(10i128.pow(38)))
                .wrapping_add(i256::from_i128(e.number() % 10i128.pow(38)))
        }),
        11 => same::<Date32Type>("date", entropy, rows, |e| e.number() as i32),
        12 => same::<Time64MicrosecondType>("time", entropy, rows, Entropy::integer),
        13 => same::<TimestampMicrosecondType>(zoned, entropy, rows, Entropy::integer),
        14 => same::<IntervalMonthDayNanoType>("interval", entropy, rows, |e| {
            IntervalMonthDayNano::new(e.number() as i32, e.number() as i32, e.integer())
        }),
        15 => texts("text", entropy, rows),
        16 => texts("json", entropy, rows),
        17 => texts("jsonb", entropy, rows),
        18 => texts("\"char\"", entropy, rows),
        19 => binaries(entropy, rows),
        20 => {
            let values = entropy.options(rows, Entropy::bytes::<16>);
            let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).unwrap();
            Pair::same("uuid", Arc::new(array))
        }
        21 => lists(entropy, rows),
        22 => lists_of_lists(entropy, rows),
        23 => unit::<Time32SecondType, Time64MicrosecondType>("time", entropy, rows, SECOND, |e| e.number() as i32),
        24 => unit::<Time32MillisecondType, Time64MicrosecondType>("time", entropy, rows, MILLISECOND, |e| {
            e.number() as i32
        }),
        25 => unit::<Time64NanosecondType, Time64MicrosecondType>("time", entropy, rows, NANOSECOND, Entropy::integer),
        26 => unit::<TimestampSecondType, TimestampMicrosecondType>(zoned, entropy, rows, SECOND, Entropy::integer),
        27 => unit::<TimestampMillisecondType, TimestampMicrosecondType>(
            zoned,
            entropy,
            rows,
            MILLISECOND,
            Entropy::integer,
        ),
        _ => unit::<TimestampNanosecondType, TimestampMicrosecondType>(
            zoned,
            entropy,
            rows,
            NANOSECOND,
            Entropy::integer,
        ),
    }
}

/// Seconds as an interval of no months and no days.
fn durations(entropy: &mut Entropy<'_>, rows: usize) -> Pair {
    let given = primitive::<DurationSecondType>(entropy, rows, Entropy::integer);
    let interval = |seconds: i64| IntervalMonthDayNano::new(0, 0, seconds.wrapping_mul(1_000_000_000));
    let read: PrimitiveArray<IntervalMonthDayNanoType> = given.iter().map(|v| v.map(interval)).collect();
    let readable = given.iter().flatten().all(|seconds| seconds.checked_mul(1_000_000_000).is_some());
    Pair { readable, ..Pair::new("interval", Arc::new(given), Arc::new(read)) }
}

fn batch(columns: &[CopyColumn], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn check(bytes: &[u8]) {
    let mut entropy = Entropy(bytes);
    let rows = entropy.below(MAX_ROWS);
    let count = 1 + entropy.below(4);
    let pairs: Vec<Pair> = (0..count)
        .map(|_| if entropy.below(16) == 0 { durations(&mut entropy, rows) } else { any_pair(&mut entropy, rows) })
        .collect();
    let given = |pair: &Pair| CopyColumn {
        name: "c".into(),
        wire: pair.wire.clone(),
        field: Arc::new(Field::new("c", pair.given.data_type().clone(), true)),
    };
    let columns: Vec<CopyColumn> = pairs.iter().map(given).collect();
    let whole = batch(&columns, pairs.iter().map(|pair| pair.given.clone()).collect());
    let readable = pairs.iter().all(|pair| pair.readable);
    let (read, expected): (Vec<CopyColumn>, Vec<ArrayRef>) = pairs.into_iter().map(|pair| pair.read).unzip();
    let expected = batch(&read, expected);

    // A slice has offsets of its own, and rows may be asked for from anywhere in it.
    let skipped = entropy.below(rows + 1);
    let (whole, expected) = (whole.slice(skipped, rows - skipped), expected.slice(skipped, rows - skipped));
    let start = entropy.below(rows - skipped + 1);
    let encoder = Encoder::try_new(columns).unwrap();
    let mut payload = header();
    match encoder.encode(&whole, start..whole.num_rows(), &mut payload) {
        Ok(()) => {}
        Err(KernelError::CopyValue { row, .. }) => {
            assert!((start..whole.num_rows()).contains(&row), "row {row}");
            assert_eq!(payload, header());
            return;
        }
        Err(other) => panic!("{other}"),
    }
    Encoder::trailer(&mut payload);
    let decoded = decode(read, DecodeOptions::default(), &message(&payload));
    if !readable && matches!(decoded, Err(KernelError::CopyValue { .. })) {
        return;
    }
    let decoded = decoded.unwrap();
    assert_eq!(decoded, expected.slice(start, expected.num_rows() - start));
}

#[test]
fn any_batch() {
    bolero::check!().with_test_time(Duration::from_secs(4)).for_each(check);
}
