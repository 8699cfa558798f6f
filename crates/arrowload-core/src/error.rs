//! What a kernel refuses, as data: the caller words it for its own users.

use arrow_schema::{ArrowError, DataType};

/// A kernel's answer.
pub type KernelResult<T> = Result<T, KernelError>;

/// Why a kernel refused its input.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel has no rule for this type.
    #[error("column `{column}` cannot be hashed: there is no rule for type `{data_type}`")]
    UnsupportedColumn {
        /// The top-level column that holds the type, perhaps deep inside.
        column: String,
        /// The whole type of that column.
        data_type: DataType,
    },
    /// The kernel takes text and was given something else.
    #[error("numeric text is expected in a utf8 array, not `{data_type}`")]
    NotText {
        /// The type that was given.
        data_type: DataType,
    },
    /// No Arrow decimal has this precision and scale.
    #[error("`decimal({precision}, {scale})` does not exist: {reason}")]
    InvalidDecimalType {
        /// Digits asked for.
        precision: u8,
        /// Digits after the point asked for.
        scale: i8,
        /// arrow-rs's own words.
        reason: ArrowError,
    },
    /// A text is not a decimal number.
    #[error("`{value}` in row {row} is not a number")]
    NotANumber {
        /// Index within the array.
        row: usize,
        /// The text.
        value: String,
    },
    /// A text is `NaN`, `Infinity` or `-Infinity`, which decimals cannot hold.
    #[error("`{value}` in row {row} cannot be held by a decimal")]
    Special {
        /// Index within the array.
        row: usize,
        /// The text.
        value: String,
    },
    /// A number has too many digits before or after the point.
    #[error("`{value}` in row {row} does not fit `decimal({precision}, {scale})`")]
    DoesNotFit {
        /// Index within the array.
        row: usize,
        /// The text.
        value: String,
        /// Digits that the type holds.
        precision: u8,
        /// Digits after the point that the type holds.
        scale: i8,
    },
    /// COPY in binary has no exact way between these types.
    #[error("column `{column}` is `{wire}` in COPY and cannot be `{data_type}` in Arrow")]
    CopyPair {
        /// The column.
        column: String,
        /// How its values lie on the wire.
        wire: String,
        /// The Arrow type.
        data_type: DataType,
    },
    /// The stream is no COPY in binary of these columns.
    #[error("the COPY stream is broken at row {row}: {reason}")]
    CopyStream {
        /// Rows that came before.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A field of the stream is no value of its type.
    #[error("column `{column}`, row {row}: `{value}` is no value of `{wire}` in COPY: {reason}")]
    CopyField {
        /// The column.
        column: String,
        /// Index within the stream.
        row: usize,
        /// How the values of the column lie on the wire.
        wire: String,
        /// The first bytes of the field, in hexadecimal.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that the other side does not have.
    #[error("column `{column}`, row {row}: `{value}` has no place: {reason}")]
    CopyValue {
        /// The column.
        column: String,
        /// Index within the stream (decoding) or the batch (encoding).
        row: usize,
        /// The value, shortened.
        value: String,
        /// Why.
        reason: String,
    },
    /// A CSV record has more or fewer fields than there are columns.
    #[error("row {row} has {fields} fields where {expected} are expected")]
    CsvRagged {
        /// Index within the rows of the file.
        row: usize,
        /// How many it has.
        fields: usize,
        /// How many columns there are.
        expected: usize,
    },
    /// CSV text ends inside quotes.
    #[error("the text ends inside the quotes of row {row}")]
    CsvUnclosed {
        /// Index within the rows of the file.
        row: usize,
    },
    /// A CSV record is longer than the parser was told to take.
    #[error("row {row} is longer than {max_bytes} bytes")]
    CsvTooLong {
        /// Index within the rows of the file.
        row: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A decimal has more digits than its type, and what the type is kept in has no room for them.
    #[error("column `{column}`, row {row}: `{value}` does not fit `decimal({precision}, {scale})`")]
    DecimalTooLarge {
        /// The column.
        column: String,
        /// Index within its batch.
        row: usize,
        /// The value.
        value: String,
        /// Digits of the type.
        precision: u8,
        /// Digits after the point of the type.
        scale: i8,
    },
    /// A column of a batch has another type than the file.
    #[error("column `{column}` is `{data_type}` where the file has `{expected}`")]
    OtherType {
        /// The column.
        column: String,
        /// The type that it has.
        data_type: DataType,
        /// The type that the file has.
        expected: DataType,
    },
    /// A column of a file without NULLs has one.
    #[error("column `{column}` has a NULL and is declared to have none")]
    NullInRequired {
        /// The column.
        column: String,
    },
    /// A page of Parquet has a length of 31 bits.
    #[error("a page of column `{column}` would have {bytes} bytes, and Parquet has room for 2 GiB")]
    PageTooLarge {
        /// The column.
        column: String,
        /// How many.
        bytes: usize,
    },
    /// A batch could not be put together.
    #[error("{0}")]
    Arrow(#[source] ArrowError),
}

impl KernelError {
    /// The same refusal, its row counted from `rows` rows further back.
    #[must_use]
    pub fn after_rows(mut self, rows: usize) -> Self {
        if let Self::CopyStream { row, .. } | Self::CopyField { row, .. } | Self::CopyValue { row, .. } = &mut self {
            *row += rows;
        }
        self
    }
}
