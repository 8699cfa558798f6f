//! From a configuration to a session: hosts, addresses, TLS or not, login, the right kind of server.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Instant;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::authentication::{Refusal, log_in};
use crate::cancel::CancelHandle;
use crate::config::{Config, Host, Keepalive, SslMode, TargetSession, socket_name};
use crate::connection::{Connection, TransactionStatus};
use crate::error::{Error, Result, ServerError};
use crate::messages::{Channel, protocol, unexpected};
use crate::socket::{Address, Socket};
use crate::tls::TlsSetup;
use crate::transport::{Interrupt, Patience, Transport};

/// The server is starting up or shutting down; another may not be.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// What a server says to a connection that its `pg_hba.conf` does not allow.
const NOT_ALLOWED: &str = "28000";

/// Where a connection leads and how it is encrypted; what a cancel request has to repeat.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: Address,
    host: String,
    port: u16,
    keepalive: Keepalive,
    tls: Option<TlsSetup>,
    /// Go on without TLS when the server has none.
    tls_optional: bool,
}

pub(crate) fn connect(config: &Config, interrupt: Option<Interrupt>) -> Result<Connection> {
    let mut search = Search { config, interrupt, failures: Vec::new() };
    if config.target_session == TargetSession::PreferStandby {
        if let Some(connection) = search.try_hosts(TargetSession::Standby)? {
            return Ok(connection);
        }
        search.failures.clear();
    }
    let wanted = match config.target_session {
        TargetSession::PreferStandby => TargetSession::Any,
        other => other,
    };
    match search.try_hosts(wanted)? {
        Some(connection) => Ok(connection),
        None => Err(match search.failures.len() {
            1 => search.failures.remove(0),
            _ => Error::NoServer(search.failures),
        }),
    }
}

struct Search<'a> {
    config: &'a Config,
    interrupt: Option<Interrupt>,
    failures: Vec<Error>,
}

