//! The canonical bytes of one value; `crates/README.md` has the layout.
//!
//! A function writes its value at the start of a window that is as wide as its longest value may be, or wider, and
//! returns how many bytes count. What it leaves behind them has no meaning: the next value of the row overwrites it.

use arrow_array::types::{IntervalDayTime, IntervalMonthDayNano};
use arrow_buffer::i256;

pub(crate) const NULL: u8 = 0x00;
const FALSE: u8 = 0x01;
const TRUE: u8 = 0x02;
const INTEGER_64: u8 = 0x03;
const INTEGER_128: u8 = 0x04;
const INTEGER_256: u8 = 0x05;
const DECIMAL_64: u8 = 0x06;
const DECIMAL_128: u8 = 0x07;
const DECIMAL_256: u8 = 0x08;
const FLOAT: u8 = 0x09;
pub(crate) const TEXT: u8 = 0x0a;
pub(crate) const BINARY: u8 = 0x0b;
const DATE: u8 = 0x0c;
pub(crate) const TIME: u8 = 0x0d;
pub(crate) const TIMESTAMP: u8 = 0x0e;
pub(crate) const TIMESTAMP_ZONED: u8 = 0x0f;
const INTERVAL: u8 = 0x10;
pub(crate) const LIST: u8 = 0x11;
pub(crate) const STRUCT: u8 = 0x12;
pub(crate) const MAP: u8 = 0x13;

/// A value of at most 16 bytes: written by one store.
pub(crate) type Narrow = [u8; 16];
/// A value with 128 bits, or an interval.
pub(crate) type Middle = [u8; 24];
/// A value with 256 bits.
pub(crate) type Wide = [u8; WIDEST];

/// Bytes of the widest window.
pub(crate) const WIDEST: usize = 40;
/// Bytes of a tag and the longest count.
pub(crate) const COUNT_BYTES: usize = 11;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;
/// Up to this scale, trying every digit costs less than guessing when to stop.
const FEW_DIGITS: u8 = 4;

pub(crate) fn put_null(out: &mut Narrow) -> usize {
    out[0] = NULL;
    1
}

pub(crate) fn put_bool(out: &mut Narrow, value: bool) -> usize {
    out[0] = if value { TRUE } else { FALSE };
    1
}

pub(crate) fn put_i64(out: &mut Narrow, value: i64) -> usize {
    put_eight(out, INTEGER_64, value.to_le_bytes())
}

pub(crate) fn put_u64(out: &mut Middle, value: u64) -> usize {
    put_number_128(out, value.into(), 0)
}

/// A number of `coefficient / 10^scale`.
pub(crate) fn put_number_64(out: &mut Narrow, coefficient: i64, scale: u8) -> usize {
    let (coefficient, scale) =
        if scale <= FEW_DIGITS { without_few_zeros(coefficient, scale) } else { without_zeros(coefficient, scale) };
    let integer = scale == 0;
    let payload = u128::from(u64::from_le_bytes(coefficient.to_le_bytes()));
    let bits = if integer {
        payload << 8 | u128::from(INTEGER_64)
    } else {
        payload << 16 | u128::from(scale) << 8 | u128::from(DECIMAL_64)
    };
    *out = bits.to_le_bytes();
    10 - usize::from(integer)
}

/// Drops zeros after the point, without a branch that data decide.
fn without_few_zeros(mut coefficient: i64, scale: u8) -> (i64, u8) {
    let mut zeros = 0;
    for _ in 0..scale {
        let quotient = coefficient / 10;
        let exact = quotient * 10 == coefficient;
        coefficient = if exact { quotient } else { coefficient };
        zeros += u8::from(exact);
    }
    (coefficient, scale - zeros)
}

fn without_zeros(mut coefficient: i64, mut scale: u8) -> (i64, u8) {
    if coefficient == 0 {
        return (0, 0);
    }
    if scale >= 8 && coefficient % 100_000_000 == 0 {
        (coefficient, scale) = (coefficient / 100_000_000, scale - 8);
    }
    while scale > 0 && coefficient % 10 == 0 {
        (coefficient, scale) = (coefficient / 10, scale - 1);
    }
    (coefficient, scale)
}

/// As `put_number_64`, for any window that holds 128 bits.
#[inline]
pub(crate) fn put_number_128<const W: usize>(out: &mut [u8; W], coefficient: i128, scale: u8) -> usize {
    match i64::try_from(coefficient) {
        Ok(small) => put_number_64(narrow(out), small, scale),
        Err(_) => put_beyond_64(out, coefficient, scale),
    }
}

