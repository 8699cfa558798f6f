//! `COPY … TO STDOUT`: the data as it was read, still framed.

use std::ops::DerefMut;
use std::time::Duration;

use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};

use crate::connection::Connection;
use crate::error::Result;
use crate::messages::unexpected;
use crate::query::count_in;
use crate::socket::TICK;
use crate::transport::Transport;

/// What a read of a large COPY waits for; the socket's buffer has room for several times as much.
const PIECE: usize = 64 * 1024;
/// How long a read waits for the rest of a piece; at the end of a COPY, in vain.
const PIECE_TIMEOUT: Duration = Duration::from_millis(10);
/// A COPY is large, and its server fast, when this much has come since a piece was last waited for in vain.
const LARGE: usize = 16 * PIECE;

/// A COPY under way; holds its connection, borrowed or owned, until it is dropped. Dropped before its end, it cancels
/// the statement and reads on to the end of the answer, so that the connection can go on.
pub struct CopyOut<C: DerefMut<Target = Connection>> {
    connection: C,
    /// Bytes at the start of the read buffer that were handed out.
    lent: usize,
    rows: Option<u64>,
    pace: Pace,
    finished: bool,
}

/// Whether reads wait for pieces, or for anything.
#[derive(Default)]
struct Pace {
    /// Bytes read since a piece was last waited for in vain.
    steady: usize,
    pieces: bool,
}

impl Pace {
    /// Choose how the next read waits, after one that brought `count` bytes.
    fn after(&mut self, count: usize, transport: &Transport) -> Result<()> {
        self.steady += count;
        // Encrypted, a piece has fewer bytes.
        if self.pieces && count < PIECE / 2 {
            return self.wait_for_anything(transport);
        }
        if !self.pieces && self.steady >= LARGE {
            self.pieces = true;
            return transport.wait_for(i32::try_from(PIECE).unwrap_or(1), PIECE_TIMEOUT);
        }
        Ok(())
    }

    fn wait_for_anything(&mut self, transport: &Transport) -> Result<()> {
        let pieces = std::mem::take(self).pieces;
        if pieces { transport.wait_for(1, TICK) } else { Ok(()) }
    }
}

impl<C: DerefMut<Target = Connection>> CopyOut<C> {
    /// Start `sql`, which is to be a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// The server's, or [`Error::Usage`](crate::Error::Usage) when `sql` is something else.
    pub fn start(mut connection: C, sql: &str) -> Result<Self> {
        connection.start_copy(sql, "COPY TO STDOUT", |message| matches!(message, Message::CopyOutResponse(_)))?;
        Ok(Self { connection, lent: 0, rows: None, pace: Pace::default(), finished: false })
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
                let channel = &mut connection.channel;
                let more = channel.take_in().and_then(|count| self.pace.after(count, &channel.transport));
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
        // Should it fail, answers come a few milliseconds later.
        let _slower = self.pace.wait_for_anything(&self.connection.channel.transport);
        if !self.finished {
            self.connection.channel.read.consume(self.lent);
            self.connection.abandon_statement();
        }
    }
}
