//! The exchange of messages: writing whole ones, reading the next one, and what becomes of the connection when that
//! fails.

use std::collections::BTreeMap;

use bytes::BytesMut;
use postgres_protocol::message::backend::{
    ERROR_RESPONSE_TAG, Message, NOTICE_RESPONSE_TAG, NOTIFICATION_RESPONSE_TAG, PARAMETER_STATUS_TAG,
};

use crate::error::{Error, Result, ServerError};
use crate::read_buffer::{Frame, ReadBuffer};
use crate::transport::Transport;

/// Room for what the server says while it is being written to; more than this is no longer a notice or two.
const LOUDEST_SERVER: usize = 64 * 1024 * 1024;

/// A transport that carries messages.
pub(crate) struct Channel {
    pub(crate) transport: Transport,
    pub(crate) read: ReadBuffer,
    /// Messages that are complete and not yet sent.
    pub(crate) write: BytesMut,
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Channel {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, read: ReadBuffer::new(), write: BytesMut::new(), parameters: BTreeMap::new() }
    }

    /// Send what `write` holds.
    pub(crate) fn send(&mut self) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.write);
        let sent = self.send_all(&bytes, &[], &mut 0);
        // The memory is used again.
        bytes.clear();
        self.write = bytes;
        sent
    }

    /// Send `head` and `body`, from byte `sent` of the two on, and count it up. What the server says meanwhile is
    /// taken in: a server that is not listened to may stop listening.
    pub(crate) fn send_all(&mut self, head: &[u8], body: &[u8], sent: &mut usize) -> Result<()> {
        while *sent < head.len() + body.len() {
            let (head, body) = (&head[head.len().min(*sent)..], &body[sent.saturating_sub(head.len())..]);
            match self.transport.write(head, body)? {
                Some(count) => *sent += count,
                None => self.listen_between()?,
            }
        }
        while self.transport.flush()?.is_none() {
            self.listen_between()?;
        }
        Ok(())
    }

    fn listen_between(&mut self) -> Result<()> {
        self.take_in_available()?;
        self.transport.patience.after_tick()
    }

    /// Read what is there without waiting.
    pub(crate) fn take_in_available(&mut self) -> Result<()> {
        while self.read.filled().len() < LOUDEST_SERVER {
            match self.transport.read_available(self.read.space()?)? {
                None => return Ok(()),
                Some(0) => return Err(end_of_stream()),
                Some(count) => self.read.filled_by(count),
            }
        }
        Err(Error::Protocol("more was said during a COPY than anyone listens to".to_owned()))
    }

    /// Read more, waiting for it; returns how many bytes came.
    pub(crate) fn take_in(&mut self) -> Result<usize> {
        match self.transport.read(self.read.space()?)? {
            0 => Err(end_of_stream()),
            count => {
                self.read.filled_by(count);
                Ok(count)
            }
        }
    }

    /// The next message of the conversation; what the server says of its own accord is dealt with here.
    pub(crate) fn next_message(&mut self) -> Result<Message> {
        loop {
            match self.read.whole_frame(0)? {
                None => {
                    self.take_in()?;
                }
                Some(frame) => {
                    let message = self.take_message(frame)?;
                    if let Some(message) = self.unless_aside(message)? {
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// Take the first message, which is whole.
    pub(crate) fn take_message(&mut self, frame: Frame) -> Result<Message> {
        let mut bytes = BytesMut::from(&self.read.filled()[..frame.total]);
        self.read.consume(frame.total);
        match Message::parse(&mut bytes) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Error::Protocol("a message ends before its fields do".to_owned())),
            Err(error) => Err(Error::Protocol(error.to_string())),
        }
    }

    /// None for what may come at any time and is no answer.
    pub(crate) fn unless_aside(&mut self, message: Message) -> Result<Option<Message>> {
        match message {
            Message::NoticeResponse(_) | Message::NotificationResponse(_) => Ok(None),
            Message::ParameterStatus(body) => {
                let (name, value) = (body.name().map_err(protocol)?, body.value().map_err(protocol)?);
                self.parameters.insert(name.to_owned(), value.to_owned());
                Ok(None)
            }
            other => Ok(Some(other)),
        }
    }

    /// The error that the server sent last, when it is among what was read: what it says before it hangs up.
    pub(crate) fn last_words(&mut self) -> Option<ServerError> {
        while let Ok(Some(frame)) = self.read.whole_frame(0) {
            if frame.tag != ERROR_RESPONSE_TAG {
                self.read.consume(frame.total);
                continue;
            }
            return match self.take_message(frame) {
                Ok(Message::ErrorResponse(body)) => ServerError::parse(body.fields()).ok(),
                _ => None,
            };
        }
        None
    }
}

/// Whether a message with this tag may come at any time.
pub(crate) fn is_aside(tag: u8) -> bool {
    matches!(tag, NOTICE_RESPONSE_TAG | NOTIFICATION_RESPONSE_TAG | PARAMETER_STATUS_TAG)
}

#[allow(clippy::needless_pass_by_value)] // the shape that map_err takes
pub(crate) fn protocol(error: std::io::Error) -> Error {
    Error::Protocol(error.to_string())
}

/// A name for a message that nobody expected.
pub(crate) fn unexpected(tag: &str) -> Error {
    Error::Protocol(format!("a message came that does not belong there, {tag}"))
}

fn end_of_stream() -> Error {
    Error::Lost("the server closed the connection".to_owned())
}