#[cold]
fn put_beyond_64(out: &mut [u8], mut coefficient: i128, mut scale: u8) -> usize {
    // The zeros, by the binary digits of their count; a number divisible by 10^n ends with n zero bits.
    for step in [32u8, 16, 8, 4, 2, 1] {
        let power = 10i128.pow(step.into());
        if scale >= step && coefficient.trailing_zeros() >= step.into() && coefficient % power == 0 {
            (coefficient, scale) = (coefficient / power, scale - step);
        }
    }
    match i64::try_from(coefficient) {
        Ok(small) => {
            let mut bytes = Narrow::default();
            let length = put_number_64(&mut bytes, small, scale);
            out[..length].copy_from_slice(&bytes[..length]);
            length
        }
        Err(_) => put_wide(out, [INTEGER_128, DECIMAL_128], scale, &coefficient.to_le_bytes()),
    }
}

pub(crate) fn put_number_256(out: &mut Wide, mut coefficient: i256, mut scale: u8) -> usize {
    loop {
        if let Some(small) = coefficient.to_i128() {
            return put_number_128(out, small, scale);
        }
        let (quotient, remainder) = coefficient.wrapping_div_rem(i256::from_i128(10));
        if scale == 0 || remainder != i256::ZERO {
            break;
        }
        coefficient = quotient;
        scale -= 1;
    }
    put_wide(out, [INTEGER_256, DECIMAL_256], scale, &coefficient.to_le_bytes())
}

fn put_wide(out: &mut [u8], [integer, decimal]: [u8; 2], scale: u8, coefficient: &[u8]) -> usize {
    let head: &[u8] = if scale == 0 { &[integer] } else { &[decimal, scale] };
    let end = head.len() + coefficient.len();
    out[..head.len()].copy_from_slice(head);
    out[head.len()..end].copy_from_slice(coefficient);
    end
}

pub(crate) fn put_f64(out: &mut Narrow, value: f64) -> usize {
    let canonical = if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    put_eight(out, FLOAT, canonical.to_bits().to_le_bytes())
}

/// A tag and an unsigned LEB128 count.
#[inline]
pub(crate) fn put_count(out: &mut [u8; COUNT_BYTES], tag: u8, mut count: usize) -> usize {
    out[0] = tag;
    let mut length = 1;
    while count >= 0x80 {
        out[length] = count.to_le_bytes()[0] | 0x80;
        count >>= 7;
        length += 1;
    }
    out[length] = count.to_le_bytes()[0];
    length + 1
}

pub(crate) fn put_days(out: &mut Narrow, days: i32) -> usize {
    put_millis(out, i64::from(days) * MILLIS_PER_DAY)
}

pub(crate) fn put_millis(out: &mut Narrow, millis: i64) -> usize {
    put_eight(out, DATE, millis.to_le_bytes())
}

/// A time of day or a timestamp that counts units of which a second has `PER_SECOND`.
pub(crate) fn put_instant<const PER_SECOND: i64>(out: &mut Narrow, tag: u8, value: i64) -> usize {
    out[0] = tag;
    out[1..13].copy_from_slice(&seconds_and_nanos::<PER_SECOND>(value));
    13
}

pub(crate) fn put_duration<const PER_SECOND: i64>(out: &mut Middle, value: i64) -> usize {
    put_interval(out, 0, 0, seconds_and_nanos::<PER_SECOND>(value))
}

pub(crate) fn put_months(out: &mut Middle, months: i32) -> usize {
    put_interval(out, months, 0, seconds_and_nanos::<1>(0))
}

pub(crate) fn put_day_time(out: &mut Middle, value: IntervalDayTime) -> usize {
    put_interval(out, 0, value.days, seconds_and_nanos::<1_000>(value.milliseconds.into()))
}

pub(crate) fn put_month_day_nano(out: &mut Middle, value: IntervalMonthDayNano) -> usize {
    let time = seconds_and_nanos::<NANOS_PER_SECOND>(value.nanoseconds);
    put_interval(out, value.months, value.days, time)
}

fn put_interval(out: &mut Middle, months: i32, days: i32, time: [u8; 12]) -> usize {
    out[0] = INTERVAL;
    out[1..5].copy_from_slice(&months.to_le_bytes());
    out[5..9].copy_from_slice(&days.to_le_bytes());
    out[9..21].copy_from_slice(&time);
    21
}

fn seconds_and_nanos<const PER_SECOND: i64>(value: i64) -> [u8; 12] {
    let nanos = value.rem_euclid(PER_SECOND) * (NANOS_PER_SECOND / PER_SECOND);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&value.div_euclid(PER_SECOND).to_le_bytes());
    bytes[8..].copy_from_slice(&nanos.to_le_bytes()[..4]);
    bytes
}

fn put_eight(out: &mut Narrow, tag: u8, payload: [u8; 8]) -> usize {
    out[0] = tag;
    out[1..9].copy_from_slice(&payload);
    9
}

fn narrow<const W: usize>(out: &mut [u8; W]) -> &mut Narrow {
    const { assert!(W >= size_of::<Narrow>()) };
    out.first_chunk_mut().expect("W is at least as wide")
}
