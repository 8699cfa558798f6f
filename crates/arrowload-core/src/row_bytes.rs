//! The canonical bytes of a row: one encoder a column, chosen by type.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType,
    IntervalMonthDayNanoType, IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, OffsetSizeTrait, RecordBatch};
use arrow_buffer::i256;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::canonical as put;
use crate::error::{KernelError, KernelResult};
use crate::nested::nested;

const MAX_DIGITS: i16 = 76;

/// Appends the canonical bytes of the value at an index.
pub(crate) type Encoder<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Encodes the rows of a batch, one at a time, into one buffer.
pub(crate) struct RowEncoder<'a> {
    columns: Vec<Encoder<'a>>,
    rows: usize,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn try_new(batch: &'a RecordBatch) -> KernelResult<Self> {
        let fields = batch.schema_ref().fields();
        let columns = fields.iter().zip(batch.columns()).map(|(field, column)| {
            encoder(column).ok_or_else(|| KernelError::UnsupportedColumn {
                column: field.name().clone(),
                data_type: column.data_type().clone(),
            })
        });
        Ok(Self { columns: columns.collect::<KernelResult<_>>()?, rows: batch.num_rows() })
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(&[u8])) {
        let mut bytes = Vec::new();
        for row in 0..self.rows {
            bytes.clear();
            for column in &self.columns {
                column(row, &mut bytes);
            }
            visit(&bytes);
        }
    }
}

/// The encoder of an array's type, or None when there is no rule for it.
pub(crate) fn encoder(array: &dyn Array) -> Option<Encoder<'_>> {
    Some(match array.data_type() {
        DataType::Null => Box::new(|_, out| out.push(put::NULL)),
        DataType::Boolean => {
            let values = array.as_boolean().values();
            nullable(array, move |i, out| put::put_bool(out, values.value(i)))
        }
        DataType::Int8 => primitive::<Int8Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::Int16 => primitive::<Int16Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::Int32 => primitive::<Int32Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::Int64 => primitive::<Int64Type>(array, put::put_i64),
        DataType::UInt8 => primitive::<UInt8Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::UInt16 => primitive::<UInt16Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::UInt32 => primitive::<UInt32Type>(array, |out, v| put::put_i64(out, v.into())),
        DataType::UInt64 => primitive::<UInt64Type>(array, put::put_u64),
        DataType::Float16 => primitive::<Float16Type>(array, |out, v| put::put_f64(out, v.to_f64())),
        DataType::Float32 => primitive::<Float32Type>(array, |out, v| put::put_f64(out, v.into())),
        DataType::Float64 => primitive::<Float64Type>(array, put::put_f64),
        DataType::Decimal32(precision, scale) => {
            decimal::<Decimal32Type>(array, *precision, *scale, |out, v, scale| {
                put::put_number_64(out, v.into(), scale);
            })?
        }
        DataType::Decimal64(precision, scale) => {
            decimal::<Decimal64Type>(array, *precision, *scale, put::put_number_64)?
        }
        DataType::Decimal128(precision, scale) => {
            decimal::<Decimal128Type>(array, *precision, *scale, put::put_number_128)?
        }
        DataType::Decimal256(precision, scale) => {
            decimal::<Decimal256Type>(array, *precision, *scale, put::put_number_256)?
        }
        _ => {
            return temporal(array).or_else(|| bytes(array)).or_else(|| nested(array));
        }
    })
}

fn temporal(array: &dyn Array) -> Option<Encoder<'_>> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    Some(match array.data_type() {
        DataType::Date32 => primitive::<Date32Type>(array, put::put_days),
        DataType::Date64 => primitive::<Date64Type>(array, put::put_millis),
        DataType::Time32(Second) => instant::<Time32SecondType, 1>(array, put::TIME),
        DataType::Time32(_) => instant::<Time32MillisecondType, 1_000>(array, put::TIME),
        DataType::Time64(Microsecond) => instant::<Time64MicrosecondType, 1_000_000>(array, put::TIME),
        DataType::Time64(_) => instant::<Time64NanosecondType, 1_000_000_000>(array, put::TIME),
        DataType::Timestamp(unit, zone) => {
            let tag = if zone.is_some() { put::TIMESTAMP_ZONED } else { put::TIMESTAMP };
            match unit {
                Second => instant::<TimestampSecondType, 1>(array, tag),
                Millisecond => instant::<TimestampMillisecondType, 1_000>(array, tag),
                Microsecond => instant::<TimestampMicrosecondType, 1_000_000>(array, tag),
                Nanosecond => instant::<TimestampNanosecondType, 1_000_000_000>(array, tag),
            }
        }
        DataType::Duration(unit) => match unit {
            Second => primitive::<DurationSecondType>(array, put::put_duration::<1>),
            Millisecond => primitive::<DurationMillisecondType>(array, put::put_duration::<1_000>),
            Microsecond => primitive::<DurationMicrosecondType>(array, put::put_duration::<1_000_000>),
            Nanosecond => primitive::<DurationNanosecondType>(array, put::put_duration::<1_000_000_000>),
        },
        DataType::Interval(unit) => match unit {
            IntervalUnit::YearMonth => primitive::<IntervalYearMonthType>(array, put::put_months),
            IntervalUnit::DayTime => primitive::<IntervalDayTimeType>(array, put::put_day_time),
            IntervalUnit::MonthDayNano => primitive::<IntervalMonthDayNanoType>(array, put::put_month_day_nano),
        },
        _ => return None,
    })
}

