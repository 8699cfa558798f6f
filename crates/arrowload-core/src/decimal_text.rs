//! A decimal number as people and databases write it, taken apart without rounding.

use arrow_buffer::i256;

/// Digits that an i128 always holds, and the most of a decimal128.
pub(crate) const DIGITS_128: u8 = 38;
/// Digits that a u64 always holds.
pub(crate) const DIGITS_64: usize = 19;

pub(crate) const POWERS_OF_TEN: [i128; DIGITS_128 as usize + 1] = {
    let mut powers = [1; DIGITS_128 as usize + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A number of `coefficient * 10^exponent` whose coefficient neither starts nor ends with a zero.
pub(crate) struct Number<'a> {
    pub(crate) negative: bool,
    mantissa: &'a [u8],
    leading_zeros: usize,
    pub(crate) significant: usize,
    pub(crate) exponent: i64,
}

impl<'a> Number<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, number) = sign(text);
        let (mantissa, exponent) = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&number[..at], parse_exponent(&number[at + 1..])?),
            None => (number, 0),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let fraction = point.map_or(0, |point| mantissa.len() - 1 - point);
        let count = mantissa.len() - usize::from(point.is_some());
        if count == 0 || !digits(mantissa).all(u8::is_ascii_digit) || digits(mantissa).count() != count {
            return None;
        }
        let leading_zeros = digits(mantissa).take_while(|digit| **digit == b'0').count();
        let trailing_zeros = digits(mantissa).rev().take_while(|digit| **digit == b'0').count();
        let significant = count.saturating_sub(leading_zeros + trailing_zeros);
        let exponent = exponent.saturating_add(signed(trailing_zeros)?).saturating_sub(signed(fraction)?);
        Some(Self { negative, mantissa, leading_zeros, significant, exponent })
    }

    /// The coefficient; the caller has seen to it that it has at most 76 digits.
    pub(crate) fn coefficient(&self) -> i256 {
        let mut value = i256::ZERO;
        let mut chunk = (0u64, 0u32);
        for digit in digits(self.mantissa).skip(self.leading_zeros).take(self.significant) {
            chunk = (chunk.0 * 10 + u64::from(digit - b'0'), chunk.1 + 1);
            if chunk.1 as usize == DIGITS_64 {
                value = append(value, chunk);
                chunk = (0, 0);
            }
        }
        append(value, chunk)
    }
}

fn signed(count: usize) -> Option<i64> {
    i64::try_from(count).ok()
}

fn append(value: i256, (chunk, digits): (u64, u32)) -> i256 {
    value.wrapping_mul(power_of_ten(digits)).wrapping_add(i256::from_i128(chunk.into()))
}

fn digits(mantissa: &[u8]) -> impl DoubleEndedIterator<Item = &u8> {
    mantissa.iter().filter(|byte| **byte != b'.')
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// An exponent too large for i64 saturates: it fits no decimal either way.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -value } else { value })
}

pub(crate) fn power_of_ten(exponent: u32) -> i256 {
    match POWERS_OF_TEN.get(exponent as usize) {
        Some(power) => i256::from_i128(*power),
        None => i256::from_i128(10).wrapping_pow(exponent),
    }
}
