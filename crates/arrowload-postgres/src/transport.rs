//! A byte stream to the server, plain or encrypted, and how long it is waited on.

use std::io::{self, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::socket::{Socket, TICK, is_tick};
use crate::tls::TlsStream;

/// Asked about every 100 ms while a call waits or moves data; `true` ends the call with [`Error::Interrupted`].
pub type Interrupt = Box<dyn FnMut() -> bool + Send>;

/// What ends a wait.
#[derive(Default)]
pub(crate) struct Patience {
    interrupt: Option<Interrupt>,
    deadline: Option<Instant>,
    last_look: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(interrupt: Option<Interrupt>, deadline: Option<Instant>) -> Self {
        Self { interrupt, deadline, last_look: None }
    }

    /// Wait until `deadline` and no longer, whoever interrupts; gives back what held before.
    pub(crate) fn only_until(&mut self, deadline: Instant) -> Self {
        std::mem::replace(self, Self::new(None, Some(deadline)))
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub(crate) fn set_interrupt(&mut self, interrupt: Option<Interrupt>) {
        self.interrupt = interrupt;
    }

    pub(crate) fn take_interrupt(&mut self) -> Option<Interrupt> {
        self.interrupt.take()
    }

    /// Whether to go on, when nothing came or went for one tick.
    pub(crate) fn after_tick(&mut self) -> Result<()> {
        self.last_look = None;
        self.look()
    }

    /// Whether to go on; looks once in a tick, so that it may be asked after every read.
    pub(crate) fn look(&mut self) -> Result<()> {
        if self.interrupt.is_none() && self.deadline.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        if self.last_look.is_some_and(|last| now.duration_since(last) < TICK) {
            return Ok(());
        }
        self.last_look = Some(now);
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Error::Lost("the time allowed is over".to_owned()));
        }
        if self.interrupt.as_mut().is_some_and(|interrupt| interrupt()) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

enum Stream {
    Plain(Socket),
    Encrypted(Box<TlsStream>),
}

/// The stream and the patience with it.
pub(crate) struct Transport {
    stream: Stream,
    host: String,
    pub(crate) patience: Patience,
}

impl Transport {
    pub(crate) fn plain(socket: Socket, host: &str, patience: Patience) -> Self {
        Self { stream: Stream::Plain(socket), host: host.to_owned(), patience }
    }

    pub(crate) fn encrypted(stream: TlsStream, host: &str, patience: Patience) -> Self {
        Self { stream: Stream::Encrypted(Box::new(stream)), host: host.to_owned(), patience }
    }

    pub(crate) fn into_patience(self) -> Patience {
        self.patience
    }

    /// The socket of a plain transport.
    pub(crate) fn into_plain(self) -> (Option<Socket>, Patience) {
        match self.stream {
            Stream::Plain(socket) => (Some(socket), self.patience),
            Stream::Encrypted(_) => (None, self.patience),
        }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Encrypted(_))
    }

    /// The data of `tls-server-end-point` channel binding.
    pub(crate) fn end_point(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Encrypted(stream) => stream.end_point(),
        }
    }

    /// Read some bytes; 0 is the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        // Asked before and not after: what has been read must not be dropped.
        self.patience.look()?;
        loop {
            match self.stream.read(buffer, true) {
                Ok(count) => return Ok(count),
                Err(error) if is_tick(&error) => self.patience.after_tick()?,
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    /// As `read`, and None when nothing is there yet.
    pub(crate) fn read_available(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.stream.read(buffer, false) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_tick(&error) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Write what the stream takes within one tick; None when it took nothing.
    pub(crate) fn write(&mut self, head: &[u8], body: &[u8]) -> Result<Option<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(socket) => socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
            Stream::Encrypted(stream) => stream.write(if head.is_empty() { body } else { head }),
        };
        self.done(written)
    }

    /// Push out what the cipher holds; None when that takes more than one tick.
    pub(crate) fn flush(&mut self) -> Result<Option<()>> {
        let flushed = match &mut self.stream {
            Stream::Plain(_) => Ok(()),
            Stream::Encrypted(stream) => stream.flush(),
        };
        self.done(flushed)
    }

    /// Have `read` wait for about `bytes`, though not longer than `timeout` once some are there.
    pub(crate) fn wait_for(&self, bytes: i32, timeout: Duration) -> Result<()> {
        self.stream.socket().wait_for(bytes, timeout).map_err(|error| self.failed(&error))
    }

    /// End the connection without a word.
    pub(crate) fn shutdown(&mut self) {
        self.stream.socket().shutdown();
    }

    /// End the connection; whether the other side still listens does not matter.
    pub(crate) fn close(&mut self) {
        if let Stream::Encrypted(stream) = &mut self.stream {
            let _deaf = stream.close();
        }
        self.shutdown();
    }

    fn done<T>(&mut self, result: io::Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_tick(&error) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &io::Error) -> Error {
        if self.is_encrypted() && error.kind() == io::ErrorKind::InvalidData {
            return Error::Tls { host: self.host.clone(), message: error.to_string() };
        }
        Error::Lost(error.to_string())
    }
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Encrypted(stream) => stream.socket(),
        }
    }

    fn read(&mut self, buffer: &mut [u8], wait: bool) -> io::Result<usize> {
        match self {
            Self::Plain(socket) if wait => socket.read(buffer),
            Self::Plain(socket) => socket.read_available(buffer),
            Self::Encrypted(stream) => stream.read(buffer, wait),
        }
    }
}
