//! Which bytes stand for the values of an array: the rule of each type, for whole columns and for single values.

use std::iter::repeat_n;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ByteViewType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, GenericByteViewArray, OffsetSizeTrait};
use arrow_buffer::bit_iterator::BitIterator;
use arrow_buffer::i256;
use arrow_data::MAX_INLINE_VIEW_LEN;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::blocks::BLOCK_BYTES;
use crate::canonical as put;
use crate::column::{Bytes, Column, Encoder, Fixed, OneByOne, Span, nullable};
use crate::nested::nested;

const MAX_DIGITS: i16 = 76;

/// The column of an array, or None when there is no rule for its type.
pub(crate) fn column<'a>(array: &'a dyn Array) -> Option<Box<dyn Column + 'a>> {
    encode(array, Columns)
}

/// The encoder of an array's values, or None when there is no rule for its type.
pub(crate) fn encoder(array: &dyn Array) -> Option<Encoder<'_>> {
    encode(array, Values)
}

/// What is made of a rule.
trait Target<'a> {
    type Made;

    /// Of values that a range of rows has, and what writes one of them into `W` bytes.
    fn fixed<I: Iterator + 'a, const W: usize>(
        self,
        array: &'a dyn Array,
        values: impl Fn(Range<usize>) -> I + 'a,
        put: impl Fn(&mut [u8; W], I::Item) -> usize + 'a,
    ) -> Self::Made;

    /// Of text or binary values.
    fn bytes(self, array: &'a dyn Array, tag: u8, span: impl Fn(usize) -> Span<'a> + 'a) -> Self::Made;

    /// Of values that can only be encoded one by one.
    fn one_by_one(self, encoder: Encoder<'a>) -> Self::Made;
}

struct Columns;

impl<'a> Target<'a> for Columns {
    type Made = Box<dyn Column + 'a>;

    fn fixed<I: Iterator + 'a, const W: usize>(
        self,
        array: &'a dyn Array,
        values: impl Fn(Range<usize>) -> I + 'a,
        put: impl Fn(&mut [u8; W], I::Item) -> usize + 'a,
    ) -> Self::Made {
        Box::new(Fixed::new(array, values, put))
    }

    fn bytes(self, array: &'a dyn Array, tag: u8, span: impl Fn(usize) -> Span<'a> + 'a) -> Self::Made {
        Box::new(Bytes::new(array, tag, span))
    }

    fn one_by_one(self, encoder: Encoder<'a>) -> Self::Made {
        Box::new(OneByOne::new(encoder, BLOCK_BYTES))
    }
}

struct Values;

impl<'a> Target<'a> for Values {
    type Made = Encoder<'a>;

    fn fixed<I: Iterator + 'a, const W: usize>(
        self,
        array: &'a dyn Array,
        values: impl Fn(Range<usize>) -> I + 'a,
        put: impl Fn(&mut [u8; W], I::Item) -> usize + 'a,
    ) -> Self::Made {
        nullable(array, move |i, out| {
            for value in values(i..i + 1) {
                let mut window = [0; W];
                let length = put(&mut window, value);
                out.extend_from_slice(&window[..length]);
            }
        })
    }

    fn bytes(self, array: &'a dyn Array, tag: u8, span: impl Fn(usize) -> Span<'a> + 'a) -> Self::Made {
        nullable(array, move |i, out| {
            let value = span(i).bytes();
            append_count(out, tag, value.len());
            out.extend_from_slice(value);
        })
    }

    fn one_by_one(self, encoder: Encoder<'a>) -> Self::Made {
        encoder
    }
}

pub(crate) fn append_count(out: &mut Vec<u8>, tag: u8, count: usize) {
    let mut window = [0; put::COUNT_BYTES];
    let length = put::put_count(&mut window, tag, count);
    out.extend_from_slice(&window[..length]);
}

