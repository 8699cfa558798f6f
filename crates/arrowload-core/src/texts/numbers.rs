//! Numbers from text: only what is surely right, every digit kept; the rest is left to the caller.

use crate::decimal_text::{Number, POWERS_OF_TEN};

/// The most digits that a u64 holds whatever they are.
const DIGITS_64: usize = 19;
/// Integers below this, and powers of ten up to the 22nd, are exact doubles, so that their quotient is the nearest one.
const EXACT_DOUBLE: u64 = 1 << 53;
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// A number of so many characters comes back from a double as it was.
const SAFE_LENGTH: usize = 15;
/// Digits that tell any two doubles apart.
const DIGITS_DOUBLE: usize = 17;

/// `-?[0-9]{1,19}` within i64; when `exact`, no leading zero and no `-0`.
#[inline]
pub(super) fn signed(text: &[u8], exact: bool) -> Option<i64> {
    let (negative, digits) = sign(text);
    let magnitude = magnitude(digits, exact)?;
    if negative {
        if exact && magnitude == 0 {
            return None;
        }
        return 0i64.checked_sub_unsigned(magnitude);
    }
    i64::try_from(magnitude).ok()
}

/// `[0-9]{1,19}`; when `exact`, no leading zero.
#[inline]
pub(super) fn unsigned(text: &[u8], exact: bool) -> Option<u64> {
    magnitude(text, exact)
}

#[inline]
fn magnitude(digits: &[u8], exact: bool) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS_64 || (exact && is_code(digits)) {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| Some(value * 10 + u64::from(digit(*byte)?)))
}

/// Digits, perhaps with a point among them, as a decimal's coefficient; when `exact`, no leading zero.
///
/// Takes up to 38 digits, those that the scale adds included.
#[inline]
pub(super) fn decimal(text: &[u8], precision: u8, scale: u8, exact: bool) -> Option<i128> {
    let (negative, plain) = sign(text);
    let number = Plain::parse(plain)?;
    if exact && is_code(&plain[..number.whole]) {
        return None;
    }
    let (fraction, scale) = (number.fraction, usize::from(scale));
    let value = if number.whole + scale >= POWERS_OF_TEN.len() {
        return None;
    } else if fraction <= scale {
        // Less than ten to the power of `whole + scale`.
        number.value * POWERS_OF_TEN[scale - fraction]
    } else {
        // Digits beyond the scale are zeros, or the number does not fit.
        let excess = POWERS_OF_TEN.get(fraction - scale)?;
        if number.value % excess != 0 {
            return None;
        }
        number.value / excess
    };
    let limit = POWERS_OF_TEN[usize::from(precision).min(POWERS_OF_TEN.len() - 1)];
    (value < limit).then_some(if negative { -value } else { value })
}

/// A decimal number or NaN or an infinity as the nearest double.
///
/// When `exact`, no leading zero; an exponent has a sign, or there is a point; and the double gives every digit back.
#[inline]
pub(super) fn float(text: &[u8], exact: bool) -> Option<f64> {
    let (negative, plain) = sign(text);
    if exact && text.len() > SAFE_LENGTH {
        return odd_float(text, exact);
    }
    match Plain::parse_short(plain) {
        Some((value, whole, fraction)) if value < EXACT_DOUBLE && fraction < POWERS.len() => {
            if exact && is_code(&plain[..whole]) {
                return None;
            }
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let value = value as f64 / POWERS[fraction];
            Some(if negative { -value } else { value })
        }
        _ => odd_float(text, exact),
    }
}

fn odd_float(text: &[u8], exact: bool) -> Option<f64> {
    let (negative, plain) = sign(text);
    if let Some(special) = special(negative, plain) {
        return Some(special);
    }
    let exponent_at = plain.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(plain.len());
    let mantissa = &plain[..exponent_at];
    let point = mantissa.iter().position(|byte| *byte == b'.');
    if exact {
        let bare = point.is_none() && matches!(plain.get(exponent_at + 1), Some(b'0'..=b'9'));
        if bare || is_code(&mantissa[..point.unwrap_or(mantissa.len())]) {
            return None;
        }
    }
    // What is parsed next would take a second sign.
    if matches!(plain.first(), Some(b'+' | b'-')) {
        return None;
    }
    let number = Number::parse(plain)?;
    let value: f64 = std::str::from_utf8(plain).ok()?.parse().ok()?;
    let vanished = value.is_infinite() || (value == 0.0 && number.significant > 0);
    if vanished || (exact && text.len() > SAFE_LENGTH && !gives_back(value, &number)) {
        return None;
    }
    Some(if negative { -value } else { value })
}

fn special(negative: bool, plain: &[u8]) -> Option<f64> {
    if plain.eq_ignore_ascii_case(b"inf") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    (!negative && plain.eq_ignore_ascii_case(b"nan")).then_some(f64::NAN)
}

/// Whether the shortest form of `value` has the digits of `number`.
fn gives_back(value: f64, number: &Number<'_>) -> bool {
    if number.significant == 0 {
        return true;
    }
    let shortest = format!("{value:e}");
    number.significant <= DIGITS_DOUBLE
        && Number::parse(shortest.as_bytes()).is_some_and(|shortest| {
            shortest.significant == number.significant
                && shortest.exponent == number.exponent
                && shortest.coefficient() == number.coefficient()
        })
}

