//! Values become the bytes that a real server sends for them; what it would take for something else is refused.

mod copy;

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::{
    Date32Type, Int8Type, IntervalMonthDayNanoType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, DurationMicrosecondArray, Int64Array, LargeStringArray, PrimitiveArray,
    RecordBatch, StringArray, StringViewArray,
};
use arrow_buffer::IntervalMonthDayNano;
use arrow_schema::{Field, Schema};
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Encoder, WireType};
use arrowload_core::{KernelError, KernelResult};

use copy::{column, decode, golden_stream, goldens, header, message, messages, row};

fn encode_one(wire: WireType, array: ArrayRef) -> KernelResult<Vec<u8>> {
    let field = Arc::new(Field::new("c", array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let rows = array.len();
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    let mut out = Vec::new();
    Encoder::try_new(vec![CopyColumn { name: "c".into(), wire, field }])?.encode(&batch, 0..rows, &mut out)?;
    Ok(out)
}

#[test]
fn golden_values_are_written_as_the_server_writes_them() {
    let mut written = 0;
    for golden in goldens() {
        // An undeclared numeric has a scale of its own for each value.
        if golden.sql == "numeric" {
            continue;
        }
        let bytes = row(&[Some(&golden.field)]);
        let Ok(batch) =
            decode(vec![column("c", &golden.sql)], DecodeOptions::default(), &messages(std::slice::from_ref(&bytes)))
        else {
            continue;
        };
        let encoded = encode_one(column("c", &golden.sql).wire, batch.column(0).clone());
        assert_eq!(encoded.unwrap(), bytes, "{} {}", golden.sql, golden.value);
        written += 1;
    }
    assert!(written > 130);
}

#[test]
fn whole_streams_of_a_server_come_back() {
    let two = || vec![column("a", "int4"), column("b", "text")];
    for (name, columns, rows) in [("no rows", two(), 0), ("no columns", vec![], 3), ("rows", two(), 20)] {
        let stream = golden_stream(name);
        let batch = decode(columns.clone(), DecodeOptions::default(), &message(&stream)).unwrap();
        let mut encoded = Vec::new();
        Encoder::header(&mut encoded);
        Encoder::try_new(columns).unwrap().encode(&batch, 0..rows, &mut encoded).unwrap();
        Encoder::trailer(&mut encoded);

        assert_eq!(batch.num_rows(), rows);
        assert_eq!(encoded, stream, "{name}");
        assert!(encoded.starts_with(&header()));
    }
}

#[test]
fn every_layout_of_text_is_written_alike() {
    let texts = [Some("a"), None, Some(""), Some("a")];
    let expected = encode_one(WireType::Text, Arc::new(StringArray::from_iter(texts))).unwrap();
    let layouts: [ArrayRef; 3] = [
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
        Arc::new(texts.into_iter().collect::<DictionaryArray<Int8Type>>()),
    ];
    for array in layouts {
        assert_eq!(encode_one(WireType::Text, array).unwrap(), expected);
    }
    let none: DictionaryArray<Int8Type> = [None::<&str>].into_iter().collect();
    assert_eq!(encode_one(WireType::Text, Arc::new(none)).unwrap(), row(&[None]));
}

#[test]
fn every_unit_of_time_is_written_alike() {
    let micros = Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![-1_000_000]));
    let expected = encode_one(WireType::Timestamp, micros).unwrap();
    let seconds = Arc::new(PrimitiveArray::<TimestampSecondType>::from(vec![-1]));
    let nanos = Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(vec![-1_000_000_000]));
    assert_eq!(encode_one(WireType::Timestamp, seconds).unwrap(), expected);
    assert_eq!(encode_one(WireType::Timestamp, nanos).unwrap(), expected);

    let time = encode_one(WireType::Time, Arc::new(PrimitiveArray::<Time64MicrosecondType>::from(vec![5_000_000])));
    let seconds = encode_one(WireType::Time, Arc::new(PrimitiveArray::<Time32SecondType>::from(vec![5])));
    assert_eq!(seconds.unwrap(), time.unwrap());

    let duration = encode_one(WireType::Interval, Arc::new(DurationMicrosecondArray::from(vec![7])));
    let interval = PrimitiveArray::<IntervalMonthDayNanoType>::from(vec![IntervalMonthDayNano::new(0, 0, 7000)]);
    assert_eq!(duration.unwrap(), encode_one(WireType::Interval, Arc::new(interval)).unwrap());
}

