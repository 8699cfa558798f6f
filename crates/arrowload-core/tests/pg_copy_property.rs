//! Laws of COPY: what is encoded is decoded again, wherever messages and batches are cut.

mod copy;

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray,
};
use arrow_buffer::{IntervalMonthDayNano, i256};
use arrow_schema::Schema;
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder, Encoder};
use proptest::collection::vec;
use proptest::prelude::*;

use copy::{column, header, message};

const MAX_ROWS: usize = 40;

type Column = (CopyColumn, ArrayRef);

fn primitive<T: ArrowPrimitiveType>(
    sql: &'static str,
    rows: usize,
    values: impl Strategy<Value = T::Native> + 'static,
) -> BoxedStrategy<Column> {
    let array = vec(proptest::option::of(values), rows).prop_map(move |values| -> Column {
        let column = column(sql, sql);
        let array = PrimitiveArray::<T>::from_iter(values).with_data_type(column.field.data_type().clone());
        (column, Arc::new(array))
    });
    array.boxed()
}

fn texts(sql: &'static str, rows: usize, pattern: &'static str) -> BoxedStrategy<Column> {
    let array = vec(proptest::option::of(pattern), rows)
        .prop_map(move |values| -> Column { (column(sql, sql), Arc::new(StringArray::from_iter(values))) });
    array.boxed()
}

fn digits(count: u32) -> impl Strategy<Value = i128> {
    // As many digits as there are, and not mostly long ones.
    (0..=count, any::<i128>()).prop_map(|(digits, value)| value % 10i128.pow(digits))
}

fn any_interval() -> impl Strategy<Value = IntervalMonthDayNano> {
    let nanoseconds = -9_223_372_036_854_775i64..=9_223_372_036_854_775;
    (any::<i32>(), any::<i32>(), nanoseconds).prop_map(|(m, d, n)| IntervalMonthDayNano::new(m, d, n * 1000))
}

fn lists(rows: usize) -> BoxedStrategy<Column> {
    // A rectangle of i32s for each row.
    let inner = |width: usize| vec(vec(proptest::option::of(any::<i32>()), width), 0..4);
    let list = proptest::option::of((1usize..4).prop_flat_map(inner));
    let array = vec(list, rows).prop_map(|lists| -> Column {
        let mut builder = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
        for list in lists {
            builder.append_option(list.map(|list| list.into_iter().map(Some)));
        }
        (column("int4[][]", "int4[][]"), Arc::new(builder.finish()))
    });
    array.boxed()
}

fn any_column(rows: usize) -> BoxedStrategy<Column> {
    let boolean = vec(any::<Option<bool>>(), rows)
        .prop_map(|values| -> Column { (column("bool", "bool"), Arc::new(BooleanArray::from(values))) });
    let binary = vec(any::<Option<Vec<u8>>>(), rows)
        .prop_map(|values| -> Column { (column("bytea", "bytea"), Arc::new(BinaryArray::from_iter(values))) });
    let uuid = vec(any::<Option<[u8; 16]>>(), rows).prop_map(|values| -> Column {
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 16).unwrap();
        (column("uuid", "uuid"), Arc::new(array))
    });
    let wide = (digits(38), digits(38)).prop_map(|(high, low)| {
        i256::from_i128(high).wrapping_mul(i256::from_i128(10i128.pow(38))).wrapping_add(i256::from_i128(low))
    });
    prop_oneof![
        boolean.boxed(),
        binary.boxed(),
        uuid.boxed(),
        lists(rows),
        primitive::<Int16Type>("int2", rows, any::<i16>()),
        primitive::<Int32Type>("int4", rows, any::<i32>()),
        primitive::<Int64Type>("int8", rows, any::<i64>()),
        primitive::<Int64Type>("oid", rows, any::<u32>().prop_map(i64::from)),
        primitive::<Float32Type>("float4", rows, any::<f32>()),
        primitive::<Float64Type>("float8", rows, any::<f64>()),
        primitive::<Decimal128Type>("numeric(15,2)", rows, digits(15)),
        primitive::<Decimal128Type>("numeric(38,7)", rows, digits(38)),
        primitive::<Decimal128Type>("numeric(20,17)", rows, digits(20)),
        primitive::<Decimal128Type>("numeric(18,0)", rows, digits(18)),
        primitive::<Decimal256Type>("numeric(76,21)", rows, wide),
        primitive::<Date32Type>("date", rows, -2_440_588..2_145_042_906),
        primitive::<Time64MicrosecondType>("time", rows, 0i64..86_400_000_000),
        primitive::<TimestampMicrosecondType>("timestamp", rows, -210_866_803_200_000_000..=i64::MAX),
        primitive::<TimestampMicrosecondType>("timestamptz", rows, -210_866_803_200_000_000..=i64::MAX),
        primitive::<IntervalMonthDayNanoType>("interval", rows, any_interval()),
        texts("text", rows, "[^\0]{0,40}"),
        texts("json", rows, "[a-z]{0,9}"),
        texts("jsonb", rows, "[^\0]{0,9}"),
        texts("\"char\"", rows, "[a-z]?"),
    ]
    .boxed()
}

