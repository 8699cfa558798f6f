//! Values of one length, onto the wire.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::{IntervalMonthDayNano, NullBuffer};

use super::sink::Refusal;
use super::source::{NULL, Slots, Source};
use super::wire::{EPOCH_DAYS, EPOCH_MICROSECONDS, MICROSECONDS_PER_DAY};

/// Days from 1970 to the server's first date, 4714-11-24 BC, and past its last one, 5874897-12-31.
const DATES: Range<i32> = -2_440_588..2_145_042_906;
/// The server's first timestamp, in microseconds since 2000; what lies below may be an infinity.
const FIRST_TIMESTAMP: i64 = -211_813_488_000_000_000;

/// A value that the server does not have: its text, and why.
pub(super) type Unfit = (String, &'static str);

/// Writes values of `N` bytes.
pub(super) struct FixedSource<'a, const N: usize, T: ArrowPrimitiveType, F> {
    array: &'a PrimitiveArray<T>,
    to_bytes: F,
}

impl<'a, const N: usize> FixedSource<'a, N, arrow_array::types::Int64Type, ()> {
    /// A source that turns each value into its bytes with `to_bytes`.
    pub(super) fn boxed<T: ArrowPrimitiveType>(
        array: &'a dyn Array,
        to_bytes: impl Fn(T::Native) -> Result<[u8; N], Unfit> + 'a,
    ) -> Box<dyn Source + 'a> {
        Box::new(FixedSource { array: array.as_primitive::<T>(), to_bytes })
    }
}

/// The nulls of an array that has some.
pub(super) fn some_nulls(array: &dyn Array) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}

/// Adds to `lengths` those of fields of `size` bytes.
fn measure(nulls: Option<&NullBuffer>, rows: Range<usize>, size: usize, lengths: &mut [usize]) {
    match nulls {
        None => lengths.iter_mut().for_each(|length| *length += 4 + size),
        Some(nulls) => {
            for (length, row) in lengths.iter_mut().zip(rows) {
                *length += 4 + if nulls.is_null(row) { 0 } else { size };
            }
        }
    }
}

/// Writes a NULL.
pub(super) fn write_null(out: &mut [u8], cursor: &mut usize) {
    out[*cursor..*cursor + 4].copy_from_slice(&NULL);
    *cursor += 4;
}

#[inline]
fn write_fixed<const N: usize>(out: &mut [u8], cursor: &mut usize, field: [u8; N]) {
    let slot = &mut out[*cursor..*cursor + 4 + N];
    #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
    slot[..4].copy_from_slice(&(N as u32).to_be_bytes());
    slot[4..].copy_from_slice(&field);
    *cursor += 4 + N;
}

impl<const N: usize, T, F> Source for FixedSource<'_, N, T, F>
where
    T: ArrowPrimitiveType,
    F: Fn(T::Native) -> Result<[u8; N], Unfit>,
{
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal> {
        measure(some_nulls(self.array), rows, N, lengths);
        Ok(())
    }

    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal> {
        let nulls = some_nulls(self.array);
        let values = &self.array.values()[slots.rows.clone()];
        for (index, (value, cursor)) in values.iter().zip(slots.cursors).enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(slots.rows.start + index)) {
                write_null(out, cursor);
                continue;
            }
            match (self.to_bytes)(*value) {
                Ok(field) => write_fixed(out, cursor, field),
                Err((value, reason)) => return Err(Refusal::unfit(index, value, reason)),
            }
        }
        Ok(())
    }
}

/// Writes booleans.
pub(super) struct BoolSource<'a>(&'a BooleanArray);

impl<'a> BoolSource<'a> {
    pub(super) fn new(array: &'a BooleanArray) -> Self {
        Self(array)
    }
}

impl Source for BoolSource<'_> {
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal> {
        measure(some_nulls(self.0), rows, 1, lengths);
        Ok(())
    }

    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal> {
        for (row, cursor) in slots.rows.zip(slots.cursors) {
            if self.0.is_null(row) {
                write_null(out, cursor);
            } else {
                write_fixed(out, cursor, [u8::from(self.0.value(row))]);
            }
        }
        Ok(())
    }
}

pub(super) fn oid(value: i64) -> Result<[u8; 4], Unfit> {
    let oid = u32::try_from(value).map_err(|_| (value.to_string(), "an oid is a number from 0 to 4294967295"))?;
    Ok(oid.to_be_bytes())
}

pub(super) fn date(days: i32) -> Result<[u8; 4], Unfit> {
    if DATES.contains(&days) {
        return Ok((days - EPOCH_DAYS).to_be_bytes());
    }
    Err((format!("{days} days after 1970-01-01"), "the server's dates go from 4714-11-24 BC to 5874897-12-31"))
}

pub(super) fn time(microseconds: Result<i64, Unfit>) -> Result<[u8; 8], Unfit> {
    match microseconds? {
        time @ 0..MICROSECONDS_PER_DAY => Ok(time.to_be_bytes()),
        time => Err((format!("{time} microseconds"), "it is no time of day")),
    }
}

pub(super) fn timestamp(microseconds: Result<i64, Unfit>) -> Result<[u8; 8], Unfit> {
    let time = microseconds?;
    match time.checked_sub(EPOCH_MICROSECONDS) {
        Some(since_2000) if since_2000 >= FIRST_TIMESTAMP => Ok(since_2000.to_be_bytes()),
        _ => Err((format!("{time} microseconds after 1970-01-01"), "the server's timestamps begin in 4714 BC")),
    }
}

pub(super) fn duration(microseconds: Result<i64, Unfit>) -> Result<[u8; 16], Unfit> {
    Ok(interval_bytes(microseconds?, 0, 0))
}

pub(super) fn interval(value: IntervalMonthDayNano) -> Result<[u8; 16], Unfit> {
    Ok(interval_bytes(whole(value.nanoseconds)?, value.days, value.months))
}

fn interval_bytes(time: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&time.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}

/// A number of longer units in microseconds.
#[inline]
pub(super) fn scaled(value: i64, unit: i64) -> Result<i64, Unfit> {
    value.checked_mul(unit).ok_or_else(|| (value.to_string(), "its microseconds do not fit 64 bits"))
}

/// Nanoseconds in microseconds.
#[inline]
pub(super) fn whole(nanoseconds: i64) -> Result<i64, Unfit> {
    if nanoseconds % 1000 == 0 {
        return Ok(nanoseconds / 1000);
    }
    Err((format!("{nanoseconds} nanoseconds"), "the server keeps no part of a microsecond"))
}
