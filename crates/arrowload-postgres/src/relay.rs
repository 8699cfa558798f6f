//! Rows passed from one server to another as they are: counted and hashed on the way, and not encoded again.

use arrowload_core::pg_copy::Decoder;
use arrowload_core::{ContentHash, content_hash};

use crate::read_ahead::{Assemble, CopyError};

/// Bytes that are passed on at once.
const PIECE: usize = 512 * 1024;
/// The kind and the length of a `CopyData` message.
const FRAME: usize = 5;
/// Signature, flags and the length of the extension, which the first message begins with.
const HEADER: usize = 19;
/// The count of columns that ends a stream.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Whole rows of a COPY in binary, without header, frames and trailer.
pub struct Relayed {
    /// The rows.
    pub data: Vec<u8>,
    /// What they are.
    pub hash: ContentHash,
}

/// Collects rows as they lie on the wire.
pub struct Relay {
    decoder: Decoder,
    data: Vec<u8>,
    begun: bool,
}

impl Relay {
    /// A relay of rows that `decoder` reads, so that they can be checked and hashed.
    #[must_use]
    pub fn new(decoder: Decoder) -> Self {
        Self { decoder, data: Vec::with_capacity(PIECE + PIECE / 2), begun: false }
    }

    fn take(&mut self) -> Result<Relayed, CopyError> {
        let hash = content_hash(&self.decoder.take()?)?;
        let data = std::mem::replace(&mut self.data, Vec::with_capacity(PIECE + PIECE / 2));
        Ok(Relayed { data, hash })
    }

    /// Append the payloads; the decoder has seen that they are whole, and that rows do not straddle them.
    fn unframe(&mut self, mut messages: &[u8]) {
        while let Some((&[_, a, b, c, d], rest)) = messages.split_first_chunk::<FRAME>() {
            let length = u32::from_be_bytes([a, b, c, d]) as usize - 4;
            let (mut payload, after) = rest.split_at(length);
            if !self.begun {
                self.begun = true;
                let extension = payload[HEADER - 4..HEADER].iter().fold(0, |all, byte| (all << 8) | usize::from(*byte));
                payload = &payload[HEADER + extension..];
            }
            self.data.extend_from_slice(payload);
            messages = after;
        }
    }
}

impl Assemble for Relay {
    type Item = Relayed;

    fn push(&mut self, messages: &[u8]) -> Result<Option<Relayed>, CopyError> {
        self.decoder.push(messages)?;
        self.unframe(messages);
        if self.decoder.is_done() {
            // The trailer is the last that a stream has.
            debug_assert!(self.data.ends_with(&TRAILER));
            self.data.truncate(self.data.len() - TRAILER.len());
        }
        Ok(if self.data.len() >= PIECE { Some(self.take()?) } else { None })
    }

    fn finish(&mut self) -> Result<Option<Relayed>, CopyError> {
        self.decoder.finish()?;
        Ok(if self.decoder.rows() > 0 { Some(self.take()?) } else { None })
    }
}