impl Search<'_> {
    fn try_hosts(&mut self, wanted: TargetSession) -> Result<Option<Connection>> {
        for host in &self.config.hosts {
            match addresses(host) {
                Err(error) => self.failures.push(error),
                Ok(addresses) => {
                    for address in addresses {
                        match self.try_address(host, &address, wanted) {
                            Ok(connection) => return Ok(Some(connection)),
                            Err(error) if leaves_others(&error) => self.failures.push(error),
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    fn try_address(&mut self, host: &Host, address: &Address, wanted: TargetSession) -> Result<Connection> {
        let deadline = self.config.connect_timeout.map(|timeout| Instant::now() + timeout);
        let mut last = None;
        for endpoint in endpoints(self.config, host, address)? {
            let mut patience = Patience::new(self.interrupt.take(), deadline);
            let opened = open_keeping(&endpoint, &mut patience);
            let session = match opened {
                Ok(transport) => start(self.config, host, &endpoint, transport),
                Err(error) => {
                    self.interrupt = patience.take_interrupt();
                    Err((None, Refusal { error, asked: false }))
                }
            };
            match session {
                Ok(connection) => return self.check_kind(connection, host, wanted),
                Err((interrupt, refusal)) => {
                    self.interrupt = self.interrupt.take().or(interrupt);
                    if !may_try_otherwise(&refusal) {
                        return Err(refusal.error);
                    }
                    last = Some(refusal.error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Configuration("no way to connect is left".to_owned())))
    }

    fn check_kind(&mut self, mut connection: Connection, host: &Host, wanted: TargetSession) -> Result<Connection> {
        let fits = if wanted == TargetSession::Any { Ok(true) } else { is_wanted(&mut connection, wanted) };
        if !matches!(fits, Ok(true)) {
            self.interrupt = connection.channel.transport.patience.take_interrupt();
            let source = "the session is not of the kind that `target_session_attrs` asks for";
            return Err(fits.err().unwrap_or_else(|| Error::Unreachable {
                host: host.name.clone(),
                port: host.port,
                source: std::io::Error::other(source),
            }));
        }
        connection.channel.transport.patience.set_deadline(None);
        Ok(connection)
    }
}

/// Whether the next host may be tried: not when this one heard us and refused.
fn leaves_others(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Lost(_) => true,
        Error::Server(error) => error.sqlstate() == CANNOT_CONNECT_NOW,
        _ => false,
    }
}

/// Whether the same address may be tried with TLS in place of without, or the reverse: when there was no agreement on
/// TLS, or `pg_hba.conf` wants it otherwise. Once the server has asked for a password, it is not asked in another way.
fn may_try_otherwise(refusal: &Refusal) -> bool {
    match &refusal.error {
        Error::Tls { .. } => !refusal.asked,
        Error::Server(error) => !refusal.asked && error.sqlstate() == NOT_ALLOWED,
        _ => false,
    }
}

fn addresses(host: &Host) -> Result<Vec<Address>> {
    if host.is_unix() {
        return Ok(vec![Address::Unix(Path::new(&host.name).join(socket_name(host.port)))]);
    }
    let name = host.address.as_deref().unwrap_or(&host.name);
    let found: std::io::Result<Vec<Address>> =
        (name, host.port).to_socket_addrs().map(|found| found.map(Address::Tcp).collect());
    let unknown = |source| Error::Unreachable { host: host.name.clone(), port: host.port, source };
    match found {
        Ok(found) if found.is_empty() => Err(unknown(std::io::Error::other("the name has no address"))),
        other => other.map_err(unknown),
    }
}

/// The ways to try one address, by `sslmode`. A unix socket knows no TLS.
fn endpoints(config: &Config, host: &Host, address: &Address) -> Result<Vec<Endpoint>> {
    let plain = Endpoint {
        address: address.clone(),
        host: host.name.clone(),
        port: host.port,
        keepalive: config.keepalive.clone(),
        tls: None,
        tls_optional: false,
    };
    if matches!(address, Address::Unix(_)) || config.tls.mode == SslMode::Disable {
        return Ok(vec![plain]);
    }
    let setup = TlsSetup::new(&config.tls, host)?;
    let with_tls = |tls_optional| Endpoint { tls: Some(setup.clone()), tls_optional, ..plain.clone() };
    Ok(match config.tls.mode {
        SslMode::Allow => vec![plain.clone(), with_tls(false)],
        SslMode::Prefer => vec![with_tls(true), plain.clone()],
        _ => vec![with_tls(false)],
    })
}

/// A transport to where `endpoint` says.
pub(crate) fn open(endpoint: &Endpoint, mut patience: Patience) -> Result<Transport> {
    open_keeping(endpoint, &mut patience)
}

/// As `open`; takes `patience` only when it succeeds.
fn open_keeping(endpoint: &Endpoint, patience: &mut Patience) -> Result<Transport> {
    let unreachable = |source| Error::Unreachable { host: endpoint.host.clone(), port: endpoint.port, source };
    let socket = Socket::connect(&endpoint.address, &endpoint.keepalive, || patience.after_tick().map_err(Stop::Told))
        .map_err(|stop| match stop {
            Stop::Failed(source) => unreachable(source),
            Stop::Told(Error::Lost(_)) => unreachable(timed_out()),
            Stop::Told(error) => error,
        })?;
    let plain = Transport::plain(socket, &endpoint.host, std::mem::take(patience));
    let Some(setup) = &endpoint.tls else { return Ok(plain) };
    encrypt(plain, endpoint, setup).map_err(|(error, kept)| {
        *patience = kept;
        match error {
            // Nothing was said yet that could have been lost.
            Error::Lost(reason) => unreachable(std::io::Error::other(reason)),
            other => other,
        }
    })
}

enum Stop {
    Failed(std::io::Error),
    Told(Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error)
    }
}

fn timed_out() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "timeout expired")
}

fn encrypt(
    mut plain: Transport,
    endpoint: &Endpoint,
    setup: &TlsSetup,
) -> std::result::Result<Transport, (Error, Patience)> {
    if !setup.direct {
        match ask_for_tls(&mut plain) {
            Ok(b'S') => {}
            Ok(b'N') if endpoint.tls_optional => return Ok(plain),
            Ok(b'N') => {
                return Err((
                    setup.fail("the server does not support it, and `sslmode` insists"),
                    plain.into_patience(),
                ));
            }
            Ok(_) => return Err((setup.fail("the server does not know the request for it"), plain.into_patience())),
            Err(error) => return Err((error, plain.into_patience())),
        }
    }
    let (Some(socket), mut patience) = plain.into_plain() else {
        return Err((setup.fail("it is there already"), Patience::default()));
    };
    match setup.handshake(socket, || patience.after_tick()) {
        Ok(stream) => Ok(Transport::encrypted(stream, &endpoint.host, patience)),
        Err(error) => Err((error, patience)),
    }
}

/// The server's one byte; no more is read, so that nothing slips in before the handshake.
fn ask_for_tls(plain: &mut Transport) -> Result<u8> {
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    let mut sent = 0;
    while sent < request.len() {
        match plain.write(&request[sent..], &[])? {
            Some(count) => sent += count,
            None => plain.patience.after_tick()?,
        }
    }
    let mut answer = [0];
    match plain.read(&mut answer)? {
        0 => Err(Error::Lost("the server closed the connection".to_owned())),
        _ => Ok(answer[0]),
    }
}

/// Log in and wait until the server is ready; gives the interrupt back on failure.
fn start(
    config: &Config,
    host: &Host,
    endpoint: &Endpoint,
    transport: Transport,
) -> std::result::Result<Connection, (Option<Interrupt>, Refusal)> {
    let mut channel = Channel::new(transport);
    match begin_session(&mut channel, config, host) {
        Ok((process_id, secret_key, status)) => {
            let mut endpoint = endpoint.clone();
            if !channel.transport.is_encrypted() {
                endpoint.tls = None;
            }
            endpoint.tls_optional = false;
            let cancel = CancelHandle::new(endpoint, process_id, secret_key);
            Ok(Connection::new(channel, cancel, status))
        }
        Err(mut refusal) => {
            if let (Error::Lost(_), Some(words)) = (&refusal.error, channel.last_words()) {
                refusal.error = Error::Server(Box::new(words));
            }
            Err((channel.transport.patience.take_interrupt(), refusal))
        }
    }
}

type Session = (i32, i32, TransactionStatus);

fn begin_session(channel: &mut Channel, config: &Config, host: &Host) -> std::result::Result<Session, Refusal> {
    let unasked = |error| Refusal { error, asked: false };
    let named = [("user", config.user.as_str()), ("database", config.dbname.as_str())];
    let settings = config.startup.iter().map(|(name, value)| (*name, value.as_str()));
    frontend::startup_message(named.into_iter().chain(settings), &mut channel.write)
        .map_err(|error| unasked(protocol(error)))?;
    channel.send().map_err(unasked)?;
    log_in(channel, config, host)?;
    await_ready(channel).map_err(|error| Refusal { error, asked: true })
}

fn await_ready(channel: &mut Channel) -> Result<Session> {
    let mut key = (0, 0);
    loop {
        match channel.next_message()? {
            Message::BackendKeyData(body) => key = (body.process_id(), body.secret_key()),
            Message::ErrorResponse(body) => {
                return Err(Error::Server(Box::new(ServerError::parse(body.fields()).map_err(protocol)?)));
            }
            Message::ReadyForQuery(_) => return Ok((key.0, key.1, TransactionStatus::Idle)),
            _ => return Err(unexpected("after the login")),
        }
    }
}

fn is_wanted(connection: &mut Connection, wanted: TargetSession) -> Result<bool> {
    let rows = connection
        .query("SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')")?;
    let is = |column: usize, text: &str| {
        rows.rows.first().and_then(|row| row.get(column)).is_some_and(|value| value.as_deref() == Some(text))
    };
    let (standby, read_only) = (is(0, "t"), is(0, "t") || is(1, "on"));
    Ok(match wanted {
        TargetSession::Any | TargetSession::PreferStandby => true,
        TargetSession::ReadWrite => !read_only,
        TargetSession::ReadOnly => read_only,
        TargetSession::Primary => !standby,
        TargetSession::Standby => standby,
    })
}
