//! Which server certificates are accepted.

use std::sync::Arc;

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

use crate::config::SslMode;
use crate::tls::root_store;

/// The rule that `mode` and the roots make together; no roots, no check.
pub(crate) fn server_verifier(
    mode: SslMode,
    roots: Option<Vec<CertificateDer<'static>>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let chain = match roots {
        None => None,
        Some(roots) => {
            let store = Arc::new(root_store(roots.clone())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider))
                .with_crls(revoked)
                .build()
                .map_err(|error| format!("the root certificates cannot be used: {error}"))?;
            Some(Chain { verifier, roots })
        }
    };
    Ok(Arc::new(Verifier { chain, check_name: mode == SslMode::VerifyFull, provider }))
}

#[derive(Debug)]
struct Verifier {
    chain: Option<Chain>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Chain {
    verifier: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        if chain.roots.iter().any(|root| root == end_entity) {
            return self.verify_trusted_itself(end_entity, server_name, now);
        }
        match chain.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at after everything else has been found right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verifier {
    /// A self-signed certificate that is its own root, which Postgres' manual shows and webpki does not know: it is
    /// right when it is in force, and made out to the host where that counts.
    fn verify_trusted_itself(
        &self,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed =
            Certificate::from_der(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let validity = parsed.tbs_certificate().validity();
        if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
            return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
        }
        if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        if self.check_name {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }
}

/// The hash of a certificate by the function that signed it, SHA-256 in place of MD5 and SHA-1 (RFC 5929 §4.1); None
/// when the signature names none.
pub(crate) fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let algorithm = hash_of_signature(parsed.signature_algorithm().oid)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

fn hash_of_signature(signature: ObjectIdentifier) -> Option<&'static digest::Algorithm> {
    SIGNATURES.iter().find(|(oid, _)| *oid == signature).map(|(_, algorithm)| *algorithm)
}

const SIGNATURES: [(ObjectIdentifier, &digest::Algorithm); 8] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), &digest::SHA256), // RSA with MD5
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), &digest::SHA256), // RSA with SHA-1
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), &digest::SHA256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), &digest::SHA384),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), &digest::SHA512),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), &digest::SHA256), // ECDSA
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), &digest::SHA384),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), &digest::SHA512),
];
