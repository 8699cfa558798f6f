//! Parquet files of flat columns.
//!
//! The schema, and all that the footer says besides row groups, is taken from an empty file, which whoever knows the
//! form of every type has made. A column is a chunk of pages (`chunk.rs`), whose values come page by page, without
//! NULLs (`values.rs`, `rules.rs` for each Arrow type), as indices of a dictionary or plainly (`dictionary.rs`,
//! `hybrid.rs`, `physical.rs`).
//!
//! Pages are of the first version with a checksum each, columns and pages have bounds, dictionaries are given up when
//! they outgrow a page: what parquet-cpp writes, but for the bounds that only readers before 2018 look at, and the
//! histograms of levels.

mod chunk;
mod codec;
mod dictionary;
mod encoder;
mod footer;
mod hybrid;
mod physical;
mod rules;
mod thrift;
mod values;

pub use encoder::{Compression, ParquetEncoder, RowGroup};
