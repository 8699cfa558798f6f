//! Texts become values where they surely are some; the rows of the others are said.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int16Array, Int32Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use arrowload_core::{KernelError, parse_texts};

fn parse(texts: Vec<Option<&str>>, data_type: &DataType, exact: bool) -> (ArrayRef, Vec<i64>) {
    let (values, unsure) = parse_texts(&StringArray::from(texts), data_type, exact).unwrap().unwrap();
    assert_eq!(values.data_type(), data_type);
    (values, unsure.values().to_vec())
}

#[test]
fn what_is_null_stays_so_and_what_is_unsure_is_said() {
    let (values, unsure) =
        parse(vec![Some("7"), None, Some("x"), Some("-32768"), Some("32768")], &DataType::Int16, false);
    let expected = Int16Array::from(vec![Some(7), None, None, Some(-32768), None]);
    assert_eq!(values.as_ref(), &expected as &dyn Array);
    assert_eq!(unsure, [2, 4]);
}

#[test]
fn every_layout_and_every_slice_of_text_is_read() {
    let texts = ["1", "22222222222222222", "3", "not a number, by far"];
    let arrays: [ArrayRef; 3] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
    ];
    for array in arrays {
        let (values, unsure) = parse_texts(array.slice(1, 3).as_ref(), &DataType::Int64, false).unwrap().unwrap();
        assert_eq!(values.as_primitive::<arrow_array::types::Int64Type>().value(0), 22_222_222_222_222_222);
        assert_eq!(values.null_count(), 1);
        assert_eq!(unsure.values(), &[2]);
    }
}

#[test]
fn the_form_of_an_inferred_value_is_asked_for() {
    for (text, data_type) in [("007", DataType::Int64), ("yes", DataType::Boolean), ("00.5", DataType::Float64)] {
        assert_eq!(parse(vec![Some(text)], &data_type, false).1, [0i64; 0], "{text}");
        assert_eq!(parse(vec![Some(text)], &data_type, true).1, [0], "{text}");
    }
}

#[test]
fn values_have_the_whole_type() {
    let (decimals, _) = parse(vec![Some("1.5")], &DataType::Decimal128(6, 2), false);
    assert_eq!(decimals.as_primitive::<Decimal128Type>().value_as_string(0), "1.50");
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
    let (moments, unsure) = parse(vec![Some("1970-01-01 01:00+01"), Some("1970-01-01 01:00")], &zoned, false);
    let expected = TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("Europe/Berlin");
    assert_eq!(moments.as_ref(), &expected as &dyn Array);
    assert_eq!(unsure, [1]);
    let (truths, unsure) = parse(vec![Some("T"), None, Some("off"), Some("maybe")], &DataType::Boolean, false);
    assert_eq!(truths.as_ref(), &BooleanArray::from(vec![Some(true), None, Some(false), None]) as &dyn Array);
    assert_eq!(unsure, [3]);
}

#[test]
fn other_types_have_no_rule_and_other_arrays_no_text() {
    for data_type in [DataType::Utf8, DataType::Date64, DataType::Float32, DataType::Decimal128(5, -2)] {
        assert!(parse_texts(&StringArray::from(vec!["1"]), &data_type, false).unwrap().is_none(), "{data_type}");
    }
    let refused = parse_texts(&Int32Array::from(vec![1]), &DataType::Int64, false);
    assert!(matches!(refused, Err(KernelError::NotText { .. })));
}
