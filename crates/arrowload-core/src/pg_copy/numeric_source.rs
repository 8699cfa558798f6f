//! Decimals to base-10000 digits, as the server itself sends them.

use std::ops::Range;

use arrow_array::PrimitiveArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, DecimalType};
use arrow_buffer::i256;

use super::fixed_source::{some_nulls, write_null};
use super::numeric_sink::HEADER;
use super::numeric_value::{BASE, NEGATIVE, POSITIVE};
use super::sink::Refusal;
use super::source::{Slots, Source};

/// Most groups of base 10000 in 256 bits, and one that is shared by both sides of the point.
const MAX_GROUPS: usize = 21;
/// Four groups.
const WORD: u64 = 10_000 * 10_000 * 10_000 * 10_000;

/// A decimal type of arrow-rs.
pub(super) trait Magnitude: DecimalType {
    /// Sign and magnitude, when that has 64 bits.
    fn short(value: Self::Native) -> Option<(bool, u64)>;

    /// Sign and magnitude.
    fn long(value: Self::Native) -> (bool, Wide);
}

/// A magnitude: `high * 2^128 + low`.
pub(super) struct Wide {
    high: u128,
    low: u128,
}

impl Magnitude for Decimal128Type {
    #[inline]
    fn short(value: i128) -> Option<(bool, u64)> {
        Some((value < 0, u64::try_from(value.unsigned_abs()).ok()?))
    }

    fn long(value: i128) -> (bool, Wide) {
        (value < 0, Wide { high: 0, low: value.unsigned_abs() })
    }
}

impl Magnitude for Decimal256Type {
    #[inline]
    fn short(value: i256) -> Option<(bool, u64)> {
        let value = value.to_i128()?;
        Some((value < 0, u64::try_from(value.unsigned_abs()).ok()?))
    }

    fn long(value: i256) -> (bool, Wide) {
        // The magnitude of the least i256 is 2^255, which its own bits are.
        let (low, high) = value.wrapping_abs().to_parts();
        (value.is_negative(), Wide { high: high.cast_unsigned(), low })
    }
}

impl Wide {
    /// Divides by a number below 2^32, and gives the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut words =
            [self.high >> 64, self.high & u128::from(u64::MAX), self.low >> 64, self.low & u128::from(u64::MAX)];
        let mut rest = 0;
        for word in &mut words {
            let dividend = rest << 64 | *word;
            (*word, rest) = (dividend / u128::from(divisor), dividend % u128::from(divisor));
        }
        (self.high, self.low) = (words[0] << 64 | words[1], words[2] << 64 | words[3]);
        u32::try_from(rest).unwrap_or(0)
    }

    fn is_zero(&self) -> bool {
        self.high == 0 && self.low == 0
    }
}

/// A field, ready to be written: groups and what stands before them.
#[derive(Clone, Copy)]
struct Field {
    header: [u8; HEADER],
    /// The first four groups, big-endian.
    first: [u8; 8],
    count: u16,
}

/// Writes decimals.
pub(super) struct NumericSource<'a, T: Magnitude> {
    array: &'a PrimitiveArray<T>,
    /// Decimals of each value, None for as many as it needs.
    dscale: Option<u16>,
    /// Groups after the point.
    fraction: i16,
    /// The last of them has this many decimal digits too many.
    pad: u32,
    /// The fields that were measured last, and the further groups of long ones one after the other.
    fields: Vec<Field>,
    further: Vec<u8>,
}

impl<'a, T: Magnitude> NumericSource<'a, T> {
    pub(super) fn new(array: &'a PrimitiveArray<T>, free: bool) -> Self {
        let scale = array.scale();
        let pad = (4 - scale.rem_euclid(4)) % 4;
        Self {
            array,
            dscale: (!free).then_some(scale.max(0).unsigned_abs().into()),
            fraction: (i16::from(scale) + i16::from(pad)) / 4,
            pad: pad.unsigned_abs().into(),
            fields: Vec::new(),
            further: Vec::new(),
        }
    }

    #[inline]
    fn field(&mut self, value: T::Native) -> Field {
        let padded = T::short(value)
            .and_then(|(negative, magnitude)| Some((negative, magnitude.checked_mul(10u64.pow(self.pad))?)))
            .filter(|(_, padded)| *padded < WORD);
        match padded {
            Some((negative, padded)) => self.short_field(negative, padded),
            None => self.long_field(value),
        }
    }

