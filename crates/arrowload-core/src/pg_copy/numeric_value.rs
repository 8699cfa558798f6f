//! One numeric of any length.

use arrow_buffer::i256;

use super::numeric_sink::HEADER;
use crate::decimal_text::power_of_ten;

/// The base of the digits on the wire.
pub(super) const BASE: u16 = 10_000;
/// Decimal digits in one of them.
const GROUP: i32 = 4;
/// The greatest display scale.
const MAX_DSCALE: u16 = 0x3fff;
pub(super) const POSITIVE: u16 = 0;
pub(super) const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const PLUS_INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
/// Groups of base 10000 that an i128 always holds.
const GROUPS_128: usize = 9;
/// How many groups of a number an error shows.
const EXCERPT_GROUPS: usize = 25;

/// A number of `groups[i] * 10000^(weight - i)`; the first and the last group are not zero.
#[derive(Debug)]
pub(super) struct Numeric {
    negative: bool,
    weight: i32,
    groups: Vec<u16>,
}

/// Why a field is no number.
#[derive(Debug)]
pub(super) enum NumericError {
    /// `NaN`, `Infinity` or `-Infinity`
    Special(&'static str),
    Broken,
}

impl Numeric {
    pub(super) fn parse(field: &[u8]) -> Result<Self, NumericError> {
        let mut words = field.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let mut next = || words.next().ok_or(NumericError::Broken);
        let (count, weight, sign, dscale) = (next()?, next()?.cast_signed(), next()?, next()?);
        if field.len() != HEADER + 2 * usize::from(count) {
            return Err(NumericError::Broken);
        }
        let negative = match sign {
            POSITIVE => false,
            NEGATIVE => true,
            NAN => return Err(NumericError::Special("NaN")),
            PLUS_INFINITY => return Err(NumericError::Special("Infinity")),
            MINUS_INFINITY => return Err(NumericError::Special("-Infinity")),
            _ => return Err(NumericError::Broken),
        };
        let mut groups: Vec<u16> = words.collect();
        if dscale > MAX_DSCALE || groups.iter().any(|group| *group >= BASE) {
            return Err(NumericError::Broken);
        }
        let zeros = groups.iter().take_while(|group| **group == 0).count();
        groups.drain(..zeros);
        groups.truncate(groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1));
        let leading = i32::try_from(zeros).map_err(|_| NumericError::Broken)?;
        Ok(Self { negative, weight: i32::from(weight) - leading, groups })
    }

    /// The number times `10^scale`; None unless that is whole and has at most `precision` (up to 76) digits.
    pub(super) fn unscaled(&self, precision: u8, scale: i8) -> Option<i256> {
        let (Some(first), Some(last)) = (self.groups.first(), self.groups.last()) else {
            return Some(i256::ZERO);
        };
        let count = i32::try_from(self.groups.len()).ok()?;
        let exponent = GROUP * (self.weight + 1 - count) + i32::from(scale);
        let digits = GROUP * (count - 1) + i32::try_from(first.ilog10()).ok()? + 1;
        if digits + exponent > i32::from(precision) {
            return None;
        }
        // The last group is not zero: what may be dropped are its zeros at the end.
        let dropped = u32::try_from(-exponent.min(0)).ok()?;
        if dropped >= GROUP.unsigned_abs() || last % 10u16.pow(dropped) != 0 {
            return None;
        }
        let whole = coefficient(&self.groups[..self.groups.len() - 1]);
        let end = i256::from_i128((last / 10u16.pow(dropped)).into());
        let value = whole.wrapping_mul(power_of_ten(GROUP.unsigned_abs() - dropped)).wrapping_add(end);
        let value = value.wrapping_mul(power_of_ten(exponent.max(0).unsigned_abs()));
        Some(if self.negative { value.wrapping_neg() } else { value })
    }

    /// The number for people.
    pub(super) fn excerpt(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let shown = &self.groups[..self.groups.len().min(EXCERPT_GROUPS)];
        let more = if shown.len() < self.groups.len() { "…" } else { "" };
        let digits = shown.iter().fold(String::new(), |digits, group| digits + &format!("{group:04}"));
        let whole = usize::try_from(self.weight + 1).unwrap_or(0) * 4;
        match (self.weight < 0, whole >= digits.len()) {
            (true, _) if self.weight < -25 => {
                let exponent = 4 * (i64::from(self.weight) + 1) - i64::try_from(digits.len()).unwrap_or(0);
                format!("{sign}{}{more}e{exponent}", digits.trim_start_matches('0'))
            }
            (true, _) => {
                let zeros = "0000".repeat(usize::try_from(-1 - self.weight).unwrap_or(0));
                format!("{sign}0.{zeros}{}{more}", digits.trim_end_matches('0'))
            }
            (false, true) if more.is_empty() && whole - digits.len() <= 100 => {
                format!("{sign}{}{}", digits.trim_start_matches('0'), "0".repeat(whole - digits.len()))
            }
            (false, true) => {
                format!("{sign}{}{more} ({whole} digits before the point)", digits.trim_start_matches('0'))
            }
            (false, false) => {
                let (before, after) = digits.split_at(whole);
                format!("{sign}{}.{}{more}", before.trim_start_matches('0'), after.trim_end_matches('0'))
            }
        }
    }
}

/// Groups as one whole number; the caller has seen to it that it has at most 76 decimal digits.
fn coefficient(groups: &[u16]) -> i256 {
    groups.chunks(GROUPS_128).fold(i256::ZERO, |value, chunk| {
        let part = chunk.iter().fold(0i128, |part, group| part * i128::from(BASE) + i128::from(*group));
        let shift = chunk.iter().fold(0, |shift, _| shift + GROUP.unsigned_abs());
        value.wrapping_mul(power_of_ten(shift)).wrapping_add(i256::from_i128(part))
    })
}
