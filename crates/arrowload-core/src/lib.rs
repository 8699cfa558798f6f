//! Kernels on Arrow arrays: arrow-rs values in, arrow-rs values and [`KernelResult`] out.
//!
#![doc = include_str!("../../README.md")]

mod batch_queue;
mod blocks;
mod canonical;
mod column;
pub mod csv;
mod decimal_text;
mod error;
mod nested;
mod numeric;
pub mod parquet;
pub mod pg_copy;
mod row_bytes;
mod row_hash;
mod slice_bytes;
mod texts;

pub use batch_queue::{BatchQueue, Poll, Pulled, QueueReader, Waiting};
pub use error::{KernelError, KernelResult};
pub use numeric::{OnSpecial, numeric_to_decimal};
pub use row_hash::{ContentHash, content_hash, row_hash};
pub use slice_bytes::{slice_bytes, without_large_parents};
pub use texts::parse_texts;
