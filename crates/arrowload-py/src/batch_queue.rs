//! The queue between Python's producers and a consumer that pulls an Arrow C stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrowload_core::{Poll, Pulled, QueueReader, Waiting};
use pyo3::exceptions::{PyBaseException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::capsule::{export_schema, export_stream, import_batch, import_schema};
use crate::error::unreadable;

/// What a signal raised while the consumer waited.
type Interruption = Arc<Mutex<Option<PyErr>>>;

/// Threads put record batches; one reader of `__arrow_c_stream__` pulls them, without the GIL.
#[pyclass(frozen, module = "arrowload._rust")]
pub(crate) struct BatchQueue {
    queue: Arc<arrowload_core::BatchQueue>,
    interruption: Interruption,
    has_reader: AtomicBool,
}

#[pymethods]
impl BatchQueue {
    #[new]
    #[pyo3(signature = (schema, *, producers, max_bytes))]
    fn new(schema: &Bound<'_, PyAny>, producers: usize, max_bytes: usize) -> PyResult<Self> {
        let schema = Arc::new(import_schema(schema)?);
        Ok(Self {
            queue: Arc::new(arrowload_core::BatchQueue::new(schema, producers, max_bytes)),
            interruption: Interruption::default(),
            has_reader: AtomicBool::new(false),
        })
    }

    fn put(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<bool> {
        let batch = import_batch(batch)?;
        py.detach(|| self.queue.put(batch)).map_err(unreadable)
    }

    #[pyo3(signature = (error=None))]
    fn finish(&self, py: Python<'_>, error: Option<String>) {
        py.detach(|| self.queue.finish(error));
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.queue.close());
    }

    #[getter]
    fn interruption<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBaseException>> {
        let interruption = self.interruption.lock().unwrap_or_else(PoisonError::into_inner);
        interruption.as_ref().map(|error| error.value(py).clone())
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, &self.queue.schema())
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema; // the interface lets a producer keep its own type
        if self.has_reader.swap(true, Ordering::AcqRel) {
            return Err(PyValueError::new_err("the stream has a reader already, and its rows come once"));
        }
        let waiting = waiting(self.interruption.clone());
        export_stream(py, Box::new(QueueReader::new(self.queue.clone(), waiting)))
    }
}

/// Waits with the GIL released, by a consumer that may hold it, and heeds signals, which only the main thread gets.
fn waiting(interruption: Interruption) -> Waiting {
    Box::new(move |poll| Python::try_attach(|py| wait(py, poll, &interruption)).unwrap_or_else(|| Ok(poll())))
}

fn wait(py: Python<'_>, poll: Poll<'_>, interruption: &Interruption) -> Result<Option<Pulled>, String> {
    if let Err(error) = py.check_signals() {
        let text = format!("interrupted: {error}");
        *interruption.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        return Err(text);
    }
    Ok(py.detach(poll))
}