fn encode<'a, M: Target<'a>>(array: &'a dyn Array, target: M) -> Option<M::Made> {
    Some(match array.data_type() {
        DataType::Null => target.fixed(array, |rows| repeat_n((), rows.len()), |out, ()| put::put_null(out)),
        DataType::Boolean => {
            let values = array.as_boolean().values();
            let bits = |rows: Range<usize>| BitIterator::new(values.values(), values.offset() + rows.start, rows.len());
            target.fixed(array, bits, put::put_bool)
        }
        DataType::Int8 => primitive::<Int8Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::Int16 => primitive::<Int16Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::Int32 => primitive::<Int32Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::Int64 => primitive::<Int64Type, _, _>(array, target, put::put_i64),
        DataType::UInt8 => primitive::<UInt8Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::UInt16 => primitive::<UInt16Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::UInt32 => primitive::<UInt32Type, _, _>(array, target, |out, v| put::put_i64(out, v.into())),
        DataType::UInt64 => primitive::<UInt64Type, _, _>(array, target, put::put_u64),
        DataType::Float16 => primitive::<Float16Type, _, _>(array, target, |out, v| put::put_f64(out, v.to_f64())),
        DataType::Float32 => primitive::<Float32Type, _, _>(array, target, |out, v| put::put_f64(out, v.into())),
        DataType::Float64 => primitive::<Float64Type, _, _>(array, target, put::put_f64),
        DataType::Decimal32(precision, scale) => {
            decimal::<Decimal32Type, _, _>(array, target, *precision, *scale, |out, v, scale| {
                put::put_number_64(out, v.into(), scale)
            })?
        }
        DataType::Decimal64(precision, scale) => {
            decimal::<Decimal64Type, _, _>(array, target, *precision, *scale, put::put_number_64)?
        }
        DataType::Decimal128(precision, scale) => {
            decimal::<Decimal128Type, _, 24>(array, target, *precision, *scale, put::put_number_128)?
        }
        DataType::Decimal256(precision, scale) => {
            decimal::<Decimal256Type, _, _>(array, target, *precision, *scale, put::put_number_256)?
        }
        DataType::Date32 => primitive::<Date32Type, _, _>(array, target, put::put_days),
        DataType::Date64 => primitive::<Date64Type, _, _>(array, target, put::put_millis),
        DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(_, _) => time(array, target),
        DataType::Duration(_) | DataType::Interval(_) => interval(array, target),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text(array, target),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            binary(array, target)
        }
        _ => target.one_by_one(nested(array)?),
    })
}

/// Times of day and timestamps.
fn time<'a, M: Target<'a>>(array: &'a dyn Array, target: M) -> M::Made {
    use TimeUnit::{Microsecond, Millisecond, Second};
    let tag = match array.data_type() {
        DataType::Timestamp(_, Some(_)) => put::TIMESTAMP_ZONED,
        DataType::Timestamp(_, None) => put::TIMESTAMP,
        _ => put::TIME,
    };
    match array.data_type() {
        DataType::Time32(Second) => instant::<Time32SecondType, _, 1>(array, target, tag),
        DataType::Time32(_) => instant::<Time32MillisecondType, _, 1_000>(array, target, tag),
        DataType::Time64(Microsecond) => instant::<Time64MicrosecondType, _, 1_000_000>(array, target, tag),
        DataType::Time64(_) => instant::<Time64NanosecondType, _, 1_000_000_000>(array, target, tag),
        DataType::Timestamp(Second, _) => instant::<TimestampSecondType, _, 1>(array, target, tag),
        DataType::Timestamp(Millisecond, _) => instant::<TimestampMillisecondType, _, 1_000>(array, target, tag),
        DataType::Timestamp(Microsecond, _) => instant::<TimestampMicrosecondType, _, 1_000_000>(array, target, tag),
        _ => instant::<TimestampNanosecondType, _, 1_000_000_000>(array, target, tag),
    }
}

/// Intervals and durations.
fn interval<'a, M: Target<'a>>(array: &'a dyn Array, target: M) -> M::Made {
    use IntervalUnit::{DayTime, YearMonth};
    use TimeUnit::{Microsecond, Millisecond, Second};
    match array.data_type() {
        DataType::Duration(Second) => primitive::<DurationSecondType, _, _>(array, target, put::put_duration::<1>),
        DataType::Duration(Millisecond) => {
            primitive::<DurationMillisecondType, _, _>(array, target, put::put_duration::<1_000>)
        }
        DataType::Duration(Microsecond) => {
            primitive::<DurationMicrosecondType, _, _>(array, target, put::put_duration::<1_000_000>)
        }
        DataType::Duration(_) => {
            primitive::<DurationNanosecondType, _, _>(array, target, put::put_duration::<1_000_000_000>)
        }
        DataType::Interval(YearMonth) => primitive::<IntervalYearMonthType, _, _>(array, target, put::put_months),
        DataType::Interval(DayTime) => primitive::<IntervalDayTimeType, _, _>(array, target, put::put_day_time),
        _ => primitive::<IntervalMonthDayNanoType, _, _>(array, target, put::put_month_day_nano),
    }
}

