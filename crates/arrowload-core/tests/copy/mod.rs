//! What the tests of `pg_copy` share: columns by SQL type, frames, golden values, values as text.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use arrowload_core::KernelResult;
use arrowload_core::pg_copy::{CopyColumn, DecodeOptions, Decoder, WireType};

/// A value of a real server; see `golden/pg_copy.py`.
pub struct Golden {
    pub sql: String,
    pub value: String,
    pub arrow: String,
    pub field: Vec<u8>,
}

/// All golden values.
pub fn goldens() -> Vec<Golden> {
    let line = |line: &str| {
        let mut parts = line.split('\t').map(|part| part.replace("\\t", "\t"));
        let mut next = || parts.next().unwrap();
        Golden { sql: next(), value: next(), arrow: next(), field: unhex(&next()) }
    };
    include_str!("../golden/pg_copy.tsv").lines().map(line).collect()
}

/// A whole stream of a real server.
pub fn golden_stream(name: &str) -> Vec<u8> {
    let lines = include_str!("../golden/pg_copy_streams.tsv").lines();
    let found = lines.map(|line| line.split_once('\t').unwrap()).find(|(key, _)| *key == name);
    unhex(found.unwrap().1)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The column that reads a SQL type.
pub fn column(name: &str, sql: &str) -> CopyColumn {
    let (wire, data_type) = types(sql);
    CopyColumn { name: name.into(), wire, field: Arc::new(Field::new(name, data_type, true)) }
}

fn types(sql: &str) -> (WireType, DataType) {
    if let Some(element) = sql.strip_suffix("[]") {
        let (wire, data_type) = types(element);
        let wire = match wire {
            WireType::Array { .. } => wire,
            _ => WireType::Array { element: Box::new(wire), element_oid: oid(element) },
        };
        return (wire, DataType::new_list(data_type, true));
    }
    match sql {
        "bool" => (WireType::Bool, DataType::Boolean),
        "int2" => (WireType::Int2, DataType::Int16),
        "int4" => (WireType::Int4, DataType::Int32),
        "int8" => (WireType::Int8, DataType::Int64),
        "oid" => (WireType::Oid, DataType::Int64),
        "float4" => (WireType::Float4, DataType::Float32),
        "float8" => (WireType::Float8, DataType::Float64),
        "bytea" => (WireType::Bytea, DataType::Binary),
        "date" => (WireType::Date, DataType::Date32),
        "time" => (WireType::Time, DataType::Time64(TimeUnit::Microsecond)),
        "timestamp" => (WireType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None)),
        "timestamptz" => (WireType::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        "interval" => (WireType::Interval, DataType::Interval(IntervalUnit::MonthDayNano)),
        "uuid" => (WireType::Uuid, DataType::FixedSizeBinary(16)),
        "json" => (WireType::Json, DataType::Utf8),
        "jsonb" => (WireType::Jsonb, DataType::Utf8),
        "\"char\"" => (WireType::Char, DataType::Utf8),
        "numeric" => (WireType::Numeric, DataType::Decimal128(38, 9)),
        _ => match sql.strip_prefix("numeric(") {
            Some(modifier) => (WireType::Numeric, decimal(modifier.trim_end_matches(')'))),
            None => (WireType::Text, DataType::Utf8),
        },
    }
}

fn decimal(modifier: &str) -> DataType {
    let (precision, scale) = modifier.split_once(',').unwrap();
    let (precision, scale) = (precision.parse().unwrap(), scale.parse().unwrap());
    if precision <= 38 { DataType::Decimal128(precision, scale) } else { DataType::Decimal256(precision, scale) }
}

fn oid(sql: &str) -> u32 {
    match sql.split('(').next().unwrap() {
        "bool" => 16,
        "int4" => 23,
        "text" => 25,
        "date" => 1082,
        "numeric" => 1700,
        other => panic!("{other}"),
    }
}

/// A message of the protocol.
pub fn message(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 4).unwrap();
    [b"d".as_slice(), &length.to_be_bytes(), payload].concat()
}

/// The header of a stream.
pub fn header() -> Vec<u8> {
    [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat()
}

/// One row.
pub fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut row = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
        row.extend_from_slice(&length.to_be_bytes());
        row.extend_from_slice(field.unwrap_or_default());
    }
    row
}

/// Rows as the server sends them: the header with the first, the trailer alone.
pub fn messages(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut payloads: Vec<Vec<u8>> = rows.to_vec();
    payloads.push(vec![0xff, 0xff]);
    payloads[0] = [header(), payloads[0].clone()].concat();
    payloads.iter().flat_map(|payload| message(payload)).collect()
}

/// All of a stream at once.
pub fn decode(columns: Vec<CopyColumn>, options: DecodeOptions, messages: &[u8]) -> KernelResult<RecordBatch> {
    let mut decoder = Decoder::try_new(columns, options)?;
    decoder.push(messages)?;
    decoder.finish()?;
    decoder.take()
}

/// A value as `golden/pg_copy.py` writes it.
pub fn render(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".into();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        DataType::Interval(_) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            assert_eq!(value.nanoseconds % 1000, 0);
            format!("{} {} {}", value.months, value.days, value.nanoseconds / 1000)
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => {
            let digits = hex(array.as_fixed_size_binary().value(row));
            [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
        }
        DataType::List(field) => {
            let list = array.as_list::<i32>().value(row);
            let element = |at| match (list.is_null(at), field.data_type()) {
                (true, _) => "null".into(),
                (false, DataType::Utf8) => format!("\"{}\"", render(&list, at)),
                (false, _) => render(&list, at),
            };
            format!("[{}]", (0..list.len()).map(element).collect::<Vec<_>>().join(","))
        }
        other => panic!("{other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
