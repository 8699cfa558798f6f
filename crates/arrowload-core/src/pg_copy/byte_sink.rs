//! Values of any length: text, JSON, bytes.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};

use super::sink::{Nulls, Place, Refusal, Sink, renew};
use super::wire::JSONB_VERSION;

/// Gathers text (`UTF8`) or bytes; `VERSIONED` values begin with the version of `jsonb`.
pub(super) struct ByteSink<const UTF8: bool, const VERSIONED: bool> {
    /// One more than there are values.
    offsets: Vec<i32>,
    data: Vec<u8>,
    nulls: Nulls,
}

impl<const UTF8: bool, const VERSIONED: bool> ByteSink<UTF8, VERSIONED> {
    pub(super) fn new() -> Self {
        Self { offsets: vec![0], data: Vec::new(), nulls: Nulls::default() }
    }

    /// Takes the version away, and refuses another than the one there is.
    fn strip_version(bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        for (index, place) in places.iter_mut().enumerate().filter(|(_, place)| !place.is_null()) {
            if place.of(bytes).first() != Some(&JSONB_VERSION) {
                return Err(Refusal::broken(index, place.of(bytes), "it is no jsonb of version 1"));
            }
            *place = Place { start: place.start + 1, length: place.length - 1 };
        }
        Ok(())
    }

    /// Whether the values from `data[start]` and `offsets[first]` on are UTF-8, each on its own.
    fn is_utf8(&self, start: usize, first: usize) -> bool {
        let added = &self.data[start..];
        if added.is_ascii() {
            return true;
        }
        let begins_a_character = |offset: &i32| {
            let byte = usize::try_from(*offset).ok().and_then(|offset| self.data.get(offset));
            byte.is_none_or(|byte| byte & 0xc0 != 0x80)
        };
        simdutf8::basic::from_utf8(added).is_ok() && self.offsets[first..].iter().all(begins_a_character)
    }
}

impl<const UTF8: bool, const VERSIONED: bool> Sink for ByteSink<UTF8, VERSIONED> {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        if VERSIONED {
            Self::strip_version(bytes, places)?;
        }
        let (start, first) = (self.data.len(), self.offsets.len());
        self.offsets.reserve(places.len());
        let mut any_null = false;
        for (index, place) in places.iter().enumerate() {
            if place.is_null() {
                any_null = true;
            } else {
                self.data.extend_from_slice(place.of(bytes));
            }
            let Ok(end) = i32::try_from(self.data.len()) else {
                return Err(Refusal::broken(index, &[], "the texts of one batch take more than 2 GiB"));
            };
            self.offsets.push(end);
        }
        if UTF8 && !self.is_utf8(start, first) {
            return Err(first_invalid(bytes, places));
        }
        self.nulls.extend(places, any_null);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.data.len() + size_of_val(self.offsets.as_slice()) + self.nulls.bytes()
    }

    fn take(&mut self) -> ArrayRef {
        let offsets = renew(&mut self.offsets);
        self.offsets.push(0);
        // SAFETY: offsets begin with 0 and each is the length of `data` at its time, which only grows.
        let offsets = unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) };
        let data = renew(&mut self.data).into();
        if UTF8 {
            // SAFETY: `is_utf8` held for every value; checking again would take as long as decoding did.
            Arc::new(unsafe { StringArray::new_unchecked(offsets, data, self.nulls.take()) })
        } else {
            Arc::new(BinaryArray::new(offsets, data, self.nulls.take()))
        }
    }
}

#[cold]
fn first_invalid(bytes: &[u8], places: &[Place]) -> Refusal {
    let invalid = |place: &Place| !place.is_null() && std::str::from_utf8(place.of(bytes)).is_err();
    let index = places.iter().position(invalid).unwrap_or(0);
    Refusal::broken(index, places[index].of(bytes), "it is not UTF-8")
}
