//! CSV text straight into typed Arrow columns, by the rules of pyarrow's CSV reader.
//!
//! [`CsvParser`] is fed bytes and gives record batches. `marks` finds the bytes that may have a meaning, 64 at a time;
//! `records` makes cells of them; `columns` turns the cells of one column into values (`numbers`, `times`), and keeps
//! a column as bytes when one of its values is not surely what its type wants: the caller, who has the slower and
//! complete rules, converts or refuses it. `ranges` cuts a file where a record starts.

mod columns;
mod marks;
mod numbers;
mod parser;
mod ranges;
mod records;
mod times;

pub use parser::{CsvFormat, CsvParser};
pub use ranges::CsvRanges;
