//! Where to connect to and how, as libpq would understand it.
//!
//! Keywords: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS>

mod conninfo;
mod keywords;
mod passfile;
mod surroundings;
mod uri;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;

pub(crate) use surroundings::{Surroundings, socket_name};

/// How to connect: every keyword read, every default filled in.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) dbname: String,
    pub(crate) tls: TlsConfig,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) target_session: TargetSession,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) keepalive: Keepalive,
    /// What the startup message says besides user and database.
    pub(crate) startup: Vec<(&'static str, String)>,
}

impl Config {
    /// Read a keyword string or a `postgresql://` URI; the environment and files fill in what it leaves out, as for
    /// libpq.
    ///
    /// # Errors
    /// [`Error::Configuration`](crate::Error::Configuration): a keyword that is unknown, that only libpq can follow,
    /// or whose value makes no sense. No value of a secret keyword is repeated.
    pub fn parse(conninfo: &str) -> Result<Self> {
        Self::parse_within(conninfo, &Surroundings::of_this_process())
    }

    pub(crate) fn parse_within(conninfo: &str, surroundings: &Surroundings) -> Result<Self> {
        let given = if uri::is_uri(conninfo) { uri::parse(conninfo)? } else { conninfo::parse(conninfo)? };
        keywords::resolve(given, surroundings)
    }

    /// Where it may lead, in the order of trying.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database.
    #[must_use]
    pub fn dbname(&self) -> &str {
        &self.dbname
    }
}

/// One server to try.
#[derive(Debug, Clone)]
pub struct Host {
    /// A name, an address, or the folder of a unix socket (absolute, or `@` and an abstract name).
    pub name: String,
    /// In place of looking `name` up.
    pub address: Option<String>,
    /// The port.
    pub port: u16,
    /// `Err` is why the password file was not used, to be said when a password is asked for.
    pub(crate) password: std::result::Result<Option<Password>, String>,
}

impl Host {
    pub(crate) fn is_unix(&self) -> bool {
        self.address.is_none() && self.name.starts_with(['/', '@'])
    }
}

/// A password that no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(pub(crate) String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS when the server insists.
    Allow,
    /// No TLS when the server has none.
    Prefer,
    /// TLS, the certificate unchecked unless there is a root certificate.
    Require,
    /// TLS, the certificate signed by a root.
    VerifyCa,
    /// TLS, the certificate signed by a root and made out to the host.
    VerifyFull,
}

/// `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// When the server offers it.
    Prefer,
    /// Or no connection.
    Require,
}

/// `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// The first server that takes us.
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes none.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is.
    Standby,
    /// A standby, or any when there is none.
    PreferStandby,
}

/// What concerns TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfig {
    pub(crate) mode: SslMode,
    pub(crate) roots: Roots,
    /// Certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) revoked: Option<PathBuf>,
    pub(crate) server_name_indication: bool,
    /// TLS from the first byte, without asking.
    pub(crate) direct: bool,
    /// TLS 1.3 only.
    pub(crate) newest_only: bool,
}

/// `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// No such file: nothing to check against.
    None,
    /// The operating system's.
    System,
    /// A file of PEM certificates.
    File(PathBuf),
}

/// TCP keepalives, of the operating system where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keepalive {
    pub(crate) enabled: bool,
    pub(crate) idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) count: Option<u32>,
    pub(crate) user_timeout: Option<Duration>,
}

#[cfg(test)]
mod tests;
