//! Postgres numeric text to decimals: exact, or refused.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Decimal256Type, DecimalType, validate_decimal_precision_and_scale};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, i256};

use crate::decimal_text::{DIGITS_64, DIGITS_128, Number, POWERS_OF_TEN, power_of_ten};
use crate::error::{KernelError, KernelResult};
use crate::texts::try_each;

/// How much of a text an error shows.
const EXCERPT_BYTES: usize = 100;

/// What becomes of `NaN`, `Infinity` and `-Infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSpecial {
    /// The array is refused.
    Error,
    /// The value becomes null.
    Null,
}

/// Decimals of `precision` digits, `scale` of them after the point: decimal128 up to 38 digits, decimal256 up to 76.
///
/// `array` is `utf8`, `large_utf8` or `utf8_view`; each text is `[+-]digits[.digits][e[+-]digits]`, or a special value in
/// Postgres's spelling. Nothing is rounded: zeros may be added or dropped after the point, digits may not.
///
/// # Errors
///
/// [`KernelError::NotText`], [`KernelError::InvalidDecimalType`]; and for the first offending row
/// [`KernelError::NotANumber`], [`KernelError::Special`] or [`KernelError::DoesNotFit`].
pub fn numeric_to_decimal(
    array: &dyn Array,
    precision: u8,
    scale: i8,
    on_special: OnSpecial,
) -> KernelResult<ArrayRef> {
    let target = Target { precision, scale, on_special };
    if precision <= DIGITS_128 {
        target.convert::<Decimal128Type>(array, |v| v, i256::as_i128)
    } else {
        target.convert::<Decimal256Type>(array, i256::from_i128, |v| v)
    }
}

#[derive(Clone, Copy)]
struct Target {
    precision: u8,
    scale: i8,
    on_special: OnSpecial,
}

enum Refusal {
    NotANumber,
    DoesNotFit,
}

impl Target {
    fn convert<T: DecimalType>(
        self,
        array: &dyn Array,
        short: impl Fn(i128) -> T::Native,
        long: impl Fn(i256) -> T::Native,
    ) -> KernelResult<ArrayRef> {
        let (precision, scale) = (self.precision, self.scale);
        let invalid = |reason| KernelError::InvalidDecimalType { precision, scale, reason };
        validate_decimal_precision_and_scale::<T>(precision, scale).map_err(invalid)?;
        let parse = |text: &[u8]| match self.parse_short(text) {
            Some(value) => Ok(short(value)),
            None => self.parse_long(text).map(&long),
        };
        let (values, nulls) = self.parse_all(array, parse)?;
        let decimals = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(decimals.with_precision_and_scale(precision, scale).map_err(invalid)?))
    }

    fn parse_all<N: Default>(
        self,
        array: &dyn Array,
        parse: impl Fn(&[u8]) -> Result<N, Refusal>,
    ) -> KernelResult<(Vec<N>, Option<NullBuffer>)> {
        let mut values = Vec::with_capacity(array.len());
        let mut specials = Vec::new();
        try_each(array, |row, text| {
            match text.map(|text| parse(text).map_err(|refusal| (text, refusal))) {
                Some(Ok(value)) => values.push(value),
                Some(Err((text, refusal))) => {
                    self.check_special(row, text, &refusal)?;
                    specials.push(row);
                    values.push(N::default());
                }
                None => values.push(N::default()),
            }
            Ok(())
        })?;
        Ok((values, without(array, &specials)))
    }

    /// Ok when the text is a special value that may become null; the error that says what is wrong otherwise.
    fn check_special(self, row: usize, text: &[u8], refusal: &Refusal) -> KernelResult<()> {
        let (precision, scale) = (self.precision, self.scale);
        let value = excerpt(text);
        // The server writes the first three, ADBC's driver the others.
        let special = matches!(text, b"NaN" | b"Infinity" | b"-Infinity" | b"nan" | b"inf" | b"-inf");
        match (special, self.on_special, refusal) {
            (true, OnSpecial::Null, _) => Ok(()),
            (true, OnSpecial::Error, _) => Err(KernelError::Special { row, value }),
            (false, _, Refusal::NotANumber) => Err(KernelError::NotANumber { row, value }),
            (false, _, Refusal::DoesNotFit) => Err(KernelError::DoesNotFit { row, value, precision, scale }),
        }
    }

    /// The common case, up to 19 digits and point, no exponent, nothing to drop; None leaves the text to `parse_long`.
    fn parse_short(self, text: &[u8]) -> Option<i128> {
        let (negative, number) = match text {
            [b'-', number @ ..] => (true, number),
            number => (false, number),
        };
        if number.len() > DIGITS_64 {
            return None;
        }
        let mut coefficient = 0u64;
        let mut point = None;
        for (i, byte) in number.iter().enumerate() {
            match byte.wrapping_sub(b'0') {
                digit @ 0..=9 => coefficient = coefficient * 10 + u64::from(digit),
                _ if *byte == b'.' && point.is_none() => point = Some(i),
                _ => return None,
            }
        }
        let fraction = point.map_or(0, |point| number.len() - 1 - point);
        if number.len() == usize::from(point.is_some()) {
            return None;
        }
        let added = usize::try_from(self.scale).ok()?.checked_sub(fraction)?;
        let room = usize::from(self.precision.min(DIGITS_128)).checked_sub(added)?;
        if i128::from(coefficient) >= POWERS_OF_TEN[room] {
            return None;
        }
        let value = i128::from(coefficient) * POWERS_OF_TEN[added];
        Some(if negative { -value } else { value })
    }

    fn parse_long(self, text: &[u8]) -> Result<i256, Refusal> {
        let number = Number::parse(text).ok_or(Refusal::NotANumber)?;
        if number.significant == 0 {
            return Ok(i256::ZERO);
        }
        let shift = u8::try_from(number.exponent.saturating_add(self.scale.into()));
        let shift = shift.map_err(|_| Refusal::DoesNotFit)?;
        if number.significant.saturating_add(shift.into()) > self.precision.into() {
            return Err(Refusal::DoesNotFit);
        }
        let value = number.coefficient().wrapping_mul(power_of_ten(shift.into()));
        Ok(if number.negative { value.wrapping_neg() } else { value })
    }
}

/// The text for people: Postgres sends up to 147 455 digits.
fn excerpt(text: &[u8]) -> String {
    match text.get(..EXCERPT_BYTES) {
        Some(start) if text.len() > EXCERPT_BYTES => format!("{}…", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

/// The nulls of `array`, and `rows` besides.
fn without(array: &dyn Array, rows: &[usize]) -> Option<NullBuffer> {
    if rows.is_empty() {
        return array.nulls().cloned();
    }
    let mut valid = BooleanBufferBuilder::new(array.len());
    match array.nulls() {
        Some(nulls) => valid.append_buffer(nulls.inner()),
        None => valid.append_n(array.len(), true),
    }
    for row in rows {
        valid.set_bit(*row, false);
    }
    Some(NullBuffer::new(valid.finish()))
}
