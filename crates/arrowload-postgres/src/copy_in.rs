//! `COPY … FROM STDIN`: data out, one ear open.

use std::ops::DerefMut;
use std::time::Instant;

use postgres_protocol::message::backend::{ERROR_RESPONSE_TAG, Message};
use postgres_protocol::message::frontend;

use crate::connection::{CANCEL_TIMEOUT, Connection};
use crate::error::{Error, Result};
use crate::messages::{is_aside, unexpected};
use crate::query::count_in;

/// Less than this is gathered before it is sent.
const GATHERED: usize = 64 * 1024;
/// One message carries no more; where messages begin and end means nothing to the server.
const LONGEST_PAYLOAD: usize = 16 * 1024 * 1024;
const COPY_DATA: u8 = b'd';

/// A COPY under way; holds its connection, borrowed or owned, until it ends. Dropped without [`CopyIn::finish`], it
/// has the server throw away what was sent.
pub struct CopyIn<C: DerefMut<Target = Connection>> {
    connection: C,
    finished: bool,
}

impl<C: DerefMut<Target = Connection>> CopyIn<C> {
    /// Start `sql`, which is to be a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// The server's, or [`Error::Usage`] when `sql` is something else.
    pub fn start(mut connection: C, sql: &str) -> Result<Self> {
        connection.start_copy(sql, "COPY FROM STDIN", |message| matches!(message, Message::CopyInResponse(_)))?;
        Ok(Self { connection, finished: false })
    }

    /// Send a piece of the data, cut anywhere.
    ///
    /// # Errors
    /// The server's refusal of something sent before, noticed between pieces; or that it is gone.
    pub fn send(&mut self, payload: &[u8]) -> Result<()> {
        for part in payload.chunks(LONGEST_PAYLOAD) {
            let header = header(part.len());
            if self.connection.channel.write.len() + part.len() < GATHERED {
                let write = &mut self.connection.channel.write;
                write.extend_from_slice(&header);
                write.extend_from_slice(part);
            } else {
                self.connection.channel.write.extend_from_slice(&header);
                self.push(part)?;
            }
        }
        Ok(())
    }

    /// Send whole `CopyData` messages that are framed already, as [`CopyOut::next_chunk`](crate::CopyOut::next_chunk)
    /// gives them.
    ///
    /// # Errors
    /// As [`CopyIn::send`].
    pub fn send_framed(&mut self, messages: &[u8]) -> Result<()> {
        if self.connection.channel.write.len() + messages.len() < GATHERED {
            self.connection.channel.write.extend_from_slice(messages);
            return Ok(());
        }
        self.push(messages)
    }

    /// Say that this was all, and wait until the server has taken it: the rows that it counted.
    ///
    /// # Errors
    /// The server's; nothing of what was sent is then stored.
    pub fn finish(mut self) -> Result<u64> {
        self.finished = true;
        frontend::copy_done(&mut self.connection.channel.write);
        self.connection.send_gathered(&[])?;
        let mut rows = None;
        loop {
            match self.connection.next_message()? {
                Message::CommandComplete(body) => {
                    let tag = self.connection.parsed(body.tag().map(ToOwned::to_owned))?;
                    rows = count_in(&tag);
                }
                Message::ErrorResponse(body) => return Err(self.connection.server_error(&body)),
                Message::ReadyForQuery(body) => {
                    self.connection.ready(&body)?;
                    return rows.ok_or_else(|| Error::Protocol("a COPY ended without a count".to_owned()));
                }
                _ => return self.connection.settle(Err(unexpected("at the end of a COPY FROM STDIN"))),
            }
        }
    }

    /// Have the server throw away what was sent.
    ///
    /// # Errors
    /// That the connection is gone; the server's own error, which says `reason`, is what was asked for.
    pub fn fail(mut self, reason: &str) -> Result<()> {
        self.finished = true;
        self.connection.channel.write.clear();
        let reason = reason.replace('\0', " ");
        self.connection.send_with(|write| frontend::copy_fail(&reason, write))?;
        loop {
            match self.connection.next_message()? {
                Message::ErrorResponse(body) => {
                    return match self.connection.server_error(&body) {
                        Error::Server(_) => self.connection.check_alive(),
                        other => Err(other),
                    };
                }
                Message::ReadyForQuery(body) => return self.connection.ready(&body),
                _ => {}
            }
        }
    }

    /// Send what was gathered and then `body`, and look whether the server has something against it.
    ///
    /// A server that takes all at once never has anybody wait, and the interrupt is asked all the same.
    fn push(&mut self, body: &[u8]) -> Result<()> {
        let asked = self.connection.channel.transport.patience.look();
        let go_on = self.connection.settle(asked);
        let pushed = go_on.and_then(|()| self.connection.send_gathered(body)).and_then(|()| self.connection.look());
        pushed.inspect_err(|_| self.finished = true)
    }
}

impl<C: DerefMut<Target = Connection>> Drop for CopyIn<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.connection.end_statement(false);
        }
    }
}

impl Connection {
    /// Send what was gathered and then `body`. An interrupt cancels the statement, and the rest is sent all the same,
    /// since the server reads on to the end of a message before it hears the next.
    fn send_gathered(&mut self, body: &[u8]) -> Result<()> {
        self.check_alive()?;
        let mut gathered = std::mem::take(&mut self.channel.write);
        let mut sent = 0;
        let mut result = self.channel.send_all(&gathered, body, &mut sent);
        if matches!(result, Err(Error::Interrupted)) {
            let patience = self.channel.transport.patience.only_until(Instant::now() + CANCEL_TIMEOUT);
            // A cancel that does not get through leaves the deadline.
            let _unreached = self.cancel_handle().cancel();
            result = self.channel.send_all(&gathered, body, &mut sent).and(Err(Error::Interrupted));
            self.channel.transport.patience = patience;
        }
        gathered.clear();
        self.channel.write = gathered;
        self.settle(result)
    }

    /// Hear what the server says without waiting: an error ends the COPY.
    fn look(&mut self) -> Result<()> {
        let heard = self.channel.take_in_available();
        self.settle(heard)?;
        loop {
            let frame = self.channel.read.whole_frame(0);
            let Some(frame) = self.settle(frame)? else { return Ok(()) };
            if frame.tag != ERROR_RESPONSE_TAG && !is_aside(frame.tag) {
                return self.settle(Err(unexpected("during a COPY FROM STDIN")));
            }
            let message = self.channel.take_message(frame);
            let message = self.settle(message)?;
            let message = self.channel.unless_aside(message);
            if let Some(Message::ErrorResponse(body)) = self.settle(message)? {
                return Err(self.server_error(&body));
            }
        }
    }
}

fn header(payload: usize) -> [u8; 5] {
    let [_, _, _, _, a, b, c, d] = (payload as u64 + 4).to_be_bytes();
    [COPY_DATA, a, b, c, d]
}
