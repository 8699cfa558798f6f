//! Values of any length, onto the wire.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, ByteViewType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{Array, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::DataType;

use super::fixed_source::write_null;
use super::sink::Refusal;
use super::source::{Slots, Source};
use super::wire::JSONB_VERSION;

/// How much of a text an error shows.
const EXCERPT_CHARS: usize = 50;

/// What the bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Bytes,
    /// No byte of it may be zero.
    Text,
    /// Text behind a version.
    Jsonb,
    /// One byte.
    Char,
}

/// An array of bytes or text.
pub(super) trait Values {
    fn value(&self, row: usize) -> &[u8];

    /// All values of `rows` together, and perhaps more; None when they do not lie together.
    fn together(&self, _rows: &Range<usize>) -> Option<&[u8]> {
        None
    }
}

impl<T: ByteArrayType> Values for &GenericByteArray<T> {
    #[inline]
    fn value(&self, row: usize) -> &[u8] {
        let offsets = self.value_offsets();
        &self.value_data()[offsets[row].as_usize()..offsets[row + 1].as_usize()]
    }

    fn together(&self, rows: &Range<usize>) -> Option<&[u8]> {
        let offsets = self.value_offsets();
        self.value_data().get(offsets[rows.start].as_usize()..offsets[rows.end].as_usize())
    }
}

impl<T: ByteViewType> Values for &GenericByteViewArray<T> {
    #[inline]
    fn value(&self, row: usize) -> &[u8] {
        GenericByteViewArray::value(self, row).as_ref()
    }
}

impl Values for &FixedSizeBinaryArray {
    #[inline]
    fn value(&self, row: usize) -> &[u8] {
        FixedSizeBinaryArray::value(self, row)
    }
}

/// A dictionary; rows that are not null have a key.
struct Dictionary<V> {
    keys: Vec<usize>,
    values: V,
}

impl<V: Values> Values for Dictionary<V> {
    fn value(&self, row: usize) -> &[u8] {
        self.values.value(self.keys[row])
    }
}

/// Writes bytes or text.
struct ByteSource<V> {
    content: Content,
    values: V,
    nulls: Option<NullBuffer>,
}

/// The source for an array of text.
pub(super) fn boxed_text<'a>(content: Content, array: &'a dyn Array) -> Option<Box<dyn Source + 'a>> {
    if let DataType::Dictionary(..) = array.data_type() {
        return boxed_dictionary(content, array);
    }
    let nulls = array.nulls().cloned();
    Some(match array.data_type() {
        DataType::Utf8 => boxed(content, array.as_bytes::<Utf8Type>(), nulls),
        DataType::LargeUtf8 => boxed(content, array.as_bytes::<LargeUtf8Type>(), nulls),
        DataType::Utf8View => boxed(content, array.as_string_view(), nulls),
        _ => return None,
    })
}

fn boxed_dictionary<'a>(content: Content, array: &'a dyn Array) -> Option<Box<dyn Source + 'a>> {
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values();
    let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
    let nulls = array.logical_nulls();
    Some(match values.data_type() {
        DataType::Utf8 => boxed(content, Dictionary { keys, values: values.as_bytes::<Utf8Type>() }, nulls),
        DataType::LargeUtf8 => boxed(content, Dictionary { keys, values: values.as_bytes::<LargeUtf8Type>() }, nulls),
        DataType::Utf8View => boxed(content, Dictionary { keys, values: values.as_string_view() }, nulls),
        _ => return None,
    })
}

/// The source for an array of bytes.
pub(super) fn boxed_bytes(array: &dyn Array) -> Option<Box<dyn Source + '_>> {
    let nulls = array.nulls().cloned();
    Some(match array.data_type() {
        DataType::Binary => boxed(Content::Bytes, array.as_bytes::<BinaryType>(), nulls),
        DataType::LargeBinary => boxed(Content::Bytes, array.as_bytes::<LargeBinaryType>(), nulls),
        DataType::BinaryView => boxed(Content::Bytes, array.as_binary_view(), nulls),
        DataType::FixedSizeBinary(_) => boxed(Content::Bytes, array.as_fixed_size_binary(), nulls),
        _ => return None,
    })
}

