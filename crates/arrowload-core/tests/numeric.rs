//! Numeric text becomes decimals exactly, or is refused with its row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{Array, ArrayRef, Int32Array, LargeStringArray, StringArray, StringViewArray};
use arrow_buffer::i256;
use arrow_schema::DataType;
use arrowload_core::{KernelError, OnSpecial, numeric_to_decimal};

fn convert(text: &str, precision: u8, scale: i8) -> Result<ArrayRef, KernelError> {
    numeric_to_decimal(&StringArray::from(vec![text]), precision, scale, OnSpecial::Error)
}

fn unscaled(text: &str, precision: u8, scale: i8) -> i128 {
    convert(text, precision, scale).unwrap().as_primitive::<Decimal128Type>().value(0)
}

#[test]
fn numbers_keep_their_value() {
    for (text, precision, scale, expected) in [
        ("0", 1, 0, 0),
        ("-0.00", 3, 1, 0),
        ("-12.3400", 10, 4, -123_400),
        ("-12.3400", 4, 2, -1_234),
        ("12", 38, 36, 12 * 10i128.pow(36)),
        ("1e-5", 10, 5, 1),
        ("1E+3", 10, 2, 100_000),
        ("+1.5e1", 2, 0, 15),
        ("120e-1", 2, 0, 12),
        (".5", 1, 1, 5),
        ("5.", 1, 0, 5),
        ("0e999999999999999999999", 1, 0, 0),
        ("12300", 3, -2, 123),
        ("9999999999999999999", 19, 0, 9_999_999_999_999_999_999),
        ("0.00000000000000000000000000000000000001", 38, 38, 1),
    ] {
        assert_eq!(unscaled(text, precision, scale), expected, "{text}");
    }
    let nines = "9".repeat(38);
    assert_eq!(unscaled(&format!("-{nines}"), 38, 0), -nines.parse::<i128>().unwrap());
    assert_eq!(unscaled(&format!("{}{nines}", "0".repeat(50)), 38, 0), nines.parse::<i128>().unwrap());
}

#[test]
fn seventy_six_digits_fit_a_decimal256() {
    let nines = "9".repeat(76);
    for (text, scale) in [(nines.clone(), 0), (format!("{}.{}", &nines[..38], &nines[38..]), 38)] {
        let decimals = convert(&text, 76, scale).unwrap();
        assert_eq!(decimals.data_type(), &DataType::Decimal256(76, scale));
        assert_eq!(decimals.as_primitive::<Decimal256Type>().value(0), i256::from_string(&nines).unwrap());
    }
    let small = convert("-1.5", 39, 2).unwrap();
    assert_eq!(small.as_primitive::<Decimal256Type>().value(0), i256::from_i128(-150));
    assert!(matches!(convert(&format!("1{nines}"), 76, 0), Err(KernelError::DoesNotFit { .. })));
}

#[test]
fn what_does_not_fit_is_refused() {
    let digits_39 = "1".repeat(39);
    for (text, precision, scale) in [
        ("100", 2, 0),
        ("10.0", 2, 1),
        ("1", 2, 2),
        ("0.001", 5, 2),
        ("12345678901234567890.5", 38, 0),
        ("12301", 3, -2),
        ("1e38", 38, 0),
        ("1e999999999999999999999", 38, 0),
        ("1e-999999999999999999999", 38, 0),
        (&digits_39, 38, 0),
    ] {
        assert!(matches!(convert(text, precision, scale), Err(KernelError::DoesNotFit { .. })), "{text}");
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for text in
        ["", "-", ".", "-.", "1.2.3", "1e", "1e+", "e5", " 1", "1 ", "1_0", "0x1", "--1", "+-1", "NAN", "+inf", "１"]
    {
        assert!(matches!(convert(text, 38, 10), Err(KernelError::NotANumber { .. })), "{text}");
    }
}

#[test]
fn special_values_are_refused_or_null() {
    let texts = StringArray::from(vec![Some("1"), Some("NaN"), None, Some("Infinity"), Some("-inf"), Some("2")]);
    let refused = numeric_to_decimal(&texts, 5, 0, OnSpecial::Error).unwrap_err();
    let decimals = numeric_to_decimal(&texts.slice(1, 5), 5, 0, OnSpecial::Null).unwrap();

    assert_eq!(refused.to_string(), "`NaN` in row 1 cannot be held by a decimal");
    assert_eq!(decimals.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [None, None, None, None, Some(2)]);
}

#[test]
fn every_layout_of_text_is_read_and_rows_count_from_the_slice() {
    let texts = [Some("7"), None, Some("1.5"), Some("x")];
    let layouts: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
    ];
    for array in layouts {
        let decimals = numeric_to_decimal(&array.slice(1, 2), 5, 2, OnSpecial::Error).unwrap();
        assert_eq!(decimals.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [None, Some(150)]);
        let refused = numeric_to_decimal(&array.slice(1, 3), 5, 2, OnSpecial::Error).unwrap_err();
        assert!(matches!(refused, KernelError::NotANumber { row: 2, ref value } if value == "x"), "{refused}");
    }
}

#[test]
fn a_long_text_is_shortened_in_the_error() {
    let refused = convert(&"1".repeat(131_072), 38, 0).unwrap_err();
    assert!(refused.to_string().len() < 200, "{refused}");
}

#[test]
fn a_callers_mistake_is_told_apart() {
    assert!(matches!(convert("1", 0, 0), Err(KernelError::InvalidDecimalType { .. })));
    assert!(matches!(convert("1", 77, 0), Err(KernelError::InvalidDecimalType { .. })));
    assert!(matches!(convert("1", 3, 4), Err(KernelError::InvalidDecimalType { .. })));
    let numbers = Int32Array::from(vec![1]);
    assert!(matches!(numeric_to_decimal(&numbers, 3, 0, OnSpecial::Error), Err(KernelError::NotText { .. })));
}
