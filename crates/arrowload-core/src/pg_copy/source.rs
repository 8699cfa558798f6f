//! What writes the values of one column.

use std::ops::Range;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::array_source::ArraySource;
use super::byte_source::{self, Content};
use super::fixed_source::{self, BoolSource, FixedSource};
use super::numeric_source::NumericSource;
use super::sink::Refusal;
use super::wire::WireType;

/// The length that says NULL.
pub(super) const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// Rows that are to be written, and where.
pub(super) struct Slots<'a> {
    pub(super) rows: Range<usize>,
    /// Where the next field of each row comes; moved past it.
    pub(super) cursors: &'a mut [usize],
    /// Where each row ends. What lies between cursor and end is not written yet, and may be overwritten.
    pub(super) ends: &'a [usize],
}

/// Writes the values of one column, or of the elements of its arrays.
///
/// A refusal's `index` counts from the first of the rows that were asked for.
pub(super) trait Source {
    /// Adds the length of each field, with the four bytes before it.
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal>;

    /// Writes the fields that were measured last.
    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal>;
}

/// The source for an array; None for a pair of types that has no exact way.
pub(super) fn source_for<'a>(wire: &WireType, array: &'a dyn Array) -> Option<Box<dyn Source + 'a>> {
    use fixed_source as fixed;
    const SECOND: i64 = 1_000_000;
    const MILLISECOND: i64 = 1000;
    Some(match (wire, array.data_type()) {
        (WireType::Bool, DataType::Boolean) => Box::new(BoolSource::new(array.as_boolean())),
        (WireType::Int2, DataType::Int16) => FixedSource::boxed::<Int16Type>(array, |v| Ok(v.to_be_bytes())),
        (WireType::Int4, DataType::Int32) => FixedSource::boxed::<Int32Type>(array, |v| Ok(v.to_be_bytes())),
        (WireType::Int8, DataType::Int64) => FixedSource::boxed::<Int64Type>(array, |v| Ok(v.to_be_bytes())),
        (WireType::Oid, DataType::Int64) => FixedSource::boxed::<Int64Type>(array, fixed::oid),
        (WireType::Float4, DataType::Float32) => FixedSource::boxed::<Float32Type>(array, |v| Ok(v.to_be_bytes())),
        (WireType::Float8, DataType::Float64) => FixedSource::boxed::<Float64Type>(array, |v| Ok(v.to_be_bytes())),
        (WireType::Numeric | WireType::FreeNumeric, DataType::Decimal128(..)) => {
            Box::new(NumericSource::new(array.as_primitive::<Decimal128Type>(), *wire == WireType::FreeNumeric))
        }
        (WireType::Numeric | WireType::FreeNumeric, DataType::Decimal256(..)) => {
            Box::new(NumericSource::new(array.as_primitive::<Decimal256Type>(), *wire == WireType::FreeNumeric))
        }
        (WireType::Text | WireType::Json, _) => byte_source::boxed_text(Content::Text, array)?,
        (WireType::Jsonb, _) => byte_source::boxed_text(Content::Jsonb, array)?,
        (WireType::Char, _) => byte_source::boxed_text(Content::Char, array)?,
        (WireType::Bytea, _) | (WireType::Uuid, DataType::FixedSizeBinary(16)) => byte_source::boxed_bytes(array)?,
        (WireType::Date, DataType::Date32) => FixedSource::boxed::<Date32Type>(array, fixed::date),
        (WireType::Time, DataType::Time32(TimeUnit::Second)) => {
            FixedSource::boxed::<Time32SecondType>(array, |v| fixed::time(fixed::scaled(v.into(), SECOND)))
        }
        (WireType::Time, DataType::Time32(TimeUnit::Millisecond)) => {
            FixedSource::boxed::<Time32MillisecondType>(array, |v| fixed::time(fixed::scaled(v.into(), MILLISECOND)))
        }
        (WireType::Time, DataType::Time64(TimeUnit::Microsecond)) => {
            FixedSource::boxed::<Time64MicrosecondType>(array, |v| fixed::time(Ok(v)))
        }
        (WireType::Time, DataType::Time64(TimeUnit::Nanosecond)) => {
            FixedSource::boxed::<Time64NanosecondType>(array, |v| fixed::time(fixed::whole(v)))
        }
        (WireType::Timestamp, DataType::Timestamp(unit, None))
        | (WireType::Timestamptz, DataType::Timestamp(unit, Some(_))) => match unit {
            TimeUnit::Second => {
                FixedSource::boxed::<TimestampSecondType>(array, |v| fixed::timestamp(fixed::scaled(v, SECOND)))
            }
            TimeUnit::Millisecond => FixedSource::boxed::<TimestampMillisecondType>(array, |v| {
                fixed::timestamp(fixed::scaled(v, MILLISECOND))
            }),
            TimeUnit::Microsecond => FixedSource::boxed::<TimestampMicrosecondType>(array, |v| fixed::timestamp(Ok(v))),
            TimeUnit::Nanosecond => {
                FixedSource::boxed::<TimestampNanosecondType>(array, |v| fixed::timestamp(fixed::whole(v)))
            }
        },
        (WireType::Interval, DataType::Duration(unit)) => match unit {
            TimeUnit::Second => {
                FixedSource::boxed::<DurationSecondType>(array, |v| fixed::duration(fixed::scaled(v, SECOND)))
            }
            TimeUnit::Millisecond => {
                FixedSource::boxed::<DurationMillisecondType>(array, |v| fixed::duration(fixed::scaled(v, MILLISECOND)))
            }
            TimeUnit::Microsecond => FixedSource::boxed::<DurationMicrosecondType>(array, |v| fixed::duration(Ok(v))),
            TimeUnit::Nanosecond => {
                FixedSource::boxed::<DurationNanosecondType>(array, |v| fixed::duration(fixed::whole(v)))
            }
        },
        (WireType::Interval, DataType::Interval(IntervalUnit::MonthDayNano)) => {
            FixedSource::boxed::<IntervalMonthDayNanoType>(array, fixed::interval)
        }
        (WireType::Array { element, element_oid }, DataType::List(_) | DataType::LargeList(_)) => {
            Box::new(ArraySource::new(element, *element_oid, array)?)
        }
        _ => return None,
    })
}
