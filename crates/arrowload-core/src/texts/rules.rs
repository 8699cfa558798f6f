//! How the text of one value is read, for each type that has a rule here.

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};

use super::{numbers, times};

/// Is handed the rule of one type, as a function that answers `None` for what is not surely a value.
pub(crate) trait RuleVisitor: Sized {
    type Output;

    /// Of a type whose values have a fixed width.
    fn values<T: ArrowPrimitiveType>(
        self,
        parse: impl Fn(&[u8]) -> Option<T::Native> + Send + Sync + 'static,
    ) -> Self::Output;

    fn booleans(self, parse: impl Fn(&[u8]) -> Option<bool> + Send + Sync + 'static) -> Self::Output;
}

/// Hands the rule of `data_type` to `visitor`; `None` when that type has none.
///
/// When `exact`, a value is to be written as one of an inferred type would be: no leading zeros, booleans as `true` and
/// `false`, floats that give back every digit.
pub(crate) fn visit_rule<V: RuleVisitor>(data_type: &DataType, exact: bool, visitor: V) -> Option<V::Output> {
    Some(match data_type {
        DataType::Boolean => visitor.booleans(move |text| boolean(text, exact)),
        DataType::Int8 => signed::<Int8Type, V>(exact, visitor),
        DataType::Int16 => signed::<Int16Type, V>(exact, visitor),
        DataType::Int32 => signed::<Int32Type, V>(exact, visitor),
        DataType::Int64 => signed::<Int64Type, V>(exact, visitor),
        DataType::UInt8 => unsigned::<UInt8Type, V>(exact, visitor),
        DataType::UInt16 => unsigned::<UInt16Type, V>(exact, visitor),
        DataType::UInt32 => unsigned::<UInt32Type, V>(exact, visitor),
        DataType::UInt64 => unsigned::<UInt64Type, V>(exact, visitor),
        DataType::Float64 => visitor.values::<Float64Type>(move |text| numbers::float(text, exact)),
        DataType::Date32 => visitor.values::<Date32Type>(times::date),
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, u8::try_from(*scale).ok()?);
            visitor.values::<Decimal128Type>(move |text| numbers::decimal(text, precision, scale, exact))
        }
        DataType::Decimal256(precision, scale) => {
            let (precision, scale) = (*precision, u8::try_from(*scale).ok()?);
            visitor.values::<Decimal256Type>(move |text| {
                numbers::decimal(text, precision, scale, exact).map(i256::from_i128)
            })
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, zoned) = (*unit, zone.is_some());
            let parse = move |text: &[u8]| times::timestamp(text, unit, zoned);
            match unit {
                TimeUnit::Second => visitor.values::<TimestampSecondType>(parse),
                TimeUnit::Millisecond => visitor.values::<TimestampMillisecondType>(parse),
                TimeUnit::Microsecond => visitor.values::<TimestampMicrosecondType>(parse),
                TimeUnit::Nanosecond => visitor.values::<TimestampNanosecondType>(parse),
            }
        }
        _ => return None,
    })
}

fn signed<T: ArrowPrimitiveType<Native: TryFrom<i64>>, V: RuleVisitor>(exact: bool, visitor: V) -> V::Output {
    visitor.values::<T>(move |text| T::Native::try_from(numbers::signed(text, exact)?).ok())
}

fn unsigned<T: ArrowPrimitiveType<Native: TryFrom<u64>>, V: RuleVisitor>(exact: bool, visitor: V) -> V::Output {
    visitor.values::<T>(move |text| T::Native::try_from(numbers::unsigned(text, exact)?).ok())
}

/// `true` and `false` in any case; unless `exact`, the other words of Postgres too.
fn boolean(text: &[u8], exact: bool) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    match () {
        () if is(&["true"]) => Some(true),
        () if is(&["false"]) => Some(false),
        () if exact => None,
        () if is(&["t", "yes", "y", "on", "1"]) => Some(true),
        () if is(&["f", "no", "n", "off", "0"]) => Some(false),
        () => None,
    }
}
