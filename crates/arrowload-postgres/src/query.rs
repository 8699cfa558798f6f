//! Control statements: run, query, describe.

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;

use crate::connection::Connection;
use crate::error::{Error, Result, ServerError};
use crate::messages::{protocol, unexpected};

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As the query names it.
    pub name: String,
    /// The type's `pg_type.oid`.
    pub oid: u32,
    /// `pg_attribute.atttypmod`; -1 for none.
    pub typmod: i32,
}

/// What became of a statement, or of several that were sent as one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A command tag each: `INSERT 0 5`, `CREATE TABLE`.
    pub tags: Vec<String>,
}

impl Outcome {
    /// Rows that the last statement touched; None where its tag has no count.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        count_in(self.tags.last()?)
    }
}

/// A result in the server's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// In order.
    pub columns: Vec<Column>,
    /// Each as long as `columns`; None is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Connection {
    /// Run one or more statements as a simple query; rows are not kept.
    ///
    /// # Errors
    /// The server's first; with it, all that one text asked for outside an explicit transaction is undone.
    pub fn run(&mut self, sql: &str) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.simple_query(sql, |message| {
            if let Message::CommandComplete(body) = message {
                outcome.tags.push(body.tag()?.to_owned());
            }
            Ok(())
        })?;
        Ok(outcome)
    }

    /// Run one or more statements as a simple query; the last result among theirs, without columns when there is none.
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub fn query(&mut self, sql: &str) -> Result<Rows> {
        let mut result = Rows::default();
        self.simple_query(sql, |message| {
            match message {
                Message::RowDescription(body) => result = Rows { columns: columns(body)?, rows: Vec::new() },
                Message::DataRow(body) => result.rows.push(values(body)?),
                _ => {}
            }
            Ok(())
        })?;
        let width = result.columns.len();
        if result.rows.iter().all(|row| row.len() == width) {
            Ok(result)
        } else {
            self.settle(Err(Error::Protocol("a row has another number of columns than its result".to_owned())))
        }
    }

    /// The columns that `sql` would give; runs nothing, though the server plans it and takes its locks.
    ///
    /// # Errors
    /// The server's.
    pub fn describe(&mut self, sql: &str) -> Result<Vec<Column>> {
        self.send_with(|write| {
            frontend::parse("", sql, [], write)?;
            frontend::describe(b'S', "", write)?;
            frontend::sync(write);
            Ok(())
        })?;
        let mut described = Vec::new();
        loop {
            match self.next_message()? {
                Message::ParseComplete | Message::ParameterDescription(_) | Message::NoData => {}
                Message::RowDescription(body) => described = self.parsed(columns(&body))?,
                Message::ErrorResponse(body) => return Err(self.server_error(&body)),
                Message::ReadyForQuery(body) => {
                    self.ready(&body)?;
                    return Ok(described);
                }
                _ => return self.settle(Err(unexpected("while a statement was described"))),
            }
        }
    }

    fn simple_query(&mut self, sql: &str, mut take: impl FnMut(&Message) -> std::io::Result<()>) -> Result<()> {
        self.send_query(sql)?;
        let mut misuse = None;
        loop {
            match self.next_message()? {
                Message::ErrorResponse(body) => {
                    let error = self.server_error(&body);
                    return Err(misuse.unwrap_or(error));
                }
                Message::ReadyForQuery(body) => {
                    self.ready(&body)?;
                    return misuse.map_or(Ok(()), Err);
                }
                Message::CopyInResponse(_) => {
                    misuse = Some(Error::Usage("COPY FROM STDIN is no statement for `run` or `query`".to_owned()));
                    self.send_with(|write| frontend::copy_fail("no data is going to come", write))?;
                }
                Message::CopyOutResponse(_) => {
                    misuse = Some(Error::Usage("COPY TO STDOUT is no statement for `run` or `query`".to_owned()));
                }
                Message::CopyData(_) | Message::CopyDone | Message::EmptyQueryResponse => {}
                message @ (Message::CommandComplete(_) | Message::RowDescription(_) | Message::DataRow(_)) => {
                    let taken = take(&message);
                    self.parsed(taken)?;
                }
                _ => return self.settle(Err(unexpected("in the answer to a query"))),
            }
        }
    }

    /// Send `sql`, which is to be a COPY of the kind whose answer begins with a message that `begins` it.
    pub(crate) fn start_copy(&mut self, sql: &str, kind: &str, begins: impl FnOnce(&Message) -> bool) -> Result<()> {
        self.send_query(sql)?;
        match self.next_message()? {
            message if begins(&message) => return Ok(()),
            Message::ErrorResponse(body) => return Err(self.server_error(&body)),
            Message::ReadyForQuery(body) => self.ready(&body)?,
            _ => self.abandon_statement(),
        }
        Err(Error::Usage(format!("the statement is no {kind}")))
    }

    /// The error of an `ErrorResponse`, once the answer has been read to its end.
    pub(crate) fn server_error(&mut self, body: &postgres_protocol::message::backend::ErrorResponseBody) -> Error {
        match ServerError::parse(body.fields()) {
            Ok(error) => self.after_error(error),
            Err(error) => match self.settle::<()>(Err(protocol(error))) {
                Ok(()) => unreachable!("an error stays one"),
                Err(error) => error,
            },
        }
    }
}

/// The number at the end of a command tag.
pub(crate) fn count_in(tag: &str) -> Option<u64> {
    tag.rsplit_once(' ')?.1.parse().ok()
}

fn columns(body: &RowDescriptionBody) -> std::io::Result<Vec<Column>> {
    let column = |field: postgres_protocol::message::backend::Field<'_>| Column {
        name: field.name().to_owned(),
        oid: field.type_oid(),
        typmod: field.type_modifier(),
    };
    body.fields().map(|field| Ok(column(field))).collect()
}

fn values(body: &DataRowBody) -> std::io::Result<Vec<Option<String>>> {
    let bytes: &Bytes = body.buffer_bytes();
    body.ranges()
        .map(|range| match range {
            None => Ok(None),
            Some(range) => match std::str::from_utf8(&bytes[range]) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(error) => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error)),
            },
        })
        .collect()
}
