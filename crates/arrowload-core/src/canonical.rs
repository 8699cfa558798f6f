//! The canonical bytes of one value; `crates/README.md` has the layout.

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

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { TRUE } else { FALSE });
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_tagged(out, INTEGER_64, value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    put_number_128(out, value.into(), 0);
}

/// A number of `coefficient / 10^scale`.
pub(crate) fn put_number_64(out: &mut Vec<u8>, mut coefficient: i64, mut scale: u8) {
    if coefficient == 0 {
        scale = 0;
    }
    while scale > 0 && coefficient % 10 == 0 {
        coefficient /= 10;
        scale -= 1;
    }
    if scale == 0 {
        put_i64(out, coefficient);
    } else {
        put_tagged(out, DECIMAL_64, [scale]);
        out.extend_from_slice(&coefficient.to_le_bytes());
    }
}

pub(crate) fn put_number_128(out: &mut Vec<u8>, mut coefficient: i128, mut scale: u8) {
    loop {
        if let Ok(small) = i64::try_from(coefficient) {
            return put_number_64(out, small, scale);
        }
        if scale == 0 || coefficient % 10 != 0 {
            break;
        }
        coefficient /= 10;
        scale -= 1;
    }
    put_wide(out, [INTEGER_128, DECIMAL_128], scale, &coefficient.to_le_bytes());
}

pub(crate) fn put_number_256(out: &mut Vec<u8>, mut coefficient: i256, mut scale: u8) {
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
    put_wide(out, [INTEGER_256, DECIMAL_256], scale, &coefficient.to_le_bytes());
}

fn put_wide(out: &mut Vec<u8>, [integer, decimal]: [u8; 2], scale: u8, coefficient: &[u8]) {
    if scale == 0 {
        out.push(integer);
    } else {
        out.extend_from_slice(&[decimal, scale]);
    }
    out.extend_from_slice(coefficient);
}

pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    let canonical = if value.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    put_tagged(out, FLOAT, canonical.to_bits().to_le_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    put_count(out, tag, value.len());
    out.extend_from_slice(value);
}

/// A tag and an unsigned LEB128 count.
pub(crate) fn put_count(out: &mut Vec<u8>, tag: u8, mut count: usize) {
    out.push(tag);
    while count >= 0x80 {
        out.push(count.to_le_bytes()[0] | 0x80);
        count >>= 7;
    }
    out.push(count.to_le_bytes()[0]);
}

pub(crate) fn put_days(out: &mut Vec<u8>, days: i32) {
    put_millis(out, i64::from(days) * MILLIS_PER_DAY);
}

pub(crate) fn put_millis(out: &mut Vec<u8>, millis: i64) {
    put_tagged(out, DATE, millis.to_le_bytes());
}

/// A time of day or a timestamp that counts units of which a second has `PER_SECOND`.
pub(crate) fn put_instant<const PER_SECOND: i64>(out: &mut Vec<u8>, tag: u8, value: i64) {
    put_tagged(out, tag, seconds_and_nanos::<PER_SECOND>(value));
}

pub(crate) fn put_duration<const PER_SECOND: i64>(out: &mut Vec<u8>, value: i64) {
    put_interval(out, 0, 0, seconds_and_nanos::<PER_SECOND>(value));
}

pub(crate) fn put_months(out: &mut Vec<u8>, months: i32) {
    put_interval(out, months, 0, seconds_and_nanos::<1>(0));
}

pub(crate) fn put_day_time(out: &mut Vec<u8>, value: IntervalDayTime) {
    put_interval(out, 0, value.days, seconds_and_nanos::<1_000>(value.milliseconds.into()));
}

pub(crate) fn put_month_day_nano(out: &mut Vec<u8>, value: IntervalMonthDayNano) {
    let time = seconds_and_nanos::<NANOS_PER_SECOND>(value.nanoseconds);
    put_interval(out, value.months, value.days, time);
}

fn put_interval(out: &mut Vec<u8>, months: i32, days: i32, time: [u8; 12]) {
    put_tagged(out, INTERVAL, months.to_le_bytes());
    out.extend_from_slice(&days.to_le_bytes());
    out.extend_from_slice(&time);
}

fn seconds_and_nanos<const PER_SECOND: i64>(value: i64) -> [u8; 12] {
    let nanos = value.rem_euclid(PER_SECOND) * (NANOS_PER_SECOND / PER_SECOND);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&value.div_euclid(PER_SECOND).to_le_bytes());
    bytes[8..].copy_from_slice(&nanos.to_le_bytes()[..4]);
    bytes
}

fn put_tagged<const N: usize>(out: &mut Vec<u8>, tag: u8, payload: [u8; N]) {
    out.reserve(1 + N); // one check of the capacity instead of two
    out.push(tag);
    out.extend_from_slice(&payload);
}