/// Digits with a point or without.
struct Plain {
    value: i128,
    /// Digits before the point.
    whole: usize,
    /// Digits after it.
    fraction: usize,
}

impl Plain {
    #[inline]
    fn parse(text: &[u8]) -> Option<Self> {
        if text.len() <= DIGITS_64 {
            let (value, whole, fraction) = Self::parse_short(text)?;
            return Some(Self { value: value.into(), whole, fraction });
        }
        Self::parse_long(text)
    }

    /// Of at most 19 bytes: value, digits before the point, digits after it.
    #[inline]
    fn parse_short(text: &[u8]) -> Option<(u64, usize, usize)> {
        if text.len() > DIGITS_64 {
            return None;
        }
        let (mut value, mut point) = (0u64, None);
        for (at, byte) in text.iter().enumerate() {
            if let Some(digit) = digit(*byte) {
                value = value * 10 + u64::from(digit);
            } else if *byte == b'.' && point.is_none() {
                point = Some(at);
            } else {
                return None;
            }
        }
        let (whole, fraction) = places(text, point)?;
        Some((value, whole, fraction))
    }

    fn parse_long(text: &[u8]) -> Option<Self> {
        let point = text.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = places(text, point)?;
        if whole + fraction >= POWERS_OF_TEN.len() {
            return None;
        }
        let digits = text.iter().enumerate().filter(|(at, _)| Some(*at) != point);
        let value = digits
            .map(|(_, byte)| digit(*byte))
            .try_fold(0i128, |value, digit| Some(value * 10 + i128::from(digit?)))?;
        Some(Self { value, whole, fraction })
    }
}

/// Digits before and after the point; at least one in all.
#[inline]
fn places(text: &[u8], point: Option<usize>) -> Option<(usize, usize)> {
    let (whole, fraction) = point.map_or((text.len(), 0), |point| (point, text.len() - point - 1));
    (whole + fraction > 0).then_some((whole, fraction))
}

#[inline]
fn sign(text: &[u8]) -> (bool, &[u8]) {
    text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest))
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(digit)
}

/// Whether digits start with a zero and go on: a code rather than a number.
#[inline]
fn is_code(digits: &[u8]) -> bool {
    digits.len() > 1 && digits[0] == b'0'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_digits_in_range() {
        for (text, exact, expected) in [
            ("0", true, Some(0)),
            ("-5", true, Some(-5)),
            ("9223372036854775807", true, Some(i64::MAX)),
            ("-9223372036854775808", true, Some(i64::MIN)),
            ("9223372036854775808", true, None),
            ("007", true, None),
            ("007", false, Some(7)),
            ("-0", true, None),
            ("-0", false, Some(0)),
            ("", true, None),
            ("-", false, None),
            ("+1", false, None),
            ("1 ", false, None),
            ("0x1", false, None),
            ("1.0", false, None),
        ] {
            assert_eq!(signed(text.as_bytes(), exact), expected, "{text}");
        }
        assert_eq!(unsigned(b"-0", false), None);
    }

    #[test]
    fn decimals_keep_every_digit() {
        for (text, exact, expected) in [
            ("1.5", true, Some(150)),
            ("-0.05", true, Some(-5)),
            ("5.", true, Some(500)),
            (".5", true, Some(50)),
            ("1.500", true, Some(150)),
            ("1.555", true, None),
            ("99999999.99", true, Some(9_999_999_999)),
            ("100000000", true, None),
            ("007.5", true, None),
            ("007.5", false, Some(750)),
            ("0000000000000000000000000000000001.5", false, Some(150)),
            (".", false, None),
            ("1.5.", false, None),
            ("1e2", false, None),
        ] {
            assert_eq!(decimal(text.as_bytes(), 10, 2, exact), expected, "{text}");
        }
        assert_eq!(decimal(&[b'9'; 38], 38, 0, true), Some(10i128.pow(38) - 1));
        assert_eq!(decimal(&[b'9'; 39], 38, 0, true), None);
        assert_eq!(decimal(b"9", 76, 38, true), None);
    }

    #[test]
    fn floats_are_the_nearest_ones() {
        for (text, exact, expected) in [
            ("0.1", true, Some(0.1)),
            ("-0", true, Some(-0.0)),
            ("0.30000000000000004", true, Some(0.1 + 0.2)),
            ("0.300000000000000040", true, Some(0.1 + 0.2)),
            ("1.12345678901234567890", true, None),
            ("1.12345678901234567890", false, Some(1.123_456_789_012_345_7)),
            ("9007199254740993", true, None),
            ("1e5", true, None),
            ("1e5", false, Some(1e5)),
            ("1e+5", true, Some(1e5)),
            ("1.5E3", true, Some(1500.0)),
            ("007.5", true, None),
            ("1e400", true, None),
            ("1e-400", true, None),
            ("-inf", true, Some(f64::NEG_INFINITY)),
            ("0x10", false, None),
            ("--1", false, None),
            ("-+1", false, None),
            ("infinity", false, None),
        ] {
            assert_eq!(float(text.as_bytes(), exact).map(f64::to_bits), expected.map(f64::to_bits), "{text}");
        }
        assert!(float(b"NaN", true).is_some_and(f64::is_nan));
    }
}
