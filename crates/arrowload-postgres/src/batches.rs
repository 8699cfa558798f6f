//! Record batches of a COPY's messages.

use arrow_array::RecordBatch;
use arrowload_core::pg_copy::Decoder;

use crate::read_ahead::{Assemble, CopyError};

/// Collects rows until they make a batch.
pub struct Batches {
    decoder: Decoder,
    rows: usize,
    bytes: usize,
}

impl Batches {
    /// Batches of at least `rows` rows or `bytes` bytes, whichever comes first; the last may be smaller.
    #[must_use]
    pub fn new(decoder: Decoder, rows: usize, bytes: usize) -> Self {
        Self { decoder, rows, bytes }
    }
}

impl Assemble for Batches {
    type Item = RecordBatch;

    fn push(&mut self, messages: &[u8]) -> Result<Option<RecordBatch>, CopyError> {
        self.decoder.push(messages)?;
        let enough = self.decoder.rows() >= self.rows || self.decoder.bytes() >= self.bytes;
        Ok(if enough { Some(self.decoder.take()?) } else { None })
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>, CopyError> {
        self.decoder.finish()?;
        Ok(if self.decoder.rows() > 0 { Some(self.decoder.take()?) } else { None })
    }
}
