//! TLS over a socket that is waited on in short steps, and what libpq's keywords mean to rustls.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::config::{Host, Roots, SslMode, TlsConfig};
use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::verifier;

/// What a Postgres server agrees on, of the protocols that one port may have.
const ALPN: &[u8] = b"postgresql";
/// rustls asks for 4 KiB at a time; the kernel is asked for this much.
const CIPHERTEXT: usize = 128 * 1024;

/// Everything that a handshake with one host needs; made once for a connection and its cancel requests.
#[derive(Clone)]
pub(crate) struct TlsSetup {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    host: String,
    pub(crate) direct: bool,
}

impl TlsSetup {
    pub(crate) fn new(tls: &TlsConfig, host: &Host) -> Result<Self> {
        let fail = |message: String| Error::Tls { host: host.name.clone(), message };
        let name = ServerName::try_from(host.name.clone())
            .map_err(|_| fail(format!("`{}` is no name that a certificate can be made out to", host.name)))?;
        let config = client_config(tls).map_err(fail)?;
        Ok(Self { config: Arc::new(config), name, host: host.name.clone(), direct: tls.direct })
    }

    pub(crate) fn fail(&self, message: impl Into<String>) -> Error {
        Error::Tls { host: self.host.clone(), message: message.into() }
    }

    /// Agree on keys; `go_on` is asked at every tick.
    pub(crate) fn handshake(&self, socket: Socket, mut go_on: impl FnMut() -> Result<()>) -> Result<TlsStream> {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| self.fail(error.to_string()))?;
        let mut stream = TlsStream { session, socket: BufReader::with_capacity(CIPHERTEXT, Wire::new(socket)) };
        while stream.session.is_handshaking() || stream.session.wants_write() {
            match stream.step() {
                Ok(()) => {}
                Err(error) if crate::socket::is_tick(&error) => go_on()?,
                Err(error) => return Err(self.fail(sentence(&error))),
            }
        }
        // Else any server with a certificate that is accepted would do, whatever it speaks.
        if self.direct && stream.session.alpn_protocol() != Some(ALPN) {
            return Err(self.fail("the server did not agree on the protocol `postgresql` (ALPN)"));
        }
        Ok(stream)
    }
}

fn sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server ended the connection during the handshake".to_owned(),
        _ => error.to_string(),
    }
}

/// The socket, which reads without waiting when asked to.
struct Wire {
    socket: Socket,
    wait: bool,
}

impl Wire {
    fn new(socket: Socket) -> Self {
        Self { socket, wait: true }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wait { self.socket.read(buffer) } else { self.socket.read_available(buffer) }
    }
}

/// An encrypted stream.
pub(crate) struct TlsStream {
    session: ClientConnection,
    socket: BufReader<Wire>,
}

impl TlsStream {
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket.get_ref().socket
    }

    /// What `tls-server-end-point` binds to: a hash of the server's certificate (RFC 5929).
    pub(crate) fn end_point(&self) -> Option<Vec<u8>> {
        verifier::end_point(self.session.peer_certificates()?.first()?)
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8], wait: bool) -> io::Result<usize> {
        self.socket.get_mut().wait = wait;
        let result = self.read_plaintext(buffer);
        self.socket.get_mut().wait = true;
        result
    }

    /// As much as is there, and at least one byte; 0 at the end.
    fn read_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        loop {
            match self.session.reader().read(&mut buffer[count..]) {
                Ok(0) => return Ok(count),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What has been read from the socket is decrypted; more is not waited for.
                    if count > 0 && self.socket.buffer().is_empty() {
                        return Ok(count);
                    }
                    match self.receive() {
                        Err(error) if count > 0 && crate::socket::is_tick(&error) => return Ok(count),
                        other => other?,
                    }
                }
                // Postgres ends connections without a close_notify, and its own protocol has an end to look for.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        self.socket.fill_buf()?;
        self.session.read_tls(&mut self.socket)?;
        self.session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(())
    }

    /// Hand bytes to the cipher; fewer than given when its buffer is full.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        if count == 0 {
            self.send()?;
        }
        Ok(count)
    }

    /// Send what the cipher holds.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        match self.session.write_tls(&mut self.socket.get_mut().socket)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }

    fn step(&mut self) -> io::Result<()> {
        if self.session.wants_write() {
            return self.send();
        }
        if self.socket.fill_buf()?.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let received = self.receive();
        if received.is_err() {
            // The alert that says what was wrong; the error at hand matters more than one in sending it.
            let _alert = self.flush();
        }
        received
    }

    /// Say that nothing more will come.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.flush()
    }
}

fn client_config(tls: &TlsConfig) -> std::result::Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if tls.newest_only { &[&rustls::version::TLS13] } else { rustls::DEFAULT_VERSIONS };
    let verifier = verifier::server_verifier(tls.mode, load_roots(tls)?, load_revoked(tls)?, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(load_certificates(certificate)?, load_key(key)?)
            .map_err(|error| format!("the client certificate `{}` cannot be used: {error}", certificate.display()))?,
    };
    config.enable_sni = tls.server_name_indication;
    if tls.direct {
        config.alpn_protocols = vec![ALPN.to_vec()];
    }
    Ok(config)
}

/// The certificates to check against; None for modes that check nothing.
fn load_roots(tls: &TlsConfig) -> std::result::Result<Option<Vec<CertificateDer<'static>>>, String> {
    match (&tls.roots, tls.mode) {
        (Roots::System, _) => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                Err(format!("the operating system's root certificates cannot be loaded: {:?}", found.errors))
            } else {
                Ok(Some(found.certs))
            }
        }
        (Roots::File(path), SslMode::VerifyCa | SslMode::VerifyFull) => load_certificates(path).map(Some),
        // As libpq does: a root certificate that is there is used, whatever the mode asks for.
        (Roots::File(path), _) if path.exists() => load_certificates(path).map(Some),
        (_, SslMode::VerifyCa | SslMode::VerifyFull) => {
            Err("there is no root certificate to check the server's against; give `sslrootcert`".to_owned())
        }
        _ => Ok(None),
    }
}

fn load_certificates(path: &Path) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let broken = |error| format!("the certificate file `{}` cannot be read: {error}", path.display());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error: rustls::pki_types::pem::Error| broken(error.to_string()))?;
    if certificates.is_empty() {
        return Err(broken("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

fn load_revoked(tls: &TlsConfig) -> std::result::Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let Some(path) = &tls.revoked else { return Ok(Vec::new()) };
    CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| format!("the revocation list `{}` cannot be read: {error}", path.display()))
}

/// A key that others can read is refused, as by libpq; root's may be read by its group.
fn load_key(path: &Path) -> std::result::Result<PrivateKeyDer<'static>, String> {
    let broken = |error| format!("the key file `{}` cannot be read: {error}", path.display());
    let facts = fs::metadata(path).map_err(|error| broken(error.to_string()))?;
    let forbidden = if facts.uid() == 0 { 0o037 } else { 0o077 };
    if facts.permissions().mode() & forbidden != 0 {
        return Err(format!("the key file `{}` can be read by others; its permissions should be 0600", path.display()));
    }
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| broken(format!("{error} (an encrypted key needs libpq; use `driver: adbc`)")))
}

/// Certificates as a store; what rustls cannot parse is left out, as long as something remains.
pub(crate) fn root_store(certificates: Vec<CertificateDer<'static>>) -> std::result::Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match store.add_parsable_certificates(certificates) {
        (0, _) => Err("no root certificate can be parsed".to_owned()),
        _ => Ok(store),
    }
}
