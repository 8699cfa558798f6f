//! CSV text straight into typed Arrow columns, by the rules of pyarrow's CSV reader.
//!
//! [`CsvParser`] is fed bytes and gives record batches. `marks` finds the bytes that may have a meaning, 64 at a time;
//! `records` makes cells of them; `columns` turns the cells of one column into values by the rules of `texts`,
//! and keeps a column as bytes when one of its values is not surely what its type wants: the caller converts or refuses
//! it. `ranges` cuts a file where a record starts.

mod columns;
mod marks;
mod parser;
mod ranges;
mod records;

pub use parser::{CsvFormat, CsvParser, RaggedRecord};
pub use ranges::CsvRanges;
