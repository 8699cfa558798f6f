//! Dates and timestamps in ISO 8601: only what is surely right; the rest is left to the caller.

use arrow_schema::TimeUnit;

const SECONDS_A_DAY: i64 = 86_400;
/// The first of January of year 1, in days since 1970.
const FIRST_DAY: i64 = -719_162;
/// How far `-` is from `0`.
const DASH: u8 = b'-'.wrapping_sub(b'0');

/// `2024-02-29` as days since 1970.
#[inline]
pub(super) fn date(text: &[u8]) -> Option<i32> {
    i32::try_from(days(text.try_into().ok()?)?).ok()
}

/// `2024-02-29 12:30`, `…:15`, `….123`, with a `T` or a space, as units since 1970 in UTC.
///
/// When `zoned`, it ends in `Z`, `+01`, `+01:00` or `+0100`; otherwise nothing follows.
#[inline]
pub(super) fn timestamp(text: &[u8], unit: TimeUnit, zoned: bool) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    let (&[h0, h1, b':', m0, m1], rest) = rest.split_first_chunk::<5>()? else { return None };
    let (hour, minute) = (below(h0, h1, 24)?, below(m0, m1, 60)?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (below(*s0, *s1, 60)?, rest),
        _ => (0, rest),
    };
    let (per_second, max_digits) = match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    };
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] if text[16] == b':' => fraction(rest, max_digits)?,
        _ => (0, rest),
    };
    let offset = match (zoned, rest) {
        (false, []) => 0,
        (true, rest) => offset(rest)?,
        _ => return None,
    };
    let seconds = days(date)? * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second - offset;
    if seconds < FIRST_DAY * SECONDS_A_DAY {
        return None;
    }
    seconds.checked_mul(per_second)?.checked_add(fraction)
}

/// The digits that text starts with, in units of the `max_digits`th place, and what follows them.
fn fraction(text: &[u8], max_digits: u32) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = u32::try_from(count).ok().filter(|count| (1..=max_digits).contains(count))?;
    let value = text[..count].iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
    Some((value * 10i64.pow(max_digits - digits), &text[count..]))
}

/// Seconds that local time is ahead of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match *text {
        [b'Z'] => return Some(0),
        [sign, h0, h1] => (sign, below(h0, h1, 24)?, 0),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => (sign, below(h0, h1, 24)?, below(m0, m1, 60)?),
        _ => return None,
    };
    let seconds = hour * 3_600 + minute * 60;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// Two digits that are less than `limit`.
#[inline]
fn below(tens: u8, ones: u8, limit: i64) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    let value = i64::from(tens) * 10 + i64::from(ones);
    (tens < 10 && ones < 10 && value < limit).then_some(value)
}

/// `2024-02-29` as days since 1970, from year 1 on.
#[inline]
fn days(text: &[u8; 10]) -> Option<i64> {
    let [y0, y1, y2, y3, dash_1, m0, m1, dash_2, d0, d1] = text.map(|byte| byte.wrapping_sub(b'0'));
    // One branch for all of it: what is no digit is more than 9.
    let greatest = y0.max(y1).max(y2).max(y3).max(m0).max(m1).max(d0).max(d1);
    let number = |tens: u8, ones: u8| u32::from(tens) * 10 + u32::from(ones);
    let (year, month, day) = (number(y0, y1) * 100 + number(y2, y3), number(m0, m1), number(d0, d1));
    if greatest > 9 || dash_1 != DASH || dash_2 != DASH || year == 0 || day == 0 || day > month_length(year, month) {
        return None;
    }
    // Years that begin in March put the leap day at the end of one (Hinnant, chrono-compatible low-level date algorithms).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let century = year / 100;
    Some(i64::from(year * 365 + year / 4 - century + century / 4 + (153 * month + 2) / 5 + day) - 719_469)
}

/// 0 when there is no such month.
fn month_length(year: u32, month: u32) -> u32 {
    const LENGTHS: [u8; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = month == 2 && year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    u32::from(LENGTHS.get(month as usize).copied().unwrap_or(0)) + u32::from(leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-03-01", Some(11_017)),
            ("2024-02-29", Some(19_782)),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("0000-12-31", None),
            ("2024-13-01", None),
            ("2024-04-31", None),
            ("2024-1-01", None),
            ("2024-01-01 ", None),
            ("2024/01/01", None),
        ] {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let texts = (1..=9999).flat_map(|year| {
            (1..=12).flat_map(move |month| {
                (1..=month_length(year, month)).map(move |day| format!("{year:04}-{month:02}-{day:02}"))
            })
        });
        let first = i32::try_from(FIRST_DAY).unwrap();
        for (text, expected) in texts.zip(first..) {
            assert_eq!(date(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn timestamps_have_a_zone_or_none() {
        let micros = |text: &str, zoned| timestamp(text.as_bytes(), TimeUnit::Microsecond, zoned);
        assert_eq!(micros("1970-01-01 00:00", false), Some(0));
        assert_eq!(micros("1970-01-01T00:00:01.5", false), Some(1_500_000));
        assert_eq!(micros("1970-01-01T00:00:01.1234567", false), None);
        assert_eq!(micros("1970-01-01T00:00:01.", false), None);
        assert_eq!(micros("1970-01-01T00:00.5", false), None);
        assert_eq!(micros("1970-01-01T24:00", false), None);
        assert_eq!(micros("1970-01-01T00:00:60", false), None);
        assert_eq!(micros("1970-01-01 00:00Z", false), None);
        assert_eq!(micros("1970-01-01 00:00", true), None);
        for text in ["1970-01-01 01:30+01:30", "1970-01-01 01:30+0130", "1970-01-01 00:00Z", "1969-12-31 22:00-02"] {
            assert_eq!(micros(text, true), Some(0), "{text}");
        }
        assert_eq!(micros("0001-01-01 00:00+01", true), None);
        assert_eq!(timestamp(b"1677-01-01 00:00", TimeUnit::Nanosecond, false), None);
        assert_eq!(timestamp(b"1970-01-01 00:00:01", TimeUnit::Second, false), Some(1));
    }
}
