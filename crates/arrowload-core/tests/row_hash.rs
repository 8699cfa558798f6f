//! Golden values of the row hash, and what does and does not change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Date64Type, DurationMillisecondType, Int32Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampSecondType, UInt8Type,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, NullArray,
    PrimitiveArray, RecordBatch, RecordBatchOptions, RunArray, StringArray, StringViewArray, StructArray, UInt64Array,
    UnionArray,
};
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, ScalarBuffer, i256};
use arrow_schema::{DataType, Field, Schema, UnionFields};
use arrowload_core::{ContentHash, KernelError, content_hash, row_hash};

const GOLDEN: &str = include_str!("golden/row_hash.tsv");

fn batch(columns: impl IntoIterator<Item = ArrayRef>) -> RecordBatch {
    let columns: Vec<_> = columns.into_iter().collect();
    let field = |(i, column): (usize, &ArrayRef)| Field::new(format!("c{i}"), column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()));
    let rows = columns.first().map_or(1, Array::len);
    RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows))).unwrap()
}

fn one<T: ArrowPrimitiveType>(value: T::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values([value]))
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn decimal128(value: i128, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap())
}

fn decimal256(value: &str, precision: u8, scale: i8) -> ArrayRef {
    let value = i256::from_string(value).unwrap();
    Arc::new(Decimal256Array::from(vec![value]).with_precision_and_scale(precision, scale).unwrap())
}

fn list(values: &[Option<i32>]) -> ArrayRef {
    let mut builder = ListBuilder::new(Int32Builder::new());
    builder.append_value(values.iter().copied());
    Arc::new(builder.finish())
}

fn map() -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    builder.keys().append_value("k");
    builder.values().append_value(1);
    builder.keys().append_value("n");
    builder.values().append_null();
    builder.append(true).unwrap();
    Arc::new(builder.finish())
}

fn structure() -> ArrayRef {
    let fields = [("a", one::<Int32Type>(1)), ("b", text("x"))];
    Arc::new(StructArray::try_from(fields.to_vec()).unwrap())
}

fn instant(value: i64, zone: Option<&str>) -> ArrayRef {
    let array = PrimitiveArray::<TimestampMicrosecondType>::from_iter_values([value]);
    Arc::new(array.with_timezone_opt(zone))
}