/// Text is taken as bytes: its UTF-8 is the producer's promise, and nothing here depends on it.
fn bytes(array: &dyn Array) -> Option<Encoder<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => offset_bytes(
            array,
            put::TEXT,
            array.as_string::<i32>().value_offsets(),
            array.as_string::<i32>().value_data(),
        ),
        DataType::LargeUtf8 => offset_bytes(
            array,
            put::TEXT,
            array.as_string::<i64>().value_offsets(),
            array.as_string::<i64>().value_data(),
        ),
        DataType::Binary => offset_bytes(
            array,
            put::BINARY,
            array.as_binary::<i32>().value_offsets(),
            array.as_binary::<i32>().value_data(),
        ),
        DataType::LargeBinary => offset_bytes(
            array,
            put::BINARY,
            array.as_binary::<i64>().value_offsets(),
            array.as_binary::<i64>().value_data(),
        ),
        DataType::Utf8View => {
            let views = array.as_string_view().clone().to_binary_view();
            nullable(array, move |i, out| {
                put::put_bytes(out, put::TEXT, views.value(i));
            })
        }
        DataType::BinaryView => {
            let views = array.as_binary_view();
            nullable(array, move |i, out| {
                put::put_bytes(out, put::BINARY, views.value(i));
            })
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            nullable(array, move |i, out| {
                put::put_bytes(out, put::BINARY, values.value(i));
            })
        }
        _ => return None,
    })
}

pub(crate) fn nullable<'a>(array: &'a dyn Array, put: impl Fn(usize, &mut Vec<u8>) + 'a) -> Encoder<'a> {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => Box::new(put),
        Some(nulls) => Box::new(move |i, out| {
            if nulls.is_valid(i) {
                put(i, out);
            } else {
                out.push(put::NULL);
            }
        }),
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    put: impl Fn(&mut Vec<u8>, T::Native) + 'a,
) -> Encoder<'a> {
    let values: &[T::Native] = array.as_primitive::<T>().values();
    nullable(array, move |i, out| put(out, values[i]))
}

fn instant<T: ArrowPrimitiveType<Native: Into<i64>>, const PER_SECOND: i64>(array: &dyn Array, tag: u8) -> Encoder<'_> {
    primitive::<T>(array, move |out, v| {
        put::put_instant::<PER_SECOND>(out, tag, v.into());
    })
}

fn decimal<'a, T: DecimalType<Native: Into<i256>>>(
    array: &'a dyn Array,
    precision: u8,
    scale: i8,
    put: impl Fn(&mut Vec<u8>, T::Native, u8) + 'a,
) -> Option<Encoder<'a>> {
    if let Ok(scale) = u8::try_from(scale) {
        return Some(primitive::<T>(array, move |out, v| put(out, v, scale)));
    }
    if i16::from(precision) - i16::from(scale) > MAX_DIGITS {
        return None;
    }
    let factor = i256::from_i128(10).wrapping_pow(scale.unsigned_abs().into());
    Some(primitive::<T>(array, move |out, v| {
        put::put_number_256(out, v.into().wrapping_mul(factor), 0);
    }))
}

fn offset_bytes<'a, O: OffsetSizeTrait>(
    array: &'a dyn Array,
    tag: u8,
    offsets: &'a [O],
    data: &'a [u8],
) -> Encoder<'a> {
    nullable(array, move |i, out| {
        put::put_bytes(out, tag, &data[offsets[i].as_usize()..offsets[i + 1].as_usize()]);
    })
}
