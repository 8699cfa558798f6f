//! Kernels on Arrow arrays: arrow-rs values in, arrow-rs values and [`KernelResult`] out.
//!
#![doc = include_str!("../../README.md")]

mod canonical;
mod decimal_text;
mod error;
mod nested;
mod numeric;
mod row_bytes;
mod row_hash;

pub use error::{KernelError, KernelResult};
pub use numeric::{OnSpecial, numeric_to_decimal};
pub use row_hash::{ContentHash, content_hash, row_hash};
