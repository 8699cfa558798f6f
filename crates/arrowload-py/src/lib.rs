//! The Python module `arrowload._rust`: conversions between Python and `arrowload-core`, nothing else.

mod capsule;
mod error;
mod kernels;

use pyo3::prelude::*;

/// The compiled kernels; `arrowload.kernels` is the door to them.
#[pymodule]
mod _rust {
    #[pymodule_export]
    use crate::capsule::ArrowArray;
    #[pymodule_export]
    use crate::kernels::{content_hash, numeric_to_decimal, row_hash};
}