#[test]
fn what_the_server_would_take_for_something_else_is_refused() {
    let lists = |inner: &[usize]| -> ArrayRef {
        let mut builder = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
        for length in inner {
            builder.values().append_value(vec![Some(1); *length]);
        }
        builder.append(true);
        Arc::new(builder.finish())
    };
    let int4s = || WireType::from_name("int4[]", 23).unwrap();
    let interval = IntervalMonthDayNano::new(0, 0, 1);
    let cases: Vec<(WireType, ArrayRef)> = vec![
        (WireType::Date, Arc::new(PrimitiveArray::<Date32Type>::from(vec![-2_440_589]))),
        (WireType::Date, Arc::new(PrimitiveArray::<Date32Type>::from(vec![i32::MIN + 10_957]))),
        (WireType::Date, Arc::new(PrimitiveArray::<Date32Type>::from(vec![i32::MAX]))),
        (WireType::Timestamp, Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![i64::MIN]))),
        (
            WireType::Timestamp,
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![-210_866_803_200_000_001])),
        ),
        (WireType::Timestamp, Arc::new(PrimitiveArray::<TimestampSecondType>::from(vec![i64::MAX]))),
        (WireType::Timestamp, Arc::new(PrimitiveArray::<TimestampNanosecondType>::from(vec![1]))),
        (WireType::Time, Arc::new(PrimitiveArray::<Time64MicrosecondType>::from(vec![86_400_000_000]))),
        (WireType::Time, Arc::new(PrimitiveArray::<Time64MicrosecondType>::from(vec![-1]))),
        (WireType::Time, Arc::new(PrimitiveArray::<Time64NanosecondType>::from(vec![1]))),
        (WireType::Interval, Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from(vec![interval]))),
        (WireType::Text, Arc::new(StringArray::from(vec!["a\0b"]))),
        (WireType::Jsonb, Arc::new(StringArray::from(vec!["\0"]))),
        (WireType::Char, Arc::new(StringArray::from(vec!["ab"]))),
        (WireType::Char, Arc::new(StringArray::from(vec!["é"]))),
        (WireType::Oid, Arc::new(Int64Array::from(vec![-1]))),
        (WireType::Oid, Arc::new(Int64Array::from(vec![1 << 32]))),
        (int4s(), lists(&[1, 2])),
        (int4s(), lists(&[0, 0])),
    ];
    for (wire, array) in cases {
        let name = format!("{wire} {array:?}");
        let error = encode_one(wire, array).expect_err(&name);
        assert!(matches!(error, KernelError::CopyValue { row: 0, ref column, .. } if column == "c"), "{name}: {error}");
    }
}

#[test]
fn a_refusal_names_the_row_and_leaves_the_output_alone() {
    let array: ArrayRef = Arc::new((0..1000).map(|i| Some(if i == 777 { "\0" } else { "x" })).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let encoder = Encoder::try_new(vec![column("c", "text")]).unwrap();
    let mut out = b"before".to_vec();

    let error = encoder.encode(&batch, 10..1000, &mut out).unwrap_err();

    assert!(matches!(error, KernelError::CopyValue { row: 777, .. }), "{error}");
    assert_eq!(out, b"before");
    encoder.encode(&batch, 778..1000, &mut out).unwrap();
    assert_eq!(out.len(), 6 + 222 * 7);
}

#[test]
fn a_batch_of_other_columns_is_refused() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("c", ints)]).unwrap();
    let encode = |columns, rows| Encoder::try_new(columns)?.encode(&batch, rows, &mut Vec::new());

    assert!(matches!(encode(vec![column("c", "int4")], 0..1), Err(KernelError::CopyPair { .. })));
    assert!(matches!(encode(vec![], 0..1), Err(KernelError::CopyStream { .. })));
    assert!(matches!(encode(vec![column("c", "int8")], 0..2), Err(KernelError::CopyStream { .. })));
    assert!(encode(vec![column("c", "int8")], 0..1).is_ok());
}
