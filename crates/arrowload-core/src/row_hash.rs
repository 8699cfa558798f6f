//! A 128-bit hash of each row, and of a whole batch whatever the order of its rows.
//!
//! The layout of the hashed bytes, and what counts as equal, is part of the crate's documentation (`crates/README.md`).

use arrow_array::{FixedSizeBinaryArray, RecordBatch};
use arrow_buffer::Buffer;
use xxhash_rust::xxh3::xxh3_128;

use crate::blocks::RowEncoder;
use crate::error::KernelResult;

const HASH_BYTES: i32 = 16;

/// Count and sum of row hashes; equal for equal multisets of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentHash {
    /// How many rows.
    pub rows: u64,
    /// Sum of the row hashes, as little-endian unsigned integers, mod 2^128.
    pub sum: u128,
}

impl ContentHash {
    /// The hash of both parts together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// Hash each row of `batch`.
///
/// # Errors
///
/// [`KernelError::UnsupportedColumn`](crate::KernelError::UnsupportedColumn) for a union, or a decimal of more than 76
/// digits once its negative scale is multiplied out.
pub fn row_hash(batch: &RecordBatch) -> KernelResult<FixedSizeBinaryArray> {
    let mut hashes = Vec::with_capacity(batch.num_rows() * 16);
    RowEncoder::try_new(batch)?.for_each(|row| hashes.extend_from_slice(&xxh3_128(row).to_le_bytes()));
    Ok(FixedSizeBinaryArray::new(HASH_BYTES, Buffer::from_vec(hashes), None))
}

/// Hash `batch` as a multiset of rows, in constant memory.
///
/// # Errors
///
/// As [`row_hash`].
pub fn content_hash(batch: &RecordBatch) -> KernelResult<ContentHash> {
    let mut sum = 0u128;
    RowEncoder::try_new(batch)?.for_each(|row| sum = sum.wrapping_add(xxh3_128(row)));
    Ok(ContentHash { rows: batch.num_rows() as u64, sum })
}
