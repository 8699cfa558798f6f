//! The texts of an array, whatever its layout.

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray, LargeBinaryArray};
use arrow_schema::DataType;

use crate::error::{KernelError, KernelResult};

/// Hands each text of `array`, with its row, to `take`, `None` for null; as bytes, for nobody checked that it is UTF-8.
///
/// # Errors
///
/// [`KernelError::NotText`], and what `take` answers.
pub(crate) fn try_each(
    array: &dyn Array,
    take: impl FnMut(usize, Option<&[u8]>) -> KernelResult<()>,
) -> KernelResult<()> {
    match array.data_type() {
        DataType::Utf8 => all(BinaryArray::from(array.as_string::<i32>().clone()).iter(), take),
        DataType::LargeUtf8 => all(LargeBinaryArray::from(array.as_string::<i64>().clone()).iter(), take),
        DataType::Utf8View => all(array.as_string_view().clone().to_binary_view().iter(), take),
        other => Err(KernelError::NotText { data_type: other.clone() }),
    }
}

fn all<'a>(
    texts: impl Iterator<Item = Option<&'a [u8]>>,
    mut take: impl FnMut(usize, Option<&[u8]>) -> KernelResult<()>,
) -> KernelResult<()> {
    texts.enumerate().try_for_each(|(row, text)| take(row, text))
}
