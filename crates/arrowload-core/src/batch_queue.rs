//! A queue of record batches between threads: bounded in bytes, ended in good order from either side.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::slice_bytes::{slice_bytes, without_large_parents};

/// How long a consumer waits before it looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(100);

/// What a consumer got: a batch, the error of a producer, or None at the end.
pub type Pulled = Option<Result<RecordBatch, ArrowError>>;

/// Several producers put batches of one schema, one consumer takes them.
///
/// A producer waits while the batches in the queue stand for `max_bytes` or more; a single batch may be larger. A
/// slice counts as the bytes of its own values, and is copied when it would keep alive 16 times as much, or more.
#[derive(Debug)]
pub struct BatchQueue {
    schema: SchemaRef,
    max_bytes: usize,
    state: Mutex<State>,
    room: Condvar,
    filled: Condvar,
}

#[derive(Debug)]
struct State {
    batches: VecDeque<(RecordBatch, usize)>,
    bytes: usize,
    producers: usize,
    error: Option<String>,
    closed: bool,
}

impl State {
    fn refuses(&self) -> bool {
        self.closed || self.error.is_some()
    }

    fn drop_batches(&mut self) -> VecDeque<(RecordBatch, usize)> {
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}

impl BatchQueue {
    /// An empty queue of batches of `schema`, into which `producers` threads will put.
    #[must_use]
    pub fn new(schema: SchemaRef, producers: usize, max_bytes: usize) -> Self {
        let state = State { batches: VecDeque::new(), bytes: 0, producers, error: None, closed: false };
        Self { schema, max_bytes, state: Mutex::new(state), room: Condvar::new(), filled: Condvar::new() }
    }

    /// The schema of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Add `batch`, waiting for room; false when the consumer has gone, or a producer failed: no more is wanted.
    ///
    /// # Errors
    ///
    /// [`ArrowError::SchemaError`] when `batch` has other types than the queue, or NULLs where it has none.
    pub fn put(&self, batch: RecordBatch) -> Result<bool, ArrowError> {
        self.check(&batch)?;
        let batch = without_large_parents(batch);
        let bytes = slice_bytes(&batch);
        let full = |state: &mut State| !state.refuses() && !state.batches.is_empty() && state.bytes >= self.max_bytes;
        let mut state = self.room.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
        if state.refuses() {
            return Ok(false);
        }
        state.batches.push_back((batch, bytes));
        state.bytes += bytes;
        self.filled.notify_one();
        Ok(true)
    }

    /// One producer has come to its end or, with `error`, has failed: the consumer gets the error at once.
    pub fn finish(&self, error: Option<String>) {
        let mut state = self.state();
        state.producers = state.producers.saturating_sub(1);
        let mut dropped = VecDeque::new();
        if let Some(error) = error {
            // Errors leave as C strings.
            state.error.get_or_insert(error.replace('\0', "\u{fffd}"));
            dropped = state.drop_batches();
        }
        drop(state);
        self.wake_all();
        drop(dropped);
    }

    /// No more is wanted: producers stop at their next `put`, or in it.
    ///
    /// A consumer that should still be there gets an error, for rows are missing, unless it was at the end.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if state.producers > 0 || !state.batches.is_empty() {
            state.error.get_or_insert_with(|| "the stream was closed before its end".to_owned());
        }
        let dropped = state.drop_batches();
        drop(state);
        self.wake_all();
        // Giving back a batch may run its owner's code, which is not run under the lock.
        drop(dropped);
    }

    /// The next batch, the error or the end; None when nothing came in time.
    #[must_use]
    pub fn poll(&self, timeout: Duration) -> Option<Pulled> {
        let idle = |state: &mut State| state.batches.is_empty() && !state.refuses() && state.producers > 0;
        let waited = self.filled.wait_timeout_while(self.state(), timeout, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.error {
            return Some(Some(Err(ArrowError::ExternalError(error.as_str().into()))));
        }
        if let Some((batch, bytes)) = state.batches.pop_front() {
            state.bytes -= bytes;
            self.room.notify_all();
            return Some(Some(Ok(batch)));
        }
        (state.closed || state.producers == 0).then_some(None)
    }

    fn check(&self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let fields = self.schema.fields();
        if fields.len() != batch.num_columns() {
            let text = format!("{} columns are expected, not {}", fields.len(), batch.num_columns());
            return Err(ArrowError::SchemaError(text));
        }
        for (field, column) in fields.iter().zip(batch.columns()) {
            if !field.data_type().equals_datatype(column.data_type()) {
                let (name, wanted, given) = (field.name(), field.data_type(), column.data_type());
                return Err(ArrowError::SchemaError(format!("column `{name}` is `{given}`, not `{wanted}`")));
            }
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(ArrowError::SchemaError(format!("column `{}` must not have NULLs", field.name())));
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.room.notify_all();
        self.filled.notify_all();
    }
}

/// Runs one more slice of waiting, in whatever surroundings the consumer's thread needs; an error ends the stream.
pub type Waiting = Box<dyn Fn(Poll<'_>) -> Result<Option<Pulled>, String> + Send>;

/// Waits for 100 ms; None when nothing came.
pub type Poll<'a> = &'a (dyn Fn() -> Option<Pulled> + Sync);

/// The consumer's end of a queue; dropping it closes the queue.
pub struct QueueReader {
    queue: Arc<BatchQueue>,
    waiting: Waiting,
}

impl QueueReader {
    /// Take from `queue`; when nothing comes for 100 ms, wait on in slices of as much within `waiting`.
    #[must_use]
    pub fn new(queue: Arc<BatchQueue>, waiting: Waiting) -> Self {
        Self { queue, waiting }
    }
}

impl Iterator for QueueReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Pulled {
        let poll = || self.queue.poll(SLICE);
        let mut pulled = poll();
        while pulled.is_none() {
            pulled = match (self.waiting)(&poll) {
                Ok(pulled) => pulled,
                Err(error) => {
                    self.queue.finish(Some(error));
                    poll()
                }
            };
        }
        pulled.flatten()
    }
}

impl RecordBatchReader for QueueReader {
    fn schema(&self) -> SchemaRef {
        self.queue.schema()
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        self.queue.close();
    }
}
