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
}