fn cases() -> BTreeMap<&'static str, RecordBatch> {
    let digits_76 = "1234567890123456789012345678901234567890123456789012345678901234567890123456";
    let scalars: [(&str, ArrayRef); 33] = [
        ("null", Arc::new(NullArray::new(1))),
        ("false", Arc::new(BooleanArray::from(vec![false]))),
        ("true", Arc::new(BooleanArray::from(vec![true]))),
        ("integer_5", Arc::new(Int8Array::from(vec![5]))),
        ("integer_minus_1", Arc::new(Int64Array::from(vec![-1]))),
        ("integer_max_u64", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("integer_256_bits", decimal256(digits_76, 76, 0)),
        ("integer_negative_scale", decimal128(123, 5, -2)),
        ("decimal_1_20", decimal128(120, 10, 2)),
        ("decimal_128_bits", decimal128(-12_345_678_901_234_567_890_123_456_789_012_345_678, 38, 10)),
        ("decimal_256_bits", decimal256(digits_76, 76, 38)),
        ("float_1_5", Arc::new(Float32Array::from(vec![1.5]))),
        ("float_negative_zero", Arc::new(Float64Array::from(vec![-0.0]))),
        ("float_nan", Arc::new(Float64Array::from(vec![f64::from_bits(0xfff8_0000_0000_0001)]))),
        ("text_empty", text("")),
        ("text_accent", text("é")),
        ("text_300", text(&"x".repeat(300))),
        ("binary", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
        ("date", one::<Date32Type>(-1)),
        ("time", one::<Time64MicrosecondType>(86_399_999_999)),
        ("timestamp_before_1970", instant(-1, None)),
        ("timestamp_utc", instant(1_700_000_000_000_001, Some("UTC"))),
        ("duration", one::<DurationMillisecondType>(-1_500)),
        ("interval", one::<IntervalMonthDayNanoType>(IntervalMonthDayNano::new(1, -2, 3))),
        ("list", list(&[Some(1), None])),
        ("list_empty", list(&[])),
        ("struct", structure()),
        ("map", map()),
        ("text_1_byte", text("a")),
        ("text_200", text(&"ab".repeat(100))),
        ("text_1000", text(&"abcde".repeat(200))),
        ("integer_min_i64", Arc::new(Int64Array::from(vec![i64::MIN]))),
        ("integer_0", decimal128(0, 38, 38)),
    ];
    let mut cases: BTreeMap<_, _> = scalars.into_iter().map(|(name, column)| (name, batch([column]))).collect();
    cases.insert("no_columns", batch([]));
    cases.insert("texts_ab_c", batch([text("ab"), text("c")]));
    cases.insert("texts_a_bc", batch([text("a"), text("bc")]));
    cases.insert("row", batch([one::<Int32Type>(1), decimal128(120, 10, 2), text("x"), Arc::new(NullArray::new(1))]));
    cases
}

fn hex(batch: &RecordBatch) -> String {
    let hash = u128::from_be_bytes(row_hash(batch).unwrap().value(0).try_into().unwrap());
    format!("{hash:032x}")
}

#[test]
fn every_case_has_its_golden_hash() {
    let golden = GOLDEN.lines().skip(1).map(|line| {
        let [name, _row_bytes, hash] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        (name, hash.to_owned())
    });
    let hashes = cases().iter().map(|(name, batch)| (*name, hex(batch))).collect::<BTreeMap<_, _>>();
    assert_eq!(hashes, golden.collect());
}

#[test]
fn different_rows_differ() {
    let cases = cases();
    let hashes: BTreeMap<_, _> = cases.iter().map(|(name, batch)| (hex(batch), name)).collect();
    assert_eq!(hashes.len(), cases.len());
}

#[test]
fn dress_does_not_count() {
    let dictionary: DictionaryArray<UInt8Type> = ["x"].into_iter().collect();
    let runs: RunArray<Int32Type> = ["x"].into_iter().collect();
    let zoned = PrimitiveArray::<TimestampSecondType>::from_iter_values([7]).with_timezone("Europe/Berlin");
    let day_time = one::<IntervalDayTimeType>(IntervalDayTime::new(0, -1_500));
    let equal: [(ArrayRef, ArrayRef); 11] = [
        (Arc::new(Int8Array::from(vec![5])), Arc::new(UInt64Array::from(vec![5]))),
        (Arc::new(Int64Array::from(vec![-5])), decimal128(-500, 10, 2)),
        (decimal128(120, 10, 2), decimal256("12000", 60, 4)),
        (Arc::new(Float32Array::from(vec![0.1])), Arc::new(Float64Array::from(vec![f64::from(0.1_f32)]))),
        (text("x"), Arc::new(LargeStringArray::from(vec!["x"]))),
        (text("x"), Arc::new(StringViewArray::from(vec!["x"]))),
        (text("x"), Arc::new(dictionary)),
        (text("x"), Arc::new(runs)),
        (Arc::new(zoned), instant(7_000_000, Some("UTC"))),
        (one::<DurationMillisecondType>(-1_500), day_time),
        (one::<Date32Type>(2), one::<Date64Type>(2 * 86_400_000)),
    ];
    for (left, right) in equal {
        assert_eq!(hex(&batch([left.clone()])), hex(&batch([right.clone()])), "{left:?} {right:?}");
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([b"ab"].into_iter()).unwrap();
    assert_eq!(hex(&batch([Arc::new(fixed) as _])), hex(&batch([Arc::new(BinaryArray::from(vec![&b"ab"[..]])) as _])));
}

#[test]
fn slices_hash_as_their_rows_and_parts_merge() {
    let ids: Int32Array = (0..100).map(|i| (i % 7 != 0).then_some(i)).collect();
    let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|i| "x".repeat(i % 5))));
    let whole = batch([Arc::new(ids) as _, words]);
    let (head, tail) = (whole.slice(0, 33), whole.slice(33, 67));

    let merged = content_hash(&tail).unwrap().merge(content_hash(&head).unwrap());

    assert_eq!(row_hash(&whole).unwrap().slice(33, 67), row_hash(&tail).unwrap());
    assert_eq!(merged, content_hash(&whole).unwrap());
    assert_eq!(content_hash(&whole.slice(0, 0)).unwrap(), ContentHash::default());
}

#[test]
fn the_content_hash_is_the_sum_of_row_hashes() {
    let rows = batch([Arc::new(Int32Array::from(vec![1, 2, 2])) as ArrayRef]);

    let hashes = row_hash(&rows).unwrap();
    let sum = hashes
        .iter()
        .flatten()
        .fold(0u128, |sum, hash| sum.wrapping_add(u128::from_le_bytes(hash.try_into().unwrap())));

    assert_eq!(content_hash(&rows).unwrap(), ContentHash { rows: 3, sum });
}

#[test]
fn a_type_without_a_rule_names_its_column() {
    let fields = UnionFields::from_fields([Field::new("i", DataType::Int32, true)]);
    let union = UnionArray::try_new(fields, ScalarBuffer::from(vec![0]), None, vec![one::<Int32Type>(1)]).unwrap();
    for column in [Arc::new(union) as ArrayRef, decimal128(1, 38, -39)] {
        let refused = row_hash(&batch([text("x"), column])).unwrap_err();
        assert!(matches!(refused, KernelError::UnsupportedColumn { ref column, .. } if column == "c1"), "{refused}");
    }
}