/// Text is taken as bytes: its UTF-8 is the producer's promise, and nothing here depends on it.
fn text<'a, M: Target<'a>>(array: &'a dyn Array, target: M) -> M::Made {
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            offset_bytes(array, target, put::TEXT, texts.value_offsets(), texts.value_data())
        }
        DataType::LargeUtf8 => {
            let texts = array.as_string::<i64>();
            offset_bytes(array, target, put::TEXT, texts.value_offsets(), texts.value_data())
        }
        _ => view_bytes(array, target, put::TEXT, array.as_string_view()),
    }
}

fn binary<'a, M: Target<'a>>(array: &'a dyn Array, target: M) -> M::Made {
    match array.data_type() {
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            offset_bytes(array, target, put::BINARY, values.value_offsets(), values.value_data())
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            offset_bytes(array, target, put::BINARY, values.value_offsets(), values.value_data())
        }
        DataType::BinaryView => view_bytes(array, target, put::BINARY, array.as_binary_view()),
        _ => {
            let values = array.as_fixed_size_binary();
            target.bytes(array, put::BINARY, |row| Span::whole(values.value(row)))
        }
    }
}

fn primitive<'a, T: ArrowPrimitiveType, M: Target<'a>, const W: usize>(
    array: &'a dyn Array,
    target: M,
    put: impl Fn(&mut [u8; W], T::Native) -> usize + 'a,
) -> M::Made {
    let values: &'a [T::Native] = array.as_primitive::<T>().values();
    target.fixed(array, |rows| values[rows].iter().copied(), put)
}

fn instant<'a, T: ArrowPrimitiveType<Native: Into<i64>>, M: Target<'a>, const PER_SECOND: i64>(
    array: &'a dyn Array,
    target: M,
    tag: u8,
) -> M::Made {
    primitive::<T, _, _>(array, target, move |out, v| put::put_instant::<PER_SECOND>(out, tag, v.into()))
}

fn decimal<'a, T: DecimalType<Native: Into<i256>>, M: Target<'a>, const W: usize>(
    array: &'a dyn Array,
    target: M,
    precision: u8,
    scale: i8,
    put: impl Fn(&mut [u8; W], T::Native, u8) -> usize + 'a,
) -> Option<M::Made> {
    if let Ok(scale) = u8::try_from(scale) {
        return Some(primitive::<T, _, _>(array, target, move |out, v| put(out, v, scale)));
    }
    if i16::from(precision) - i16::from(scale) > MAX_DIGITS {
        return None;
    }
    let factor = i256::from_i128(10).wrapping_pow(scale.unsigned_abs().into());
    Some(primitive::<T, _, _>(array, target, move |out, v| put::put_number_256(out, v.into().wrapping_mul(factor), 0)))
}

fn offset_bytes<'a, O: OffsetSizeTrait, M: Target<'a>>(
    array: &'a dyn Array,
    target: M,
    tag: u8,
    offsets: &'a [O],
    data: &'a [u8],
) -> M::Made {
    target.bytes(array, tag, |row| {
        let start = offsets[row].as_usize();
        Span { data, start, length: offsets[row + 1].as_usize() - start }
    })
}

fn view_bytes<'a, T: ByteViewType + ?Sized, M: Target<'a>>(
    array: &'a dyn Array,
    target: M,
    tag: u8,
    values: &'a GenericByteViewArray<T>,
) -> M::Made {
    let (views, inline) = (values.views(), values.views().inner().as_slice());
    target.bytes(array, tag, |row| {
        let view = arrow_data::ByteView::from(views[row]);
        if view.length <= MAX_INLINE_VIEW_LEN {
            Span { data: inline, start: row * size_of::<u128>() + size_of::<u32>(), length: view.length as usize }
        } else {
            let data = values.data_buffers()[view.buffer_index as usize].as_slice();
            Span { data, start: view.offset as usize, length: view.length as usize }
        }
    })
}
