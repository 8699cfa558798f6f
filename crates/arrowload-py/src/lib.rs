//! The Python module `arrowload._rust`: conversions between Python and `arrowload-core`, nothing else.

mod batch_queue;
mod capsule;
mod copy_streams;
mod csv;
mod error;
mod kernels;
mod parquet;
mod pg_copy;
mod postgres;

use pyo3::prelude::*;

/// The compiled kernels; `arrowload.kernels` is the door to them.
#[pymodule]
mod _rust {
    #[pymodule_export]
    use crate::batch_queue::BatchQueue;
    #[pymodule_export]
    use crate::capsule::ArrowArray;
    #[pymodule_export]
    use crate::copy_streams::{CopyPieces, CopyRows, copy_in, copy_in_relay, copy_out, copy_out_relay};
    #[pymodule_export]
    use crate::csv::{CsvParser, CsvRanges};
    #[pymodule_export]
    use crate::kernels::{content_hash, numeric_to_decimal, parse_texts, row_hash};
    #[pymodule_export]
    use crate::parquet::{ParquetEncoder, parquet_encoder};
    #[pymodule_export]
    use crate::pg_copy::{pg_copy_decode, pg_copy_encode};
    #[pymodule_export]
    use crate::postgres::PostgresConnection;
}
