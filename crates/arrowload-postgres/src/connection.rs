//! A connection, and what its state is.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::backend::{Message, ReadyForQueryBody};
use postgres_protocol::message::frontend;

use crate::cancel::CancelHandle;
use crate::config::Config;
use crate::connect;
use crate::copy_in::CopyIn;
use crate::copy_out::CopyOut;
use crate::error::{Error, Result, ServerError};
use crate::messages::{Channel, protocol};
use crate::transport::Interrupt;

/// How long a cancelled statement may take to end; after that the connection is given up.
pub(crate) const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server says of the transaction after each statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// None is open.
    Idle,
    /// One is open.
    InTransaction,
    /// One is open that can only be rolled back.
    Failed,
    /// The connection is gone.
    Lost,
}

/// One session with a server, for one thread at a time.
pub struct Connection {
    pub(crate) channel: Channel,
    pub(crate) status: TransactionStatus,
    cancel: CancelHandle,
}

impl Connection {
    /// Connect to the first host that will have us.
    ///
    /// # Errors
    /// Why none did.
    pub fn connect(config: &Config) -> Result<Self> {
        connect::connect(config, None)
    }

    /// As [`Connection::connect`]; `interrupt` can end this and later calls.
    ///
    /// # Errors
    /// Why no host would have us, or [`Error::Interrupted`].
    pub fn connect_interruptible(config: &Config, interrupt: Interrupt) -> Result<Self> {
        connect::connect(config, Some(interrupt))
    }

    pub(crate) fn new(channel: Channel, cancel: CancelHandle, status: TransactionStatus) -> Self {
        Self { channel, status, cancel }
    }

    /// Ask `interrupt` while later calls wait; None waits for ever.
    pub fn set_interrupt(&mut self, interrupt: Option<Interrupt>) {
        self.channel.transport.patience.set_interrupt(interrupt);
    }

    /// As [`Connection::set_interrupt`]; gives back the one that held before.
    pub(crate) fn replace_interrupt(&mut self, interrupt: Option<Interrupt>) -> Option<Interrupt> {
        let before = self.channel.transport.patience.take_interrupt();
        self.channel.transport.patience.set_interrupt(interrupt);
        before
    }

    /// As of the last statement.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// What cancels whatever the connection is doing, from any thread.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// A setting that the server reports by itself: `server_version`, `TimeZone`, `DateStyle` …
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.channel.parameters.get(name).map(String::as_str)
    }

    /// Whether the bytes travel encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.channel.transport.is_encrypted()
    }

    /// Start `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// The server's, or [`Error::Usage`] when `sql` is something else.
    pub fn copy_out(&mut self, sql: &str) -> Result<CopyOut<&mut Self>> {
        CopyOut::start(self, sql)
    }

    /// Start `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// The server's, or [`Error::Usage`] when `sql` is something else.
    pub fn copy_in(&mut self, sql: &str) -> Result<CopyIn<&mut Self>> {
        CopyIn::start(self, sql)
    }

    /// Say goodbye; the server rolls an open transaction back.
    pub fn close(self) {
        drop(self);
    }

    /// Send one simple query.
    pub(crate) fn send_query(&mut self, sql: &str) -> Result<()> {
        self.send_with(|write| frontend::query(sql, write))
    }

    /// Encode and send; text that no message can carry leaves the connection as it was.
    pub(crate) fn send_with(&mut self, encode: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
        self.check_alive()?;
        if let Err(error) = encode(&mut self.channel.write) {
            self.channel.write.clear();
            return Err(Error::Usage(format!("the statement cannot be sent: {error}")));
        }
        let sent = self.channel.send();
        self.settle(sent)
    }

    /// The next message of the answer.
    pub(crate) fn next_message(&mut self) -> Result<Message> {
        let message = self.channel.next_message();
        self.settle(message)
    }

    pub(crate) fn check_alive(&self) -> Result<()> {
        match self.status {
            TransactionStatus::Lost => Err(Error::Lost("it was given up before".to_owned())),
            _ => Ok(()),
        }
    }

    /// Draw the consequences of a failure: an interrupt cancels the statement, any other ends the connection.
    pub(crate) fn settle<T>(&mut self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            Error::Interrupted => {
                self.abandon_statement();
                Error::Interrupted
            }
            error @ (Error::Lost(_) | Error::Tls { .. } | Error::Protocol(_)) => self.give_up(error),
            other => other,
        })
    }

    /// Read to the end of the answer after the server's error, which is given back.
    pub(crate) fn after_error(&mut self, error: ServerError) -> Error {
        match self.drain() {
            Ok(()) | Err(Error::Lost(_)) => Error::Server(Box::new(error)),
            Err(other) => other,
        }
    }

    pub(crate) fn ready(&mut self, body: &ReadyForQueryBody) -> Result<()> {
        self.status = match body.status() {
            b'I' => TransactionStatus::Idle,
            b'T' => TransactionStatus::InTransaction,
            b'E' => TransactionStatus::Failed,
            other => {
                return Err(self.give_up(Error::Protocol(format!("`{other}` is no transaction status"))));
            }
        };
        Ok(())
    }

    /// Cancel the statement under way and read the rest of its answer, for a bounded time.
    pub(crate) fn abandon_statement(&mut self) {
        self.end_statement(true);
    }

    /// End the statement under way and read the rest of its answer, for a bounded time.
    ///
    /// `CopyFail` ends a COPY that waits for data, which a cancel does not; a server that waits for none ignores it.
    pub(crate) fn end_statement(&mut self, cancel: bool) {
        if self.check_alive().is_err() {
            return;
        }
        let patience = self.channel.transport.patience.only_until(Instant::now() + CANCEL_TIMEOUT);
        if cancel {
            // A cancel that does not get through leaves the drain to end by itself, or by the deadline.
            let _unreached = self.cancel.cancel();
        }
        self.channel.write.clear();
        // Either draws the consequences of a failure by itself.
        let _lost =
            self.send_with(|write| frontend::copy_fail("the client gave up", write)).and_then(|()| self.drain());
        self.channel.transport.patience = patience;
    }

    /// Read to the end of the answer, whatever it is.
    pub(crate) fn drain(&mut self) -> Result<()> {
        loop {
            if let Message::ReadyForQuery(body) = self.next_message()? {
                return self.ready(&body);
            }
        }
    }

    /// End the connection for `error`, or for what the server said last.
    fn give_up(&mut self, error: Error) -> Error {
        if self.status == TransactionStatus::Lost {
            return error;
        }
        self.status = TransactionStatus::Lost;
        let words = match error {
            Error::Lost(_) => {
                // A write fails before the reason for it has been read.
                let _end = self.channel.take_in_available();
                self.channel.last_words()
            }
            _ => None,
        };
        self.channel.transport.shutdown();
        words.map_or(error, |words| Error::Server(Box::new(words)))
    }

    /// What a message's own parser refuses ends the connection too.
    pub(crate) fn parsed<T>(&mut self, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|error| self.give_up(protocol(error)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.status == TransactionStatus::Lost {
            return;
        }
        self.status = TransactionStatus::Lost;
        self.channel.transport.patience.only_until(Instant::now() + Duration::from_secs(1));
        frontend::terminate(&mut self.channel.write);
        // A server that is gone needs no goodbye.
        let _gone = self.channel.send();
        self.channel.transport.close();
    }
}