    #[inline]
    fn short_field(&self, negative: bool, padded: u64) -> Field {
        if padded == 0 {
            return Field { header: self.header(0, 0, false, 0), first: [0; 8], count: 0 };
        }
        let (high, low) = (padded / 100_000_000, padded % 100_000_000);
        let lanes = (high / 10_000) << 48 | (high % 10_000) << 32 | (low / 10_000) << 16 | (low % 10_000);
        let (leading, trailing) = (lanes.leading_zeros() / 16, lanes.trailing_zeros() / 16);
        #[expect(clippy::cast_possible_truncation, reason = "both are below four")]
        let (leading, trailing) = (leading as i16, trailing as i16);
        let count = (4 - leading - trailing).unsigned_abs();
        let last = (lanes >> (16 * trailing)) & 0xffff;
        let header = self.header(count, 3 - leading - self.fraction, negative, last);
        Field { header, first: (lanes << (16 * leading)).to_be_bytes(), count }
    }

    #[cold]
    fn long_field(&mut self, value: T::Native) -> Field {
        let (negative, mut rest) = T::long(value);
        let mut groups = [0u16; MAX_GROUPS];
        let mut used = 0;
        if self.pad > 0 {
            let last = rest.divide(10u32.pow(4 - self.pad)) * 10u32.pow(self.pad);
            groups[0] = u16::try_from(last).unwrap_or(0);
            used = 1;
        }
        while !rest.is_zero() {
            groups[used] = u16::try_from(rest.divide(BASE.into())).unwrap_or(0);
            used += 1;
        }
        let zeros = groups[..used].iter().take_while(|group| **group == 0).count();
        let count = u16::try_from(used - zeros).unwrap_or(0);
        let weight = i16::try_from(used).unwrap_or(0) - 1 - self.fraction;
        let mut bytes = [0; 2 * MAX_GROUPS + 8];
        for (slot, group) in bytes.chunks_exact_mut(2).zip(groups[zeros..used].iter().rev()) {
            slot.copy_from_slice(&group.to_be_bytes());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        if count > 4 {
            self.further.extend_from_slice(&bytes[8..2 * usize::from(count)]);
        }
        Field { header: self.header(count, weight, negative, groups[zeros.min(MAX_GROUPS - 1)].into()), first, count }
    }

    #[inline]
    fn header(&self, count: u16, weight: i16, negative: bool, last: u64) -> [u8; HEADER] {
        let sign = if negative { NEGATIVE } else { POSITIVE };
        let dscale = self.dscale.unwrap_or_else(|| decimals(count, weight, last));
        let words = [count, weight.cast_unsigned(), sign, dscale];
        words.iter().fold(0u64, |header, word| header << 16 | u64::from(*word)).to_be_bytes()
    }
}

/// How many decimals a number needs whose last group is `last`.
fn decimals(count: u16, weight: i16, last: u64) -> u16 {
    let groups = i32::from(count) - 1 - i32::from(weight);
    let zeros = [10, 100, 1000].into_iter().take_while(|power| last.is_multiple_of(*power)).count();
    u16::try_from(4 * groups - i32::try_from(zeros).unwrap_or(0)).unwrap_or(0)
}

impl<T: Magnitude> Source for NumericSource<'_, T> {
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal> {
        self.fields.clear();
        self.further.clear();
        let nulls = some_nulls(self.array);
        let values = self.array.values();
        for (length, row) in lengths.iter_mut().zip(rows) {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                *length += 4;
                self.fields.push(Field { header: [0; HEADER], first: [0; 8], count: 0 });
            } else {
                let field = self.field(values[row]);
                *length += 4 + HEADER + 2 * usize::from(field.count);
                self.fields.push(field);
            }
        }
        Ok(())
    }

    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal> {
        let nulls = some_nulls(self.array);
        let mut further = self.further.as_slice();
        for (((row, cursor), end), field) in slots.rows.zip(slots.cursors).zip(slots.ends).zip(&self.fields) {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                write_null(out, cursor);
                continue;
            }
            let digits = 2 * usize::from(field.count);
            let out = &mut out[*cursor..*end];
            out[..4].copy_from_slice(&u32::from(8 + 2 * field.count).to_be_bytes());
            out[4..12].copy_from_slice(&field.header);
            match out.get_mut(12..20) {
                // What lies behind in this row is not written yet.
                Some(slot) => slot.copy_from_slice(&field.first),
                None => out[12..12 + digits].copy_from_slice(&field.first[..digits]),
            }
            if digits > 8 {
                let more;
                (more, further) = further.split_at(digits - 8);
                out[20..12 + digits].copy_from_slice(more);
            }
            *cursor += 12 + digits;
        }
        Ok(())
    }
}
