//! Values of `"char"`: one byte, as the text that the server writes for it.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::StringBuilder;

use super::sink::{Place, Refusal, Sink};

/// Gathers the texts.
#[derive(Default)]
pub(super) struct CharSink {
    texts: StringBuilder,
}

impl Sink for CharSink {
    fn extend(&mut self, bytes: &[u8], places: &mut [Place]) -> Result<(), Refusal> {
        for (index, place) in places.iter().enumerate() {
            match place.fixed(bytes) {
                Some([0]) => self.texts.append_value(""),
                Some([byte @ 128..=255]) => self.texts.append_value(format!("\\{byte:03o}")),
                Some([byte]) => self.texts.append_value(char::from(byte).encode_utf8(&mut [0; 4])),
                None if place.is_null() => self.texts.append_null(),
                None => return Err(Refusal::length(index, place.of(bytes), 1)),
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.texts.values_slice().len() + size_of_val(self.texts.offsets_slice())
    }

    fn take(&mut self) -> ArrayRef {
        Arc::new(self.texts.finish())
    }
}
