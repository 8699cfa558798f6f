//! Rows of one COPY, read and decoded on a thread of their own, a little ahead of whoever takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use arrowload_core::KernelError;

use crate::connection::Connection;
use crate::error::Error;

/// A connection that a thread can have for itself for a while; None once it is closed.
pub type SharedConnection = Arc<Mutex<Option<Connection>>>;

/// Items that wait to be taken, besides the one that is being made and the one that is in use.
const AHEAD: usize = 1;

/// Why there are no more rows.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The connection or the server.
    #[error(transparent)]
    Connection(#[from] Error),
    /// A value, or a stream that is none.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What gives the rows that are written.
    #[error(transparent)]
    Stream(#[from] arrow_schema::ArrowError),
    /// The thread that reads came to a defect.
    #[error("the thread that reads rows has panicked; this is a defect, please report it")]
    Panicked,
}

/// Makes items of the messages of a COPY.
pub trait Assemble: Send + 'static {
    /// What is made.
    type Item: Send + 'static;

    /// Take whole `CopyData` messages; an item when enough has come together.
    ///
    /// # Errors
    /// The messages are no COPY of these columns, or hold a value that Arrow does not have.
    fn push(&mut self, messages: &[u8]) -> Result<Option<Self::Item>, CopyError>;

    /// The last item, when something is left.
    ///
    /// # Errors
    /// The COPY has not ended as it should.
    fn finish(&mut self) -> Result<Option<Self::Item>, CopyError>;
}

/// The items of one COPY. Dropped before its end, it has the server stop, and returns when the connection is free.
pub struct ReadAhead<T> {
    items: Option<Receiver<Result<T, CopyError>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> ReadAhead<T> {
    /// Start `sql`, a `COPY … TO STDOUT (FORMAT binary)`. Its errors come out of `next`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        connection: SharedConnection,
        sql: String,
        assembler: impl Assemble<Item = T>,
    ) -> std::io::Result<Self> {
        let (sender, items) = sync_channel(AHEAD);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let read = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = read(connection.as_mut(), &sql, assembler, &sender, &stopped) {
                // Nobody is left to be told when the receiver has gone.
                let _gone = sender.send(Err(error));
            }
        };
        let thread = Builder::new().name("arrowload-copy".into()).spawn(read)?;
        Ok(Self { items: Some(items), stop, thread: Some(thread) })
    }
}

impl<T> Iterator for ReadAhead<T> {
    type Item = Result<T, CopyError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(item) = self.items.as_ref()?.recv() {
            return Some(item);
        }
        // Rows that end for a panic are not all of them.
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        panicked.then_some(Err(CopyError::Panicked))
    }
}

impl<T> Drop for ReadAhead<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.items.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its hook, and the connection says itself whether it can go on.
            let _panicked = thread.join();
        }
    }
}

fn read<A: Assemble>(
    connection: Option<&mut Connection>,
    sql: &str,
    assembler: A,
    sender: &SyncSender<Result<A::Item, CopyError>>,
    stop: &Arc<AtomicBool>,
) -> Result<(), CopyError> {
    let connection = connection.ok_or_else(|| Error::Usage("the connection is closed".to_owned()))?;
    let stopped = Arc::clone(stop);
    let before = connection.replace_interrupt(Some(Box::new(move || stopped.load(Ordering::Relaxed))));
    let result = read_all(connection, sql, assembler, sender);
    connection.replace_interrupt(before);
    match result {
        Err(CopyError::Connection(Error::Interrupted)) => Ok(()),
        other => other,
    }
}

fn read_all<A: Assemble>(
    connection: &mut Connection,
    sql: &str,
    mut assembler: A,
    sender: &SyncSender<Result<A::Item, CopyError>>,
) -> Result<(), CopyError> {
    let mut copy = connection.copy_out(sql)?;
    while let Some(messages) = copy.next_chunk()? {
        if let Some(item) = assembler.push(messages)?
            && sender.send(Ok(item)).is_err()
        {
            return Ok(());
        }
    }
    if let Some(item) = assembler.finish()? {
        let _gone = sender.send(Ok(item));
    }
    Ok(())
}
