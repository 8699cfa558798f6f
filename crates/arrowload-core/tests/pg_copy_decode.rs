//! What a real server sends becomes the values that it says, or is refused with column and row.

mod copy;

use arrow_array::Array;
use arrowload_core::pg_copy::DecodeOptions;
use arrowload_core::{KernelError, OnSpecial};

use copy::{column, decode, goldens, messages, render, row};

/// Golden values that Arrow does not have: SQL type, value.
const WITHOUT_PLACE: [(&str, &str); 7] = [
    ("time", "24:00:00"),
    ("timestamp", "294276-12-31 23:59:59.999999"),
    ("interval", "9223372036854776 microseconds"),
    ("int4[]", "{{1,2},{3,4}}"),
    ("int4[]", "[0:1]={1,2}"),
    ("int4[][]", "{1,2}"),
    ("int4[][]", "{{{1}}}"),
];

fn is_special(value: &str) -> bool {
    value.trim_start_matches('-').eq_ignore_ascii_case("infinity") || value == "NaN"
}

/// The same number, or the same text.
fn same(left: &str, right: &str, sql: &str) -> bool {
    match sql {
        "float4" => left.parse::<f32>().unwrap().to_bits() == right.parse::<f32>().unwrap().to_bits(),
        "float8" => left.parse::<f64>().unwrap().to_bits() == right.parse::<f64>().unwrap().to_bits(),
        "numeric" => with_nine_decimals(left) == with_nine_decimals(right),
        _ => left == right,
    }
}

fn with_nine_decimals(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}.{fraction:0<9}")
}

#[test]
fn golden_values_are_read() {
    let mut read = 0;
    for golden in goldens() {
        let stream = messages(&[row(&[Some(&golden.field)])]);
        let decoded = decode(vec![column("c", &golden.sql)], DecodeOptions::default(), &stream);
        let refused = WITHOUT_PLACE.contains(&(&golden.sql, &golden.value))
            || (is_special(&golden.value) && !golden.sql.starts_with("float"));
        if refused {
            let error = decoded.unwrap_err();
            assert!(matches!(error, KernelError::CopyValue { row: 0, ref column, .. } if column == "c"), "{error}");
        } else {
            let decoded = decoded.unwrap();
            let value = render(decoded.column(0), 0);
            assert!(same(&value, &golden.arrow, &golden.sql), "{} {}: {value}", golden.sql, golden.value);
            read += 1;
        }
    }
    assert!(read > 140);
}

#[test]
fn specials_become_null_when_asked_to() {
    let options = DecodeOptions { special: OnSpecial::Null, infinity: OnSpecial::Null };
    let specials = goldens().into_iter().filter(|golden| is_special(&golden.value) && !golden.sql.starts_with("float"));
    for golden in specials {
        let stream = messages(&[row(&[Some(&golden.field)])]);
        let decoded = decode(vec![column("c", &golden.sql)], options, &stream).unwrap();
        assert!(decoded.column(0).is_null(0), "{} {}", golden.sql, golden.value);
    }
}