fn boxed<'a>(content: Content, values: impl Values + 'a, nulls: Option<NullBuffer>) -> Box<dyn Source + 'a> {
    Box::new(ByteSource { content, values, nulls: nulls.filter(|nulls| nulls.null_count() > 0) })
}

impl<V: Values> ByteSource<V> {
    #[inline]
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Refuses what the server would refuse, or would take for something else.
    fn check(&self, rows: &Range<usize>) -> Result<(), Refusal> {
        if self.content == Content::Bytes || self.values.together(rows).is_some_and(|all| !all.contains(&0)) {
            return Ok(());
        }
        let bad = |row: &usize| !self.is_null(*row) && self.values.value(*row).contains(&0);
        match rows.clone().find(bad) {
            Some(row) => Err(refusal(row - rows.start, self.values.value(row), "text of the server has no zero byte")),
            None => Ok(()),
        }
    }
}

fn refusal(index: usize, text: &[u8], reason: &str) -> Refusal {
    let text: String = String::from_utf8_lossy(text).chars().take(EXCERPT_CHARS).collect();
    Refusal::unfit(index, text.escape_debug().to_string(), reason)
}

/// The byte that a text of `"char"` stands for.
fn char_byte(text: &[u8]) -> Option<u8> {
    match text {
        [] => Some(0),
        [byte] => Some(*byte),
        [b'\\', digits @ ..] if digits.len() == 3 => {
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok().filter(|byte| *byte >= 128)
        }
        _ => None,
    }
}

impl<V: Values> Source for ByteSource<V> {
    fn measure(&mut self, rows: Range<usize>, lengths: &mut [usize]) -> Result<(), Refusal> {
        self.check(&rows)?;
        for (index, (length, row)) in lengths.iter_mut().zip(rows).enumerate() {
            if self.is_null(row) {
                *length += 4;
                continue;
            }
            let value = self.values.value(row);
            if i32::try_from(value.len() + 1).is_err() {
                return Err(refusal(index, &value[..4 * EXCERPT_CHARS], "it is longer than 2 GiB"));
            }
            *length += 4 + match self.content {
                Content::Bytes | Content::Text => value.len(),
                Content::Jsonb => 1 + value.len(),
                Content::Char if char_byte(value).is_some() => 1,
                Content::Char => return Err(refusal(index, value, "it is longer than one byte")),
            };
        }
        Ok(())
    }

    fn write(&mut self, slots: Slots<'_>, out: &mut [u8]) -> Result<(), Refusal> {
        for ((row, cursor), end) in slots.rows.zip(slots.cursors).zip(slots.ends) {
            if self.is_null(row) {
                write_null(out, cursor);
                continue;
            }
            let value = self.values.value(row);
            match self.content {
                Content::Bytes | Content::Text => write_bytes(&[], value, &mut out[..*end], cursor),
                Content::Jsonb => write_bytes(&[JSONB_VERSION], value, &mut out[..*end], cursor),
                Content::Char => write_bytes(&[char_byte(value).unwrap_or(0)], &[], &mut out[..*end], cursor),
            }
        }
        Ok(())
    }
}

/// Writes a field; `row` ends where its row does.
#[inline]
fn write_bytes(prefix: &[u8], value: &[u8], row: &mut [u8], cursor: &mut usize) {
    let length = prefix.len() + value.len();
    // `measure` has seen to it that this fits.
    let word = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    row[*cursor..*cursor + 4].copy_from_slice(&word);
    let at = *cursor + 4;
    row[at..at + prefix.len()].copy_from_slice(prefix);
    row[at + prefix.len()..at + length].copy_from_slice(value);
    *cursor = at + length;
}