fn any_batch() -> impl Strategy<Value = (Vec<CopyColumn>, RecordBatch)> {
    let columns = (0..=MAX_ROWS).prop_flat_map(|rows| vec(any_column(rows), 1..6));
    columns.prop_map(|columns| {
        let (columns, arrays): (Vec<CopyColumn>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>());
        (columns, RecordBatch::try_new(Arc::new(schema), arrays).unwrap())
    })
}

/// Rows `start..` of `batch` as messages of `rows_each` rows.
fn encoded(columns: &[CopyColumn], batch: &RecordBatch, rows_each: usize) -> Vec<Vec<u8>> {
    let encoder = Encoder::try_new(columns.to_vec()).unwrap();
    let mut payloads = vec![header()];
    for start in (0..batch.num_rows()).step_by(rows_each) {
        let mut payload = Vec::new();
        encoder.encode(batch, start..batch.num_rows().min(start + rows_each), &mut payload).unwrap();
        payloads.push(payload);
    }
    payloads.push(vec![0xff, 0xff]);
    payloads.iter().map(|payload| message(payload)).collect()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again((columns, batch) in any_batch(), rows_each in 1usize..9, skipped in 0usize..9) {
        // A slice has offsets of its own.
        let batch = batch.slice(skipped.min(batch.num_rows()), batch.num_rows().saturating_sub(skipped));
        let messages = encoded(&columns, &batch, rows_each).concat();
        let decoded = copy::decode(columns, DecodeOptions::default(), &messages).unwrap();
        prop_assert_eq!(decoded, batch);
    }

    #[test]
    fn where_messages_and_batches_are_cut_changes_nothing(
        (columns, batch) in any_batch(),
        cuts in vec(any::<(bool, bool)>(), MAX_ROWS + 2),
    ) {
        let mut decoder = Decoder::try_new(columns.clone(), DecodeOptions::default()).unwrap();
        let (mut pending, mut rows) = (Vec::new(), 0);
        let mut check = |decoded: RecordBatch| {
            assert_eq!(decoded, batch.slice(rows, decoded.num_rows()));
            rows += decoded.num_rows();
        };
        for (message, (push, take)) in encoded(&columns, &batch, 1).into_iter().zip(cuts) {
            pending.extend(message);
            if push {
                decoder.push(&std::mem::take(&mut pending)).unwrap();
            }
            if take {
                check(decoder.take().unwrap());
            }
        }
        decoder.push(&pending).unwrap();
        decoder.finish().unwrap();
        check(decoder.take().unwrap());
        prop_assert_eq!(rows, batch.num_rows());
    }
}
