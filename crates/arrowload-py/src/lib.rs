//! The Python module `arrowload._rust`.

use pyo3::prelude::*;

/// The compiled kernels.
#[pymodule]
fn _rust(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
