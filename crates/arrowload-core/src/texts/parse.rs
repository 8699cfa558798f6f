//! An array of texts into an array of a type.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder};
use arrow_schema::DataType;

use super::each::try_each;
use super::rules::{RuleVisitor, visit_rule};
use crate::error::KernelResult;

/// The texts of `array` as `data_type`, and the rows of those that are not surely values, which come out as null.
///
/// `None` when `data_type` has no rule here. `array` is `utf8`, `large_utf8` or `utf8_view`. When `exact`, a value is to
/// be written as one of an inferred type would be.
///
/// # Errors
///
/// [`KernelError::NotText`](crate::KernelError::NotText).
pub fn parse_texts(
    array: &dyn Array,
    data_type: &DataType,
    exact: bool,
) -> KernelResult<Option<(ArrayRef, Int64Array)>> {
    visit_rule(data_type, exact, Parse { array, data_type }).transpose()
}

struct Parse<'a> {
    array: &'a dyn Array,
    data_type: &'a DataType,
}

impl Parse<'_> {
    /// Hands each value to `push`, `None` for what is null or not surely a value; which are the latter.
    fn each<N>(&self, parse: impl Fn(&[u8]) -> Option<N>, mut push: impl FnMut(Option<N>)) -> KernelResult<Int64Array> {
        let mut unsure = Vec::new();
        try_each(self.array, |row, text| {
            let value = text.and_then(&parse);
            if value.is_none() && text.is_some() {
                #[expect(clippy::cast_possible_wrap, reason = "arrays have fewer rows than i64")]
                unsure.push(row as i64);
            }
            push(value);
            Ok(())
        })?;
        Ok(unsure.into())
    }
}

impl RuleVisitor for Parse<'_> {
    type Output = KernelResult<(ArrayRef, Int64Array)>;

    fn values<T: ArrowPrimitiveType>(
        self,
        parse: impl Fn(&[u8]) -> Option<T::Native> + Send + Sync + 'static,
    ) -> Self::Output {
        let mut values = Vec::with_capacity(self.array.len());
        let mut nulls = NullBufferBuilder::new(self.array.len());
        let unsure = self.each(parse, |value| {
            nulls.append(value.is_some());
            values.push(value.unwrap_or_default());
        })?;
        let made = PrimitiveArray::<T>::new(values.into(), nulls.finish()).with_data_type(self.data_type.clone());
        Ok((Arc::new(made), unsure))
    }

    fn booleans(self, parse: impl Fn(&[u8]) -> Option<bool> + Send + Sync + 'static) -> Self::Output {
        let mut values = BooleanBufferBuilder::new(self.array.len());
        let mut nulls = NullBufferBuilder::new(self.array.len());
        let unsure = self.each(parse, |value| {
            nulls.append(value.is_some());
            values.append(value.unwrap_or_default());
        })?;
        Ok((Arc::new(BooleanArray::new(values.finish(), nulls.finish())), unsure))
    }
}
