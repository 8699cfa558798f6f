//! Numerics: base-10000 digits to decimals.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Decimal256Type, DecimalType, validate_decimal_precision_and_scale};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::i256;
use arrow_schema::DataType;

use super::numeric_value::{Numeric, NumericError};
use super::sink::{Nulls, Place, Refusal, Sink, renew};
use crate::decimal_text::{DIGITS_64, power_of_ten};
use crate::numeric::OnSpecial;

/// Bytes before the digits: count, weight, sign, dscale.
pub(super) const HEADER: usize = 8;
/// The bits of sign and dscale that a number may have; all others make it special or broken.
const NO_NUMBER: u64 = 0xbfff_c000;
const NEGATIVE: u64 = 0x4000_0000;
/// Digits (groups of four decimal ones) that are read as one word.
const WORD: usize = 4;

/// A decimal type of arrow-rs.
trait Decimal: DecimalType {
    fn short(value: i64) -> Self::Native;
    fn long(value: i256) -> Self::Native;
}

impl Decimal for Decimal128Type {
    #[inline]
    fn short(value: i64) -> i128 {
        value.into()
    }

    fn long(value: i256) -> i128 {
        value.as_i128()
    }
}

impl Decimal for Decimal256Type {
    #[inline]
    fn short(value: i64) -> i256 {
        i256::from_i128(value.into())
    }

    fn long(value: i256) -> i256 {
        value
    }
}

/// The sink for a decimal type; None when there is no such type.
pub(super) fn boxed(data_type: &DataType, special: OnSpecial) -> Option<Box<dyn Sink>> {
    match *data_type {
        DataType::Decimal128(precision, scale) => NumericSink::<Decimal128Type, 0>::boxed(precision, scale, special),
        DataType::Decimal256(precision, scale) => NumericSink::<Decimal256Type, 0>::boxed(precision, scale, special),
        _ => None,
    }
}

/// Gathers decimals; the last group of the scale has `PAD` decimal digits too many.
struct NumericSink<T: Decimal, const PAD: u32> {
    precision: u8,
    scale: i8,
    special: OnSpecial,
    /// Groups after the point that the scale needs.
    fraction: i64,
    /// What a short value stays below.
    limit: u64,
    values: Vec<T::Native>,
    nulls: Nulls,
}

impl<T: Decimal, const PAD: u32> NumericSink<T, PAD> {
    fn new(precision: u8, scale: i8, special: OnSpecial) -> Self {
        let limit = if usize::from(precision) < DIGITS_64 { 10u64.pow(precision.into()) } else { u64::MAX };
        let fraction = i64::from(scale).div_euclid(4) + i64::from(scale.rem_euclid(4) > 0);
        Self { precision, scale, special, fraction, limit, values: Vec::new(), nulls: Nulls::default() }
    }

    fn boxed(precision: u8, scale: i8, special: OnSpecial) -> Option<Box<dyn Sink>> {
        validate_decimal_precision_and_scale::<T>(precision, scale).ok()?;
        Some(match (4 - scale.rem_euclid(4)) % 4 {
            0 => Box::new(NumericSink::<T, 0>::new(precision, scale, special)),
            1 => Box::new(NumericSink::<T, 1>::new(precision, scale, special)),
            2 => Box::new(NumericSink::<T, 2>::new(precision, scale, special)),
            _ => Box::new(NumericSink::<T, 3>::new(precision, scale, special)),
        })
    }

    /// The value when its groups, laid out as the scale wants them, are a word; None leaves it to `read_long`.
    #[inline]
    fn read_short(&self, place: Place, bytes: &[u8]) -> Option<T::Native> {
        let field: [u8; HEADER + 2 * WORD] = *bytes.get(place.start as usize..)?.first_chunk()?;
        let [header, digits] = split(field);
        let count = header >> 48;
        #[expect(clippy::cast_possible_truncation, reason = "16 bits of the header")]
        let weight = i64::from((header >> 32) as i16);
        let groups = weight + 1 + self.fraction;
        let length_fits = u64::try_from(place.length) == Ok(HEADER as u64 + 2 * count);
        if header & NO_NUMBER != 0 || !length_fits || !(1..=4).contains(&groups) || count.cast_signed() > groups {
            return None;
        }
        let shift = u32::try_from(16 * count).unwrap_or(u32::MAX);
        // What follows the last digit belongs to the next field.
        let digits = digits & !(u64::MAX.checked_shr(shift).unwrap_or(0));
        // A digit of 10000 or more carries into the highest bit of its lane.
        if (digits | digits.wrapping_add(0x58f0_58f0_58f0_58f0)) & 0x8000_8000_8000_8000 != 0 {
            return None;
        }
        let lanes = digits >> (64 - 16 * groups);
        let pair = |lanes: u64| (lanes >> 16 & 0xffff) * 10_000 + (lanes & 0xffff);
        let padded = pair(lanes >> 32) * 100_000_000 + pair(lanes);
        let value = padded / 10u64.pow(PAD);
        if value * 10u64.pow(PAD) != padded || value >= self.limit {
            return None;
        }
        let value = value.cast_signed();
        Some(T::short(if header & NEGATIVE == 0 { value } else { -value }))
    }

    /// Any value; None for a special one that is to become null.
    #[cold]
    fn read_long(&self, index: usize, field: &[u8]) -> Result<Option<T::Native>, Refusal> {
        let numeric = match Numeric::parse(field) {
            Ok(numeric) => numeric,
            Err(NumericError::Special(_)) if self.special == OnSpecial::Null => return Ok(None),
            Err(NumericError::Special(name)) => return Err(Refusal::unfit(index, name, "decimals cannot hold it")),
            Err(NumericError::Broken) => return Err(Refusal::broken(index, field, "it is no numeric")),
        };
        let value = numeric.unscaled(self.precision, self.scale).ok_or_else(|| {
            let reason = format!("it does not fit decimal({}, {})", self.precision, self.scale);
            Refusal::unfit(index, numeric.excerpt(), reason)
        })?;
        debug_assert!(value.wrapping_abs() < power_of_ten(self.precision.into()));
        Ok(Some(T::long(value)))
    }
}

#[inline]
fn split(field: [u8; HEADER + 2 * WORD]) -> [u64; 2] {
    let both = u128::from_be_bytes(field);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [(both >> 64) as u64, both as u64]
}

impl<T: Decimal, const PAD: u32> Sink for NumericSink<T, PAD> {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        let before = self.values.len();
        let mut values = std::mem::take(&mut self.values);
        values.resize(before + places.len(), T::Native::default());
        let mut any_null = false;
        for (index, (place, slot)) in places.iter_mut().zip(&mut values[before..]).enumerate() {
            if place.is_null() {
                any_null = true;
                continue;
            }
            if let Some(value) = self.read_short(*place, bytes) {
                *slot = value;
            } else if let Some(value) = self.read_long(index, place.of(bytes))? {
                *slot = value;
            } else {
                any_null = true;
                *place = Place::NULL;
            }
        }
        self.values = values;
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let array = PrimitiveArray::<T>::new(renew(&mut self.values).into(), self.nulls.take());
        Arc::new(array.with_data_type(T::TYPE_CONSTRUCTOR(self.precision, self.scale)))
    }
}
