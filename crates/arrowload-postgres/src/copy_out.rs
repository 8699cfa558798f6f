//! `COPY … TO STDOUT`: the data as it was read, still framed.

use std::ops::DerefMut;

use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};

use crate::connection::Connection;
use crate::error::Result;
use crate::messages::unexpected;
use crate::query::count_in;

/// A COPY under way; holds its connection, borrowed or owned, until it is dropped. Dropped before its end, it cancels
/// the statement and reads on to the end of the answer, so that the connection can go on.
pub struct CopyOut<C: DerefMut<Target = Connection>> {
    connection: C,
    /// Bytes at the start of the read buffer that were handed out.
    lent: usize,
    rows: Option<u64>,
    finished: bool,
}

impl<C: DerefMut<Target = Connection>> CopyOut<C> {
    /// Start `sql`, which is to be a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// The server's, or [`Error::Usage`](crate::Error::Usage) when `sql` is something else.
    pub fn start(mut connection: C, sql: &str) -> Result<Self> {
        connection.start_copy(sql, "COPY TO STDOUT", |message| matches!(message, Message::CopyOutResponse(_)))?;
        Ok(Self { connection, lent: 0, rows: None, finished: false })
    }

    /// The next whole `CopyData` messages, one after the other, each still with its header: `d`, a big-endian i32 that
    /// counts itself and the payload, the payload. None at the end. They are as many as the last read brought, at
    /// least one; their memory is used again at the next call.
    ///
    /// # Errors
    /// The server's; with it, what came before is no complete result.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>> {
        let lent = std::mem::take(&mut self.lent);
        self.connection.channel.read.consume(lent);
        while !self.finished {
            let scanned = self.scan();
            let length = self.connection.settle(scanned).inspect_err(|_| self.finished = true)?;
            if length > 0 {
                self.lent = length;
                return Ok(Some(&self.connection.channel.read.filled()[..length]));
            }
            self.read_more()?;
        }
        Ok(None)
    }

    /// Rows that the server counted, once `next_chunk` gave None.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Bytes of whole `CopyData` messages at the start of the buffer.
    fn scan(&self) -> Result<usize> {
        let read = &self.connection.channel.read;
        let mut length = 0;
        while let Some(frame) = read.whole_frame(length)? {
            if frame.tag != COPY_DATA_TAG {
                break;
            }
            length += frame.total;
        }
        Ok(length)
    }

    /// Deal with the message at the start of the buffer, or wait for its end.
    fn read_more(&mut self) -> Result<()> {
        let connection = &mut *self.connection;
        let frame = connection.channel.read.whole_frame(0);
        let step = match connection.settle(frame) {
            Ok(None) => {
                let more = connection.channel.take_in();
                connection.settle(more)
            }
            Ok(Some(_)) => self.take_control(),
            Err(error) => Err(error),
        };
        step.inspect_err(|_| self.finished = true)
    }

    fn take_control(&mut self) -> Result<()> {
        let connection = &mut *self.connection;
        let frame = connection.channel.read.whole_frame(0)?;
        if let Some(frame) = frame {
            let message = connection.channel.take_message(frame);
            let message = connection.settle(message)?;
            let message = connection.channel.unless_aside(message);
            match connection.settle(message)? {
                None | Some(Message::CopyDone) => {}
                Some(Message::CommandComplete(body)) => {
                    let tag = connection.parsed(body.tag().map(ToOwned::to_owned))?;
                    self.rows = count_in(&tag);
                }
                Some(Message::ReadyForQuery(body)) => {
                    connection.ready(&body)?;
                    self.finished = true;
                }
                Some(Message::ErrorResponse(body)) => return Err(connection.server_error(&body)),
                Some(_) => return connection.settle(Err(unexpected("within a COPY TO STDOUT"))),
            }
        }
        Ok(())
    }
}

impl<C: DerefMut<Target = Connection>> Drop for CopyOut<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.connection.channel.read.consume(self.lent);
            self.connection.abandon_statement();
        }
    }
}
