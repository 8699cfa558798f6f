//! What can go wrong, told apart by what the caller can do about it.

use std::fmt;
use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// This crate's answer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. No variant holds a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection string, or what the environment adds to it, cannot be followed.
    #[error("{0}")]
    Configuration(String),
    /// No connection came about: unknown host, refused, timed out.
    #[error("connection to server at `{host}`, port {port} failed: {source}")]
    Unreachable {
        /// The host as it was given, or the folder of the unix socket.
        host: String,
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// TLS could not be agreed on, or a certificate was not accepted.
    #[error("TLS with `{host}` failed: {message}")]
    Tls {
        /// The host as it was given.
        host: String,
        /// One sentence.
        message: String,
    },
    /// The client's side of logging in; the server's refusals are [`Error::Server`].
    #[error("{0}")]
    Authentication(String),
    /// The server's own words.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The connection is gone; nobody knows what became of the statement under way.
    #[error("the connection to the server was lost: {0}")]
    Lost(String),
    /// The server sent what the protocol does not allow; the connection is given up.
    #[error("the server's answer breaks the protocol: {0}")]
    Protocol(String),
    /// The statement and the call do not belong together; the connection can go on.
    #[error("{0}")]
    Usage(String),
    /// The [`Interrupt`](crate::Interrupt) said so; the statement was cancelled.
    #[error("the call was interrupted")]
    Interrupted,
    /// More than one host was tried, none with success.
    #[error("no server could be connected to: {}", sentences(.0))]
    NoServer(Vec<Error>),
}

impl Error {
    /// One word for each kind, for callers in other languages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.principal() {
            Self::Configuration(_) => "configuration",
            Self::Unreachable { .. } | Self::NoServer(_) => "unreachable",
            Self::Tls { .. } => "tls",
            Self::Authentication(_) => "authentication",
            Self::Server(_) => "server",
            Self::Lost(_) => "lost",
            Self::Protocol(_) => "protocol",
            Self::Usage(_) => "usage",
            Self::Interrupted => "interrupted",
        }
    }

    /// What the server said, when it was the server.
    #[must_use]
    pub fn server(&self) -> Option<&ServerError> {
        match self.principal() {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    /// Of several hosts' errors the most telling: one from a host that answered, else the last.
    fn principal(&self) -> &Self {
        let Self::NoServer(errors) = self else { return self };
        let answered = errors.iter().rev().find(|error| !matches!(error, Self::Unreachable { .. }));
        answered.or(errors.last()).unwrap_or(self)
    }
}

fn sentences(errors: &[Error]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// An `ErrorResponse`, field by field.
///
/// The letters are those of <https://www.postgresql.org/docs/current/protocol-error-fields.html>.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    fields: Vec<(u8, String)>,
}

impl ServerError {
    pub(crate) fn parse(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut found = Vec::new();
        while let Some(field) = fields.next()? {
            // A server that has not yet learnt our encoding may write its own.
            found.push((field.type_(), String::from_utf8_lossy(field.value_bytes()).into_owned()));
        }
        Ok(Self { fields: found })
    }

    fn field(&self, letter: u8) -> Option<&str> {
        self.fields.iter().find(|(key, _)| *key == letter).map(|(_, value)| value.as_str())
    }

    /// `ERROR`, `FATAL` or `PANIC`, untranslated where the server says it (9.6 and newer).
    #[must_use]
    pub fn severity(&self) -> &str {
        self.field(b'V').or_else(|| self.field(b'S')).unwrap_or("ERROR")
    }

    /// Five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        self.field(b'C').unwrap_or("XX000")
    }

    /// One line.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field(b'M').unwrap_or("the server gave no message")
    }

    /// Every other field that the server filled, by name.
    pub fn details(&self) -> impl Iterator<Item = (&'static str, &str)> {
        FIELD_NAMES.iter().filter_map(|(letter, name)| self.field(*letter).map(|value| (*name, value)))
    }

    /// One of the names of [`ServerError::details`].
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

const FIELD_NAMES: [(u8, &str); 15] = [
    (b'V', "severity"),
    (b'D', "detail"),
    (b'H', "hint"),
    (b'P', "position"),
    (b'p', "internal_position"),
    (b'q', "internal_query"),
    (b'W', "where"),
    (b's', "schema"),
    (b't', "table"),
    (b'c', "column"),
    (b'd', "datatype"),
    (b'n', "constraint"),
    (b'F', "file"),
    (b'L', "line"),
    (b'R', "routine"),
];
